"""A backlog, made and watched: sales accepted while the line is dead, and the stand-in's count of them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks import drive
from benchmarks.bench import Bench
from benchmarks.drive import Posting
from benchmarks.servers import Server

FILL_CLIENTS = 32
_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Drained:
    """What the stand-in saw; monotonic seconds: ``began_at`` first POST, ``first_at`` first answer."""

    orders: int
    began_at: float
    first_at: float
    last_at: float
    requests: int
    most_at_once: int

    @property
    def rate_per_s(self) -> float:
        """Orders per second from the first request to the last answer."""
        return self.orders / (self.last_at - self.began_at)


def fill(bench: Bench, agent: Server, count: int) -> str:
    """Queue so many sales; returns what their ids start with."""
    prefix = bench.unique()
    drive.post(bench, agent, Posting(FILL_CLIENTS, count=count, prefix=prefix))
    return f"{prefix}-"


def wait_until_drained(upstream: Server, agent: Server, prefix: str, count: int, *, limit_s: float) -> Drained:
    """Wait until every sale has arrived upstream."""
    give_up_at = time.monotonic() + limit_s
    while time.monotonic() < give_up_at:
        seen = drive.get_json(upstream, f"/_bench/seen/{prefix}")
        if seen["orders"] == count:
            return _drained(seen)
        time.sleep(_PAUSE_S)
    seen = drive.get_json(upstream, f"/_bench/seen/{prefix}")
    raise agent.child.failure(f"{seen['orders']} of {count} sales arrived in {limit_s:g} s; the agent said:")


def _drained(seen: dict[str, object]) -> Drained:
    names = ("orders", "began_at", "first_at", "last_at", "requests", "most_at_once")
    return Drained(**{name: seen[name] for name in names})  # type: ignore[arg-type]


def watch(upstream: Server, prefix: str, count: int, *, seconds: float) -> Drained | None:
    """What has arrived upstream after so many seconds, or once everything has; None: nothing has."""
    stop_at = time.monotonic() + seconds
    while True:
        seen = drive.get_json(upstream, f"/_bench/seen/{prefix}")
        if seen["orders"] == count or time.monotonic() > stop_at:
            return _drained(seen) if seen["orders"] else None
        time.sleep(_PAUSE_S)


def wait_until_settled(agent: Server, *, limit_s: float = 10.0) -> None:
    """Wait until the agent says that nothing is pending."""
    give_up_at = time.monotonic() + limit_s
    while drive.get_json(agent, "/v1/status")["pending"]:
        if time.monotonic() > give_up_at:
            raise agent.child.failure(f"still pending {limit_s:g} s after all arrived; the agent said:")
        time.sleep(_PAUSE_S)
