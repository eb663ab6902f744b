"""Outcomes into the store: decided, written, counted; kept in hand for as long as the store is unavailable.

Called by the relay once an attempt is over. Never raises for what the store does: an outcome that cannot be written at
all puts its operation back, to be sent again later under the same key; and where that fails as well, for whatever
reason (no memory, say), it is tried for as long as the agent runs, since what stays in hand nobody sends.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from msgspec.structs import replace

from agent import logs
from agent.clock import Clock, to_ms
from agent.delivery import Fate, Kind, Outcome
from agent.errors import Refusal
from agent.outbox.operation import Operation, Settlement
from agent.outbox.retry import LINE_CEILING_S, OPERATION_CEILING_S, decide, operation_wait_s
from agent.outbox.state import Status
from agent.outbox.store import Store

T = TypeVar("T")
REMEMBERED = 4096  # more than can be settled between an answer's reading and its waiting


class Settling:
    """`attempts` counts them by kind and fate since the start."""

    def __init__(self, store: Store, clock: Clock, *, order_wait_h: float) -> None:
        self._store = store
        self._clock = clock
        self._order_wait_h = order_wait_h
        self._lately: dict[int, None] = {}
        self._log = logs.get()
        self.attempts: Counter[tuple[Kind, Fate]] = Counter()

    def count(self, kind: Kind, fate: Fate) -> None:
        """An attempt is over."""
        self.attempts[kind, fate] += 1

    def was_settled(self, seq: int) -> bool:
        """Whether this operation was settled a moment ago; a retry since is not looked at."""
        return seq in self._lately

    async def settle(self, operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> list[Settlement]:
        """Write what became of each; returns what stands in the store now, in the same order."""
        now_ms, steady_ms = to_ms(self._clock.now()), self._clock.steady_ms()
        settlements = [
            decide(operation, outcome, now_ms, self._order_wait_h, steady_ms)
            for operation, outcome in zip(operations, outcomes, strict=True)
        ]
        written = await self._write(settlements)
        for settlement, outcome in zip(written, outcomes, strict=True):
            self._note(settlement, outcome)
        return written

    async def _write(self, settlements: list[Settlement]) -> list[Settlement]:
        try:
            await self._patiently(lambda: self._store.settle(settlements), len(settlements))
        except Exception:  # noqa: BLE001 - one outcome that cannot be written harms itself alone
            self._log.exception("outcome cannot be written", count=len(settlements))
            if len(settlements) == 1:
                return [await self._put_back(settlements[0])]
            return [written for each in settlements for written in await self._write([each])]
        return settlements

    async def _put_back(self, settlement: Settlement) -> Settlement:
        operation = settlement.operation
        due = await self._patiently(lambda: self._store.put_back(operation, OPERATION_CEILING_S), 1, Exception)
        return replace(settlement, status=Status.PENDING, settled_at=None, next_attempt_at=due)

    async def _patiently(self, write: Callable[[], Awaitable[T]], count: int, fault: type[Exception] = Refusal) -> T:
        """Try for as long as the store is unavailable or full, or for as long as it fails in another way."""
        attempt = 0
        while True:
            try:
                return await write()
            except fault as error:
                attempt += 1
                code = error.code if isinstance(error, Refusal) else type(error).__name__
                self._log.warning("outcome waits for the store", code=code, count=count)
                await self._clock.sleep(min(LINE_CEILING_S, operation_wait_s(attempt, None)))

    def _note(self, settlement: Settlement, outcome: Outcome) -> None:
        operation = settlement.operation
        self.count(operation.kind, outcome.fate)
        if settlement.status is not Status.PENDING:
            self._lately[operation.seq] = None
            if len(self._lately) > REMEMBERED:
                del self._lately[next(iter(self._lately))]
        if settlement.status is Status.FAILED:
            code, status = settlement.verdict.code, outcome.http_status
            self._log.error("failed", operation=operation.id, kind=operation.kind.value, code=code, http_status=status)
