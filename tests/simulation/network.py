"""Between the agents and Flash: every call takes its time, and in bad weather worse things happen to it.

A `Wire` stands where an agent's HTTP transport does; it returns what that one would: a whole answer, or the outcome
that says why there is none. What has left an agent goes on its way whether that agent lives or not.
"""

import asyncio
import contextvars
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from agent.delivery import NOT_LEFT, Contact, Fate, MayLeave, Outcome
from tests.simulation.flash import Call, FlashModel
from tests.simulation.loop import STARTED_AT, VirtualLoop
from tests.simulation.plan import Strike, Weather

EPOCH = datetime(2026, 11, 20, 8, tzinfo=UTC)
ATTEMPT_LIMIT_S = 8.0
IN_FLIGHT = "IDEMPOTENCY_IN_FLIGHT"
LATEST_S = 120.0  # of a late request; of a redemption within the attempt's limit, see docs/reliability.md


_SAID = {
    "unauthorized": (401, "UNAUTHORIZED"),
    "forbidden": (403, "FORBIDDEN"),
    "in-flight": (409, IN_FLIGHT),
    "too-large": (413, "TOO_LARGE"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What agent.flash.transport.Answer looks like."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(slots=True)
class Heard:
    """What an agent was told, and when; `items` are the statuses of a batch's, in their order."""

    at: float
    call: Call
    status: int  # 0: nothing
    code: str = ""
    retry_after_s: float = 0.0
    items: tuple[int, ...] = ()


@dataclass
class Network:
    """All wires to one Flash. `tell` writes into the trace."""

    loop: VirtualLoop
    flash: FlashModel
    chance: random.Random
    tell: Callable[..., None]
    weather: list[Weather] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    is_calm: bool = False
    calls: list[Call] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    on_leave: Callable[[Call], None] = lambda _call: None
    lives: Callable[[str, int], bool] = lambda _till, _life: True  # whether this life of that till goes on

    def now(self) -> float:
        return self.loop.now - STARTED_AT

    def date(self) -> str:
        """The true time, as Flash writes it."""
        return format_datetime(EPOCH + timedelta(seconds=int(self.now())), usegmt=True)

    def fault(self, till: str, what: str) -> tuple[str, float]:
        """What befalls the next call, and what a Retry-After would say."""
        for strike in self.strikes:
            if strike.text in what:
                self.strikes.remove(strike)
                return strike.fault, strike.asks_s
        if not self.is_calm:
            for weather in self.weather:
                holds = weather.at <= self.now() < weather.at + weather.for_s and weather.till in {None, till}
                if holds and weather.text in what and self.chance.random() < weather.share:
                    return self.chance.choice(weather.faults), weather.asks_s
        return "", 0.0

    def later(self, delay_s: float, call: Callable[..., Any], *args: Any) -> None:
        """In the world, whoever lives."""
        self.loop.call_later(delay_s, call, *args, context=contextvars.Context())


class Wire:
    """One agent's, in one of its lives."""

    def __init__(self, network: Network, till: str, life: int) -> None:
        self._network = network
        self._till = till
        self._life = life

    async def close(self) -> None:
        """Nothing is kept open."""

    async def call(
        self,
        method: str,
        path: str,
        key: Any,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        may_leave: MayLeave | None = None,
    ) -> Answer | Outcome:
        network = self._network
        call = Call(
            number=len(network.calls),
            till=self._till,
            life=self._life,
            method=method,
            path=path,
            auth=key.get_secret_value(),
            key=headers.get("Idempotency-Key", ""),
            body=body or b"",
            left_at=network.now(),
        )
        network.calls.append(call)
        fault, asks_s = network.fault(self._till, f"{method} {path}")
        if fault == "refused":
            network.tell(f"{call.text()} refused")
            await asyncio.sleep(0.001)
            return Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", "refused", unsent=True)
        if may_leave is not None and not may_leave():
            return NOT_LEFT
        network.on_leave(call)
        network.tell(f"{call.text()} leaves{f' ({fault})' if fault else ''}")
        answer: asyncio.Future[Answer | None] = network.loop.create_future()
        self._send_off(call, fault, asks_s, answer)
        try:
            async with asyncio.timeout(ATTEMPT_LIMIT_S):
                told = await answer
        except TimeoutError:
            told = None
        if told is None:
            return Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", "no answer")
        return told

    def _send_off(self, call: Call, fault: str, asks_s: float, answer: "asyncio.Future[Answer | None]") -> None:
        network, chance = self._network, self._network.chance
        there = chance.choice((0.005, 0.02, 0.1))
        back = chance.choice((0.005, 0.02, 0.1))
        if fault == "slow":
            there, back = chance.uniform(0, 6), chance.uniform(0, 4)

        def arrive(reply: "asyncio.Future[Answer | None] | None", fails: int = 0) -> None:
            status, document = network.flash.take(call, network.now(), fails=fails)
            code = (document or {}).get("error", {}).get("code", "") if isinstance(document, dict) else ""
            network.tell(f"  {call.text()} -> {status} {code or _short(document)}")
            content = b"" if document is None else json.dumps(document, default=str).encode()
            if fault == "torn":
                content = content[: len(content) // 2]
            if reply is not None:
                network.later(back, tell, reply, status, content, {}, code)

        def tell(
            reply: "asyncio.Future[Answer | None]", status: int, content: bytes, headers: dict[str, str], code: str = ""
        ) -> None:
            if reply.done() or not network.lives(call.till, call.life):
                return
            whole = bool(status) and (fault != "torn" or status >= 500)
            asked = float(headers.get("retry-after", 0))
            items = _items(content) if whole and status == 207 else ()
            network.heard.append(Heard(network.now(), call, status if whole else 0, code, asked, items))
            reply.set_result(Answer(status, content, {"date": network.date(), **headers}) if status else None)

        match fault:
            case "lost-request":
                pass
            case "lost-answer":
                network.later(there, arrive, None)
            case "reset-before":
                network.later(there, tell, answer, 0, b"", {})
            case "reset-after":
                network.later(there, arrive, None)
                network.later(there + back, tell, answer, 0, b"", {})
            case "late":
                limit = ATTEMPT_LIMIT_S - 0.1 if "/redeem" in call.path else LATEST_S
                network.later(chance.uniform(0.1, limit), arrive, None)
                if chance.random() < 0.5:
                    network.later(there, tell, answer, 0, b"", {})
            case "duplicate":
                network.later(there, arrive, answer)
                network.later(there + chance.choice((0.001, 1.0, 60.0)), arrive, None)
            case "error":
                network.later(there + back, tell, answer, chance.choice((500, 502, 503)), b"oops", {})
            case "error-after":
                if call.is_write:
                    network.later(there, arrive, answer, 500)
                else:
                    network.later(there + back, tell, answer, 500, b"{}", {})
            case "unavailable":
                headers = {"retry-after": f"{asks_s:.0f}"} if asks_s >= 1 else {}
                network.later(there + back, tell, answer, 503, b"{}", headers)
            case "throttled":
                network.later(there + back, tell, answer, 429, b"{}", {})
            case "asked-to-wait":
                network.later(there + back, tell, answer, 429, b"{}", {"retry-after": f"{max(1, asks_s):.0f}"})
            case "unauthorized" | "forbidden" | "in-flight" | "too-large":
                status, code = _SAID[fault]
                if fault == "too-large" and not call.path.endswith("/batch"):
                    network.later(there, arrive, answer)
                    return
                content = json.dumps({"error": {"code": code}}).encode()
                network.later(there + back, tell, answer, status, content, {}, code)
            case "portal":
                network.later(there + back, tell, answer, 200, b"<html>Welcome</html>", {})
            case _:
                network.later(there, arrive, answer)


def _items(content: bytes) -> tuple[int, ...]:
    return tuple(item["status"] for item in json.loads(content)["data"])


def _short(document: Any) -> str:
    text = json.dumps((document or {}).get("data"), default=str)
    return text if len(text) < 90 else text[:90] + "…"
