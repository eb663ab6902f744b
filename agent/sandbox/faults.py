"""Faults to order: what can go wrong between a till and Flash, on demand and repeatably.

A fault is ordered for all calls or for those of a path prefix and method, for `times` calls (then it heals by
itself) and for every n-th of them. Of the faults that end a call only the first that applies acts, so several
in a row play one after the other; the others (latency, the cap, a lost answer) come on top.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

BASE_PATH = "/api/v2"

FaultKind = Literal[
    "offline",
    "latency",
    "answer-lost",
    "429",
    "503",
    "503-stored",
    "401",
    "captive-portal",
    "cap-unavailable",
]
ENDS_THE_CALL: frozenset[FaultKind] = frozenset({"offline", "429", "503", "401", "captive-portal"})
_CAP_PATHS = frozenset({"/orders", "/orders/batch"})


class Fault(BaseModel):
    """One order. `path` is a prefix below the API's base (`/orders`); `seconds` belongs to latency alone.

    `503-stored` leaves no effect and is kept under the call's Idempotency-Key, so that it replays like any
    stored result. `retry_after` is sent as it is with 429 and 503: seconds, or an HTTP date.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )

    kind: FaultKind
    times: Annotated[int, Field(ge=1)] | None = None
    every_nth: Annotated[int, Field(ge=1)] = 1
    path: str = ""
    method: Literal["GET", "POST", "PUT"] | None = None
    seconds: Annotated[float, Field(ge=0, le=3600)] | None = None
    retry_after: Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=r"^[\x20-\x7e]+$")] | None = None

    @model_validator(mode="after")
    def _options_fit_the_kind(self) -> Self:
        if (self.kind == "latency") != (self.seconds is not None):
            raise ValueError("seconds is needed for latency, and for latency alone")
        if self.retry_after is not None and self.kind not in {"429", "503", "503-stored"}:
            raise ValueError("retryAfter goes with 429 and 503 alone")
        return self

    def concerns(self, method: str, path: str) -> bool:
        if self.kind == "cap-unavailable" and (method != "POST" or path not in _CAP_PATHS):
            return False
        if self.kind == "503-stored" and method == "GET":
            return False
        return self.method in {None, method} and path.startswith(self.path.removeprefix(BASE_PATH))


@dataclass(slots=True)
class Mishaps:
    """What one call will meet."""

    ends: Fault | None = None
    stored_failure: Fault | None = None
    latency_s: float = 0.0
    answer_lost: bool = False
    cap_available: bool = True

    @property
    def name(self) -> str | None:
        """The gravest of them, for the audit log."""
        for fault in (self.ends, self.stored_failure):
            if fault is not None:
                return fault.kind
        if self.answer_lost:
            return "answer-lost"
        if not self.cap_available:
            return "cap-unavailable"
        return "latency" if self.latency_s else None


@dataclass(slots=True)
class _Running:
    fault: Fault
    seen: int = 0
    fired: int = 0

    def strikes(self) -> bool:
        self.seen += 1
        hit = self.seen % self.fault.every_nth == 0
        self.fired += hit
        return hit

    @property
    def healed(self) -> bool:
        return self.fault.times is not None and self.fired >= self.fault.times


class Faults:
    """The faults in force, in the order in which they were ordered."""

    def __init__(self) -> None:
        self._running: list[_Running] = []

    def order(
        self,
        kind: FaultKind,
        *,
        times: int | None = None,
        every_nth: int = 1,
        path: str = "",
        method: Literal["GET", "POST", "PUT"] | None = None,
        seconds: float | None = None,
        retry_after: int | str | None = None,
    ) -> Fault:
        """Put a fault in force. Raises ValueError when its options do not fit."""
        return self.add(
            Fault(
                kind=kind,
                times=times,
                every_nth=every_nth,
                path=path,
                method=method,
                seconds=seconds,
                retry_after=retry_after,
            )
        )

    def add(self, fault: Fault) -> Fault:
        self._running.append(_Running(fault))
        return fault

    def clear(self) -> None:
        self._running.clear()

    def active(self) -> tuple[Fault, ...]:
        return tuple(running.fault for running in self._running)

    def draw(self, method: str, path: str) -> Mishaps:
        """What the next call, to `path` below the base, meets. Counts it against the faults concerned."""
        mishaps = Mishaps()
        for fault in self._striking(method, path, mishaps):
            match fault.kind:
                case "latency":
                    mishaps.latency_s += fault.seconds or 0.0
                case "answer-lost":
                    mishaps.answer_lost = True
                case "cap-unavailable":
                    mishaps.cap_available = False
                case "503-stored":
                    mishaps.stored_failure = fault
                case _:
                    mishaps.ends = fault
        self._running = [running for running in self._running if not running.healed]
        return mishaps

    def _striking(self, method: str, path: str, mishaps: Mishaps) -> Iterator[Fault]:
        for running in self._running:
            ends = running.fault.kind in ENDS_THE_CALL
            if ends and mishaps.ends is not None:
                continue
            if running.fault.concerns(method, path) and running.strikes():
                yield running.fault
