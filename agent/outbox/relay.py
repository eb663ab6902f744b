"""Ready → send → settle: moves operations from the store to Flash through a Sender.

Two lanes. An operation that a register waits for goes alone and at once, ahead of any backlog, and lends its place to
what it waits for; in an outage it may be the probe. The backlog goes oldest first, in batches where the kind has them;
what may have reached Flash before goes alone. At most `max_in_flight` requests are under way, two places of which the
backlog leaves free. While registers wait, or did a moment ago, the backlog stands aside, but for a small batch every
STAND_ASIDE_S: a large one would hold the interpreter for as long as the cashier waits for Flash.

Invariants: an operation is claimed, durably, before its first byte leaves, and settled or put back exactly once after;
whether anything may be sent at all is the Line's word alone. Nothing is timed while nothing is pending.

Started and stopped by the composition root; fails by logging and putting back, never by stopping.
"""

import asyncio
import contextlib
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from agent import logs
from agent.clock import Clock
from agent.delivery import Contact, Fate, Kind, MayLeave, Outcome, Sender
from agent.errors import Refusal, StorageFullError
from agent.outbox.attempts import UNREADABLE, Attempts
from agent.outbox.line import Line
from agent.outbox.operation import Operation
from agent.outbox.patience import Patience
from agent.outbox.retry import OPERATION_CEILING_S
from agent.outbox.settling import Settling
from agent.outbox.state import PREDECESSORS, Status
from agent.outbox.store import Store
from agent.outbox.waiting import Waiters
from agent.tasks import Lookout

FOLLOWERS = {kind: [later for later in Kind if kind in PREDECESSORS[later]] for kind in Kind}
BACKLOG_KINDS = (Kind.ENROLLMENT, Kind.SALE, Kind.REFUND, Kind.STORE, Kind.CATALOG)
RESERVED_PLACES = 2
BATCHES_IN_FLIGHT = 3
MAX_BATCH = 100
STAND_ASIDE_S = 0.1
COURTEOUS_BATCH = 40
STOP_GRACE_S = 3.0
FIND_LINE_LOOK_S = 0.02
STORE_PAUSE_S = 1.0


class RelayOptions(msgspec.Struct, frozen=True):
    """How the backlog is sent; see `[relay]` in the configuration."""

    max_in_flight: int = 8
    batch_size: int = 100
    order_wait_h: float = 72.0


class Probe(Protocol):
    """A harmless read with or without the write key; the key guard's, or the sender's own (see Sender.probe)."""

    async def __call__(self, *, write_key: bool) -> Outcome: ...


class Relay:
    """The relay of one till."""

    def __init__(
        self,
        store: Store,
        sender: Sender,
        line: Line,
        clock: Clock,
        options: RelayOptions,
        *,
        probe: Probe | None = None,
    ) -> None:
        self._store = store
        self._line = line
        self._clock = clock
        self._options = options
        self._probe_once = probe or sender.probe
        self._log = logs.get()
        self._lookout = Lookout(self._dispatch_safely, clock, name="relay", timed=self.wake)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiters = Waiters(line, clock)
        self._patience = Patience(store, line, clock)
        self._attempts = Attempts(sender, line, self._patience, clock)
        self._settling = Settling(store, clock, order_wait_h=options.order_wait_h)
        self._maybe_ready = set(BACKLOG_KINDS)
        self._due_ms = 0.0
        self._in_flight = 0
        self._backlog_in_flight = 0
        self._probing = False
        self._probe_with_operation = False
        self._backlog_sent_at = float("-inf")

    async def start(self) -> None:
        """Take up what a former run left, then begin; on a full disk pauses stay as they were written."""
        with contextlib.suppress(StorageFullError):
            await self._store.clamp_pauses(int(OPERATION_CEILING_S * 1000))
        await self._patience.recall()
        self._lookout.start()

    async def stop(self) -> None:
        """Let what is in flight finish for a moment, then stop; what is cut off is sent again at the next start."""
        self.release_waiters()
        await self._lookout.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=STOP_GRACE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def attempts(self) -> Mapping[tuple[Kind, Fate], int]:
        """How many there were since the start, by kind and fate."""
        return self._settling.attempts

    @property
    def cashiers_are_about(self) -> bool:
        """Whether somebody waits for Flash's word, or did a moment ago."""
        return self._waiters.are_about

    def remember_pause(self, outcome: Outcome) -> None:
        """Somebody else was told to leave Flash alone for a while: that outlives a restart, too."""
        self._spawn(self._patience.note(outcome))

    def release_waiters(self) -> None:
        """Answer everybody who waits now; what they wait for goes on."""
        self._waiters.release_all()

    def wake(self, kind: Kind | None = None) -> None:
        """Something may be ready: a new operation of a kind, or anything."""
        self._maybe_ready |= {kind} if kind is not None and kind in BACKLOG_KINDS else set(BACKLOG_KINDS)
        self._lookout.wake()

    async def settle_within(self, operation: Operation, wait_s: float) -> None:
        """Wait until an operation is settled, until waiting cannot help, or for `wait_s` seconds; the send goes on."""
        if not self._line.permits_waiting(operation.kind):
            return
        self._lookout.wake()
        await self._waiters.wait(operation, wait_s, lambda: self._is_in_vain(operation))

    async def _is_in_vain(self, operation: Operation) -> bool:
        """Whether it was settled before anybody waited, or waits behind a failure."""
        if self._settling.was_settled(operation.seq):
            return (await self._store.get(operation.id)).status is not Status.PENDING
        return operation.blocked and await self._store.is_stuck(operation.seq)

    # ---- for redemptions, whose conduct is their own (`redemption/`) ------------------------------------------------

    async def find_line(self, within_s: float) -> bool:
        """Whether the line is open; on a dead one after one short read, whose failure does not lengthen the pause."""
        until = self._clock.monotonic() + within_s
        while self._probing and self._clock.monotonic() < until:
            await self._clock.sleep(FIND_LINE_LOOK_S)
        if self._line.needs_probe and not self._probing and self._line.closed_for_s == 0:
            self._probing = True
            try:
                async with asyncio.timeout(max(FIND_LINE_LOOK_S, until - self._clock.monotonic())):
                    outcome = await self._probe_once(write_key=self._line.key_held)
                self._line.report("", outcome)
                await self._patience.note(outcome)
            except TimeoutError:
                pass
            except Exception:  # noqa: BLE001 - no line was found
                self._log.exception("probe failed")
            finally:
                self._probing = False
                self.wake()
        return self._line.is_open

    async def send_beside(self, operation: Operation, *, waiting: bool, may_leave: MayLeave | None = None) -> Outcome:
        """One attempt for a redemption, counted among those in flight; the line learns from it, its caller settles it.

        `waiting`: a register waits, so the backlog stands aside. `may_leave`: as a parcel has it.
        """
        if waiting:
            self._waiters.note()
        self._in_flight += 1
        try:
            outcome = await self._attempts.alone(operation, may_leave)
        finally:
            self._in_flight -= 1
            self._lookout.wake()
        await self._attempts.learn(operation, outcome)
        self._settling.count(operation.kind, outcome.fate)
        return outcome

    @property
    def has_place(self) -> bool:
        """Whether one more request may be under way."""
        return self._in_flight < self._options.max_in_flight

    # ---- deciding what goes next -----------------------------------------------------------------------------------

    async def _dispatch_safely(self) -> float | None:
        try:
            return await self._dispatch()
        except Refusal as error:  # the store is unavailable; it mends itself or its condition says how
            self._log.warning("relay waits for the store", code=error.code)
        except Exception:  # noqa: BLE001 - the relay never stops
            self._log.exception("relay failed")
        self._maybe_ready = set(BACKLOG_KINDS)  # what it was about to look at was not seen
        return STORE_PAUSE_S

    async def _dispatch(self) -> float | None:
        """Send what may go; returns in how many seconds to look again (None: when woken)."""
        began, began_ms = self._clock.monotonic(), self._clock.steady_ms()
        if self._due_ms <= began_ms:  # a pause is over, whosever it was
            self._maybe_ready |= set(BACKLOG_KINDS)
        await self._serve_waiting()
        if self._line.needs_probe:
            return await self._probe_when_due(began, began_ms)
        for kind in BACKLOG_KINDS:
            if kind in self._maybe_ready:
                await self._serve_backlog(kind)
        return await self._next_look_s(began, began_ms)

    async def _next_look_s(self, began: float, began_ms: int) -> float | None:
        """Seconds until the next pause ends, or the line may let through what is ready; None when nothing is timed."""
        if self._due_ms <= began_ms:
            due = await self._store.next_due()
            self._due_ms = float("inf") if due is None else due
        delays = [self._waiters.next_s(), self._due_in_s(began_ms)]
        # A pause that was over when this look began was looked at: it waits for the line or for a place, below.
        if self._maybe_ready:
            # By `began`, for who was about when places were counted may have gone since, and nobody else would wake us.
            aside = self._waiters.are_about or began - self._backlog_sent_at < STAND_ASIDE_S
            delays += [STAND_ASIDE_S if aside else None, self._line.next_change_s(began)]
        soonest = _earliest(*delays)
        return None if soonest is None else max(0.001, soonest)

    def _due_in_s(self, began_ms: int) -> float | None:
        """Seconds until the next pause ends; None when none is timed, or it was over when this look began."""
        if began_ms < self._due_ms < float("inf"):
            return max(0.001, (self._due_ms - self._clock.steady_ms()) / 1000)
        return None

    async def _probe_when_due(self, began: float, began_ms: int) -> float | None:
        if self._probing:
            return self._waiters.next_s()
        if not self._maybe_ready:  # what pauses by itself will want the line
            return _earliest(self._waiters.next_s(), self._due_in_s(began_ms))
        if not self._line.probe_due():
            return _earliest(self._waiters.next_s(), self._line.next_change_s(began))
        maybe_ready, self._maybe_ready = self._maybe_ready, set()
        if not await self._store.has_ready():
            return None  # an idle agent does not poll
        self._maybe_ready |= maybe_ready
        if not (self._probe_with_operation and await self._send_as_probe()):
            self._probing = True
            self._spawn(self._probe())
        return None

    async def _send_as_probe(self) -> bool:
        """Where the read finds no Flash at that address, one operation may; not while the key is in question."""
        for kind in BACKLOG_KINDS:
            for fresh in (True, False):
                if self._line.permits_waiting(kind) and (claimed := await self._store.claim(kind, 1, fresh=fresh)):
                    self._send_alone(claimed[0], waiting=False, probe=True)
                    return True
        return False

    async def _probe(self) -> None:
        try:
            try:
                outcome = await self._probe_once(write_key=self._line.key_held)
            except Exception:  # noqa: BLE001 - a probe that fails on its own pauses like any other
                self._log.exception("probe failed")
                outcome = Outcome(Fate.RETRY, Contact.UNREACHABLE, "internal", "The probe failed.", unsent=True)
            self._line.report("", outcome, probe=True)
            self._probe_with_operation = outcome.code == "unexpected-answer"
            await self._patience.note(outcome)
        finally:
            self._probing = False
            self.wake()

    async def _serve_waiting(self) -> None:
        chosen = self._waiters.due(self._options.max_in_flight - self._in_flight)
        if self._line.needs_probe:
            chosen = [] if self._probing else chosen[:1]
        for waiter in chosen:
            for operation in await self._store.claim_waiting([waiter.operation.seq]):
                waiter.lent_to.add(operation.seq)
                self._send_alone(operation, waiting=True, probe=self._line.needs_probe)

    async def _serve_backlog(self, kind: Kind) -> None:
        if self._line.permits_backlog(kind):
            self._maybe_ready.discard(kind)  # before looking, so that what becomes ready meanwhile is not missed
            if not await self._send_ready(kind):
                self._maybe_ready.add(kind)

    async def _send_ready(self, kind: Kind) -> bool:
        """Send what is ready of a kind, as far as there are places; returns whether nothing ready is left."""
        if kind in self._line.held_endpoints:
            self._line.try_endpoint(kind)
            for operation in await self._store.claim(kind, 1, fresh=True) or await self._store.claim(
                kind, 1, fresh=False
            ):
                self._send_alone(operation, waiting=False)
            return False
        if self._options.batch_size > 1 and self._attempts.take_batches(kind):
            while self._free_places(batched=True) > 0:
                size = min(self._options.batch_size, COURTEOUS_BATCH if self._waiters.are_about else MAX_BATCH)
                claimed = await self._store.claim(kind, size, fresh=True)
                if len(claimed) > 1:
                    self._start(self._send_batch(claimed), backlog=True)
                elif claimed:
                    self._send_alone(claimed[0], waiting=False)
                if len(claimed) < size:
                    return await self._send_singly(kind, fresh=False)
            return False
        return await self._send_singly(kind, fresh=True) and await self._send_singly(kind, fresh=False)

    async def _send_singly(self, kind: Kind, *, fresh: bool) -> bool:
        free = self._free_places(batched=False)
        if free <= 0:
            return False
        claimed = await self._store.claim(kind, free, fresh=fresh)
        for operation in claimed:
            self._send_alone(operation, waiting=False)
        return len(claimed) < free

    def _free_places(self, *, batched: bool) -> int:
        """How many more requests the backlog may start now."""
        now = self._clock.monotonic()
        courteous = self._waiters.are_about
        if courteous and now - self._backlog_sent_at < STAND_ASIDE_S:
            return 0
        places = min(self._line.places, max(1, self._options.max_in_flight - RESERVED_PLACES))
        if batched:
            places = min(places, BATCHES_IN_FLIGHT)
        if courteous:
            places = min(places, 1)
        return places - self._backlog_in_flight

    # ---- sending and settling --------------------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _start(self, work: Coroutine[Any, Any, None], *, backlog: bool) -> None:
        self._in_flight += 1
        if backlog:
            self._backlog_in_flight += 1
            self._backlog_sent_at = self._clock.monotonic()
        self._spawn(self._finish(work, backlog=backlog))

    async def _finish(self, work: Coroutine[Any, Any, None], *, backlog: bool) -> None:
        try:
            await work
        finally:
            self._in_flight -= 1
            self._backlog_in_flight -= int(backlog)
            self._lookout.wake()

    def _send_alone(self, operation: Operation, *, waiting: bool, probe: bool = False) -> None:
        self._waiters.sent(operation)
        self._probing = self._probing or probe
        self._start(self._send_one(operation, waiting=waiting, probe=probe), backlog=not waiting)

    async def _send_one(self, operation: Operation, *, waiting: bool, probe: bool) -> None:
        outcome = await self._attempts.alone(operation)
        if probe:
            self._probing = False
            self._probe_with_operation = False
        # A cashier's own attempt may find the way back, but its failure does not lengthen the pause.
        await self._attempts.learn(operation, outcome, probe=probe and not waiting)
        await self._settle([operation], [outcome])

    async def _send_batch(self, claimed: Sequence[Operation]) -> None:
        operations = [operation for operation in claimed if operation.content]
        if unreadable := [operation for operation in claimed if not operation.content]:
            await self._settle(unreadable, [UNREADABLE] * len(unreadable))
        if operations:
            await self._settle(operations, await self._attempts.batch(operations))

    async def _settle(self, operations: Sequence[Operation], outcomes: Sequence[Outcome]) -> None:
        settlements = await self._settling.settle(operations, outcomes)
        for settlement, outcome in zip(settlements, outcomes, strict=True):
            if settlement.next_attempt_at is not None:
                self._due_ms = min(self._due_ms, settlement.next_attempt_at)
            self._waiters.tell(settlement.operation, settlement.status, outcome)
        kind = operations[0].kind
        for follower in (kind, *FOLLOWERS[kind]):
            self.wake(follower)
        if any(settlement.status is Status.FAILED for settlement in settlements):
            await self._release_stuck()

    async def _release_stuck(self) -> None:
        for waiter in self._waiters:
            if waiter.operation.blocked and await self._store.is_stuck(waiter.operation.seq):
                waiter.released.set()


def _earliest(*delays: float | None) -> float | None:
    return min((delay for delay in delays if delay is not None), default=None)
