"""Registers, operators, and what they wrote down: the log that the oracle holds the agents against.

A register sends again until it has an answer; what it was told, and when, is noted outside the agent.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from agent.delivery import Kind
from agent.errors import Refusal
from agent.intake import Request
from agent.members.snapshot import Key
from agent.model import BasketVoid
from agent.outbox.operation import Operation, redeemed_of
from agent.outbox.reading import Filter
from agent.outbox.state import Status
from agent.service.service import Service
from tests.simulation.network import Network
from tests.simulation.plan import Ask, Drill, LookUp, Operate
from tests.simulation.till import ConnectionLostError, Till

Tell = Callable[[Any], None]
SENDS_AGAIN_S = (0.05, 0.5, 2.0)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer that a register has: a 2xx with an operation, or a refusal (`id` is empty then)."""

    ask: Ask
    asked_at: float
    at: float
    id: str = ""
    status: str = ""
    code: str = ""
    honor: bool = False
    basis: str = ""


@dataclass(slots=True)
class Waiting:
    """A register that waits with a coupon; nobody may burn it after `until`."""

    until: float


@dataclass
class Log:
    """What the registers know."""

    told: list[Told] = field(default_factory=list)
    waiting: dict[tuple[str, str], list[Waiting]] = field(default_factory=dict)  # by till and redemption
    closed: set[str] = field(default_factory=set)  # operations that an operator decided about
    drills: list[tuple[str, int, float, float]] = field(default_factory=list)  # till, life, from, to
    settled: dict[str, list[str]] = field(default_factory=dict)  # what agents said became of operations, by id

    asked: dict[tuple[str, str, str], float] = field(default_factory=dict)  # till, kind, order: when first

    def first_asked(self, till: str, kind: str, order: str) -> float | None:
        """When a register first posted a sale, or a refund, of this order, answered or not."""
        return self.asked.get((till, kind, order))

    def waits(self, till: str, key: str, now: float) -> bool:
        """Whether a register waits for the redemption with this upstream key."""
        return any(now <= each.until for each in self.waiting.get((till, key), []))


def redemption_key(till: str, fields: dict[str, Any]) -> str:
    """The upstream key that the redemption should have, by the promises."""
    return f"redemption-{fields['couponId']}:st_1:{till}:-:{fields['transactionId']}:{fields.get('attempt', 1)}"


class Registers:
    """All registers of all tills, and the operators."""

    def __init__(self, tills: dict[str, Till], network: Network, log: Log) -> None:
        self._tills = tills
        self._network = network
        self._log = log

    async def ask(self, ask: Ask) -> None:
        """Ask until there is an answer, or the register's patience is over."""
        till, network = self._tills[ask.till], self._network
        self._log.asked.setdefault((ask.till, ask.kind, ask.fields.get("externalOrderId", "")), network.now())
        for _ in range(ask.patience + 1):
            asked_at = network.now()
            waiting = self._wait(ask, asked_at)
            try:
                told = await till.request(self._post(ask, asked_at))
            except ConnectionLostError:
                await asyncio.sleep(network.chance.choice(SENDS_AGAIN_S))
                continue
            finally:
                if waiting is not None:
                    waiting.until = min(waiting.until, network.now())
            if told is None:
                network.tell(f"{ask.till} register hung up: {ask.kind} {ask.fields}")
                return
            self._log.told.append(told)
            honor = f" honor={told.honor} ({told.basis})" if ask.kind == "redemption" else ""
            network.tell(f"{ask.till} told: {ask.kind} {_name(ask)} {told.status or told.code} {told.id}{honor}")
            if told.code not in {"storage-unavailable", "overloaded"}:
                return
            await asyncio.sleep(1.0)

    def _wait(self, ask: Ask, asked_at: float) -> Waiting | None:
        if ask.kind != "redemption":
            return None
        waiting = Waiting(asked_at + ask.wait_s)
        self._log.waiting.setdefault((ask.till, redemption_key(ask.till, ask.fields)), []).append(waiting)
        return waiting

    def _post(self, ask: Ask, asked_at: float) -> Callable[[Service, Tell], Coroutine[Any, Any, None]]:
        now = self._network.now

        async def post(service: Service, tell: Tell) -> None:
            operation = await _accept(service, ask)
            tell(Told(ask, asked_at, now(), operation.id, operation.status.value, operation.verdict.code))

        async def redeem(service: Service, tell: Tell) -> None:
            gone_at = asked_at + ask.wait_s / 2 if ask.hangs_up else float("inf")
            request = Request(ask.fields, ask.request_key)
            accepted = await service.intake.redemption(request)
            left_s = ask.wait_s - (now() - asked_at)
            answer = await service.redeeming.redeem(accepted.operation, left_s, lambda: now() >= gone_at)
            operation, was = answer.operation, redeemed_of(answer.operation)
            is_gone = now() >= gone_at
            status, code = operation.status.value, operation.verdict.code
            tell(None if is_gone else Told(ask, asked_at, now(), operation.id, status, code, was.honor, was.basis))
            if answer.written is not None:
                answer.written(not is_gone)

        async def void(service: Service, tell: Tell) -> None:
            credit = await service.redeeming.void(BasketVoid.model_validate(ask.fields))
            tell(Told(ask, asked_at, now(), status="voided", code=credit or ""))

        call = {"redemption": redeem, "void": void}.get(ask.kind, post)

        async def answered(service: Service, tell: Tell) -> None:
            try:
                await call(service, tell)
            except Refusal as refusal:
                if refusal.stored and ask.kind != "void":
                    service.wake(Kind(ask.kind))
                tell(Told(ask, asked_at, now(), code=refusal.code))

        return answered

    async def look_up(self, look: LookUp) -> None:
        """At the counter; whatever comes of it."""

        async def ask(service: Service, tell: Tell) -> None:
            with contextlib.suppress(Refusal):
                await service.members.by(Key("externalId", look.external_id))
            tell(None)

        with contextlib.suppress(ConnectionLostError):
            await self._tills[look.till].request(ask)

    async def drill(self, drill: Drill) -> None:
        """An operator rehearses an outage."""
        till, now = self._tills[drill.till], self._network.now

        async def ask(service: Service, tell: Tell) -> None:
            service.drill.start(drill.for_s, "olga")
            self._log.drills.append((till.name, till.lives, now(), now() + drill.for_s))
            tell(None)

        with contextlib.suppress(ConnectionLostError):
            await till.request(ask)

    async def operate(self, deed: Operate) -> None:
        """One of the operations that need somebody."""

        async def ask(service: Service, tell: Tell) -> None:
            found, _ = await service.store.select(Filter(status="failed"), 20, None)
            if deed.deed == "discard":
                pending, _ = await service.store.select(Filter(status="pending"), 20, None)
                found += pending
            if not found:
                tell("nothing to do")
                return
            chosen = found[deed.index % len(found)]
            try:
                tell(f"{await self._operate(service, deed, chosen)} {chosen.kind} {chosen.id}")
            except Refusal as refusal:
                tell(f"may not {deed.deed} {chosen.kind} {chosen.id}: {refusal.code}")

        with contextlib.suppress(ConnectionLostError):
            self._network.tell(f"{deed.till} operator: {await self._tills[deed.till].request(ask)}")

    async def _operate(self, service: Service, deed: Operate, chosen: Operation) -> str:
        if deed.deed == "close" and chosen.kind is Kind.REDEMPTION:
            self._log.closed.add(chosen.id)
            await service.close(chosen.id, "olga", burned=deed.burned, reason="looked")
            return "closed"
        if deed.deed == "discard":
            if chosen.kind is Kind.REDEMPTION:
                self._log.closed.add(chosen.id)
            await service.discard(chosen.id, "olga", "given up")
            return "discarded"
        await service.retry(chosen.id)
        return "retried"


async def _accept(service: Service, ask: Ask) -> Operation:
    accept = {
        "sale": service.intake.sale,
        "refund": service.intake.refund,
        "enrollment": service.intake.enrollment,
    }[ask.kind]
    operation = (await accept(Request(ask.fields, ask.request_key))).operation
    return await service.send(operation, ask.wait_s) if operation.status is Status.PENDING else operation


def _name(ask: Ask) -> str:
    return "/".join(str(value) for name, value in ask.fields.items() if name not in {"customer", "fullName"})
