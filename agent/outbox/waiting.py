"""The registers that wait for Flash's word, and when waiting cannot help any more.

One entry an operation, however many registers wait for it. A waiting operation has a few tries: three when the line was
open as the wait began, one when it was dead (it may be the probe). An attempt for what it waits behind counts as its
own. Called by the relay, which does the sending; nothing here touches the store or the network.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator

import msgspec

from agent.clock import Clock
from agent.delivery import Contact, Outcome
from agent.outbox.line import Line
from agent.outbox.operation import Operation
from agent.outbox.state import Status

PROBE_WAIT_S = 1.0
TRIES = 3
ABOUT_S = 1.0
RETRY_PAUSE_S = (0.05, 0.25)
_WORTH_WAITING_FOR = {"conflict-in-flight", "conflict-unexplained"}


class Waiter(msgspec.Struct):
    """An operation that registers wait for; `lent_to` are those that it lent its place to."""

    operation: Operation
    tries_left: int
    released: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    registers: int = 0
    not_before: float = 0.0
    in_flight: bool = False
    lent_to: set[int] = msgspec.field(default_factory=set)


class Waiters:
    """Who waits now."""

    def __init__(self, line: Line, clock: Clock) -> None:
        self._line = line
        self._clock = clock
        self._waiting: dict[int, Waiter] = {}
        self._last_at = float("-inf")

    @property
    def are_about(self) -> bool:
        """Whether somebody waits, or did a moment ago: where one cashier waited the next one will soon."""
        return bool(self._waiting) or self._clock.monotonic() - self._last_at < ABOUT_S

    def note(self) -> None:
        """A register waits for something that is not in here (a redemption)."""
        self._last_at = self._clock.monotonic()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(list(self._waiting.values()))

    async def wait(self, operation: Operation, wait_s: float, is_in_vain: Callable[[], Awaitable[bool]]) -> None:
        """Wait until released, or for `wait_s` seconds (a short while where the line is dead)."""
        dead = self._line.needs_probe
        waiter = self._waiting.setdefault(operation.seq, Waiter(operation, 1 if dead else TRIES))
        waiter.registers += 1
        try:
            async with asyncio.timeout(min(wait_s, PROBE_WAIT_S) if dead else wait_s):
                if not await is_in_vain():
                    await waiter.released.wait()
        except TimeoutError:
            pass  # the send goes on
        finally:
            waiter.registers -= 1
            self._last_at = self._clock.monotonic()
            if waiter.registers == 0 and self._waiting.get(operation.seq) is waiter:
                del self._waiting[operation.seq]

    def due(self, places: int) -> list[Waiter]:
        """Those that may be sent now, `places` at the most; who cannot be helped is released."""
        now = self._clock.monotonic()
        chosen: list[Waiter] = []
        for waiter in self:
            if waiter.in_flight or waiter.not_before > now:
                continue
            if not self._line.permits_waiting(waiter.operation.kind):
                waiter.released.set()
            elif len(chosen) < places:
                chosen.append(waiter)
        return chosen

    def next_s(self) -> float | None:
        """Seconds until one may be tried again; None when none is timed."""
        times = [waiter.not_before for waiter in self if waiter.not_before and not waiter.in_flight]
        return max(0.001, min(times) - self._clock.monotonic()) if times else None

    def sent(self, operation: Operation) -> None:
        """An operation is on its way."""
        if waiter := self._waiting.get(operation.seq):
            waiter.in_flight = True

    def tell(self, operation: Operation, status: Status, outcome: Outcome) -> None:
        """An attempt is over: release who need not wait any longer."""
        own = self._waiting.get(operation.seq)
        if own is not None:
            own.in_flight = False
        if status is not Status.PENDING:
            if own is not None:
                own.released.set()
            return
        behind = [waiter for waiter in self if operation.seq in waiter.lent_to]
        for waiter in [own] if own is not None else behind:
            waiter.tries_left -= 1
            may_help = (
                waiter.tries_left > 0
                and (outcome.contact is not Contact.ANSWERED or outcome.code in _WORTH_WAITING_FOR)
                and self._line.permits_waiting(waiter.operation.kind)
            )
            if may_help:
                waiter.not_before = self._clock.monotonic() + random.uniform(*RETRY_PAUSE_S)  # noqa: S311 - jitter
            else:
                waiter.released.set()

    def release_all(self) -> None:
        """Answer everybody now; what they wait for goes on."""
        for waiter in self:
            waiter.released.set()
