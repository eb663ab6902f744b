"""The conduct of redemptions: what a register that waits with a coupon is told, and what may be sent for it.

A redemption is sent only while a register waits for it, and answered by what is committed: `honor` turns true in the
answer to a POST alone. Each redemption has a case while anybody deals with it, and each case a lock: whoever decides
(the end of a wait, Flash's word, a void, an answer that could not be written) decides under it, one after another, in
one transaction. Redemptions of one coupon take turns. What a wait's end leaves open goes to `unconfirmed.py`.

Called by the API; started and stopped by the composition root; fails as the store does.
"""

import asyncio
import contextlib
import random
import weakref
from collections.abc import Callable

import msgspec

from agent import logs
from agent.clock import Clock
from agent.config import Settings
from agent.coupons import Limits, Sightings, why_not_offline
from agent.delivery import NOT_LEFT, Kind, MayLeave, Outcome
from agent.errors import Refusal
from agent.flash import readings
from agent.flash.client import FlashClient
from agent.model import BasketVoid, Customer, member_subjects
from agent.outbox.line import Line
from agent.outbox.operation import Operation, basket_key, redeemed_of
from agent.outbox.redemptions import Exposure, Redemptions
from agent.outbox.relay import Relay
from agent.outbox.state import Status
from agent.redemption.cases import Case, Cases, Post

PROBE_WAIT_S = 1.0
DECIDING_S = 0.03  # of a wait, for the commits that its end takes
RETRY_PAUSE_S = (0.05, 0.25)
STORE_PAUSE_S = 0.5
STOP_GRACE_S = 3.0


class Redeeming:
    """The redemptions that registers wait for now."""

    def __init__(
        self,
        redemptions: Redemptions,
        *,
        relay: Relay,
        line: Line,
        flash: FlashClient,
        clock: Clock,
        settings: Settings,
        sightings: Sightings,
    ) -> None:
        self.redemptions = redemptions
        self.relay = relay
        self._line = line
        self._flash = flash
        self._clock = clock
        self._settings = settings
        self._sightings = sightings
        self.cases = Cases()
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._log = logs.get()
        self.left_open: Callable[[], None] = lambda: None  # something may be unconfirmed, owed or a credit now

    async def stop(self) -> None:
        """Let what is in flight finish for a moment; what is cut off is unconfirmed at the next start."""
        tasks = [*self._tasks, *(case.work for case in self.cases if case.work is not None)]
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=STOP_GRACE_S)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    def release_waiters(self) -> None:
        """Answer everybody who waits now, with what is known."""
        self._stopping = True
        for case in self.cases:
            case.released.set()

    # ---- a register asks ------------------------------------------------------------------------------------------

    async def redeem(self, operation: Operation, wait_s: float, is_gone: Callable[[], bool]) -> "Told":
        """The answer to one POST, within its wait; tell it afterwards whether the answer could be written."""
        async with self.cases.dealing(operation) as case:
            post = Post(self._clock.monotonic() + max(0.0, wait_s - DECIDING_S), is_gone)
            case.posts.add(post)
            try:
                async with case.lock:
                    operation = await self._begin(case, operation)
                if operation.status is Status.PENDING and not redeemed_of(operation).honor:
                    self._set_going(case, operation)
                    await self._wait(case, post)
                async with case.lock:
                    operation = await self._answer(case, post, operation)
                    return self._told(case, operation)
            except Refusal:
                self._take_back_soon(case, operation)  # a yes that was written although its commit failed
                raise
            finally:
                case.posts.discard(post)
                self.left_open()

    async def _begin(self, case: Case, operation: Operation) -> Operation:
        current = await self.redemptions.get(operation.seq)
        if current.status is not Status.PENDING or redeemed_of(current).phase != "posting":
            return current
        case.delivered = False  # a credit may be used for this very request, even where the commit fails
        return await self.redemptions.begin(current, self.basket_of(current))

    def _set_going(self, case: Case, operation: Operation) -> None:
        if redeemed_of(operation).phase == "posting" and case.work is None:
            case.released.clear()
            case.users += 1
            case.work = asyncio.create_task(self._post(case, operation))
        elif redeemed_of(operation).phase == "unknown":
            if self._line.is_open:
                case.released.clear()
                self.left_open()
            else:
                case.released.set()  # nobody can be asked now

    async def _wait(self, case: Case, post: Post) -> None:
        left_s = post.until - self._clock.monotonic()
        if left_s > 0 and not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await case.released.wait()

    async def _answer(self, case: Case, post: Post, operation: Operation) -> Operation:
        """What this POST is told as it stops waiting; the last one to stop decides what becomes of the redemption."""
        post.waits = False
        operation = await self._begin(case, operation)
        if (
            operation.status is Status.PENDING
            and redeemed_of(operation).phase == "posting"
            and not self._somebody_waits(case)
        ):
            operation = await self._give_up(case, operation, offline=True)
        return operation

    async def _give_up(self, case: Case, operation: Operation, *, offline: bool) -> Operation:
        exposure = await self._exposure(operation) if offline else None
        if exposure is not None:
            case.delivered = False
        operation = await self.redemptions.give_up(operation, self.basket_of(operation), exposure)
        case.released.set()
        if redeemed_of(operation).phase != "settled":
            self._tell_others(case)
            self.left_open()
            self.relay.wake()
        return operation

    def _tell_others(self, case: Case) -> None:
        """Others of this coupon, which wait for their turn, need not wait any longer."""
        for other in self.cases:
            if other is not case and other.coupon_id == case.coupon_id:
                other.released.set()

    def _somebody_waits(self, case: Case) -> bool:
        return not self._stopping and case.is_waited_for(self._clock.monotonic())

    # ---- posting --------------------------------------------------------------------------------------------------

    async def _post(self, case: Case, operation: Operation) -> None:
        turn = self._turns.setdefault(case.coupon_id, asyncio.Lock())
        try:
            async with turn:
                async with case.lock:
                    operation = await self.redemptions.get(operation.seq)
                    if self._somebody_waits(case):
                        operation = await self._begin(case, operation)
                while operation.status is Status.PENDING and redeemed_of(operation).phase == "posting":
                    if not await self._line_is_open(case, operation) or not await self._attempt(case, operation):
                        break
                    operation = await self.redemptions.get(operation.seq)
        except Refusal as error:
            self._log.warning("redemption waits for the store", code=error.code)
        except Exception:  # noqa: BLE001 - the register gets its answer all the same
            self._log.exception("redemption failed", operation=operation.id)
        finally:
            case.released.set()
            case.work = None
            self.cases.done_with(case)
            self.left_open()

    async def _line_is_open(self, case: Case, operation: Operation) -> bool:
        """Whether a POST may go; one whose answer was lost looks for the line until nobody waits any more."""
        while self._somebody_waits(case):
            if self._line.permits_waiting(Kind.REDEMPTION) and self.relay.has_place:
                left_s = max(post.until for post in case.posts) - self._clock.monotonic()
                if not self._line.needs_probe or await self.relay.find_line(min(PROBE_WAIT_S, max(0.05, left_s))):
                    return True
            if operation.maybe_sent == 0 and self.relay.has_place:
                return False
            await self._clock.sleep(random.uniform(*RETRY_PAUSE_S))  # noqa: S311 - jitter
        return False

    async def _attempt(self, case: Case, operation: Operation) -> bool:
        """One attempt; False when it is not to be sent any more."""
        async with case.lock:
            claimed = await self.redemptions.claim(operation) if self._somebody_waits(case) else None
        if claimed is None:
            return False
        if not self._somebody_waits(case):  # the commit took the rest of the wait, or the basket was voided
            await self.conclude(case, claimed, NOT_LEFT)
            return False
        operation = await self.send(case, claimed, lambda: self._somebody_waits(case))
        if operation.status is Status.PENDING:
            await self._clock.sleep(random.uniform(*RETRY_PAUSE_S))  # noqa: S311 - jitter
        return True

    async def send(self, case: Case, claimed: Operation, may_leave: MayLeave | None = None) -> Operation:
        """One attempt for a claimed redemption, and what came of it.

        `may_leave` is asked again once the connection is made: that may take longer than a register waits.
        """
        outcome = await self.relay.send_beside(claimed, waiting=self._somebody_waits(case), may_leave=may_leave)
        return await self.conclude(case, claimed, outcome)

    async def conclude(self, case: Case, operation: Operation, outcome: Outcome, *, sent: bool = True) -> Operation:
        """Write what an attempt, or a read, brought; a yes honors whoever waits, and is a credit where nobody does."""
        again = False
        while True:
            try:
                async with case.lock:
                    waiting = self._somebody_waits(case)
                    before = redeemed_of(await self.redemptions.get(operation.seq)).honor
                    if waiting and not before:
                        case.delivered = False  # by now: a commit that fails may turn out to have been written
                    operation = await self.redemptions.conclude(
                        operation, outcome, waiting=waiting, sent=sent and not again
                    )
                    honored = redeemed_of(operation).honor and operation.status is Status.SUCCEEDED
                    if again and honored and not waiting and case.nobody_was_told():
                        operation = await self.redemptions.forfeit(operation)  # the first try was written after all
                break
            except Refusal as error:
                again = True
                self._log.warning("outcome waits for the store", code=error.code)
                await self._clock.sleep(STORE_PAUSE_S)
        if operation.status is not Status.PENDING:
            case.released.set()
        self.left_open()
        return operation

    # ---- without Flash --------------------------------------------------------------------------------------------

    async def _exposure(self, operation: Operation) -> Exposure | None:
        """What honoring without Flash's word would add to the ledger; None where that may not be."""
        coupons = self._settings.coupons
        held = self._line.key_held or not self._line.permits_endpoint(Kind.REDEMPTION)
        unasked = operation.maybe_sent == 0 and self._line.is_open  # it was late, not offline
        if coupons.offline != "limited" or held or unasked or operation.content is None:
            return None
        request = operation.content.request
        seen = await self._sightings.sighting(request["couponId"], subjects_of(operation))
        limits = Limits(coupons.max_snapshot_age_h, coupons.max_per_day, coupons.max_per_member, coupons.max_value)
        now_ms, known = self._flash.time_ms()
        if seen is None or why_not_offline(seen, now_ms, clock_known=known, limits=limits):
            return None
        return Exposure(
            day=request.get("businessDate") or self._clock.today(),
            till=self._settings.store.till_id,
            member=member_subjects(seen.member_id, None, None)[0],
            value=readings.coupon_value(seen.coupon),
            max_per_day=limits.max_per_day,
            max_per_member=limits.max_per_member,
        )

    # ---- the answer, and what follows -----------------------------------------------------------------------------

    def _told(self, case: Case, operation: Operation) -> "Told":
        if not redeemed_of(operation).honor:
            return Told(operation)
        case.users += 1
        case.undelivered += 1
        return Told(operation, lambda written: self._was_written(case, operation, written=written))

    def _was_written(self, case: Case, operation: Operation, *, written: bool) -> None:
        """A yes reached its register, or not."""
        case.undelivered -= 1
        case.delivered = case.delivered or written
        self._take_back_soon(case, operation)
        self.cases.done_with(case)

    def _take_back_soon(self, case: Case, operation: Operation) -> None:
        if case.nobody_was_told():
            case.users += 1
            task = asyncio.create_task(self._take_back(case, operation))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _take_back(self, case: Case, operation: Operation) -> None:
        """No yes reached a register, unless another POST of this redemption brings one."""
        try:
            while case.nobody_was_told():
                try:
                    async with case.lock:
                        if self._somebody_waits(case) or not case.nobody_was_told():
                            return
                        await self.redemptions.forfeit(operation)
                        case.delivered = True  # a later answer says no
                except Refusal as error:
                    self._log.warning("redemption waits for the store", code=error.code)
                    await self._clock.sleep(STORE_PAUSE_S)
        finally:
            self.cases.done_with(case)
            self.left_open()

    async def void(self, void: BasketVoid) -> str | None:
        """Void a basket; returns the state of the credit that it leaves."""
        basket = self._basket(void.coupon_id, void.business_date, void.transaction_id)
        affected = [case for case in self.cases if case.coupon_id == void.coupon_id]
        async with contextlib.AsyncExitStack() as stack:
            for case in sorted(affected, key=lambda case: case.seq):
                await stack.enter_async_context(case.lock)
            seqs, credit = await self.redemptions.void(basket, void.reason)
            for case in affected:
                if case.seq in seqs:
                    case.released.set()
                    case.delivered = True
        self.left_open()
        return credit

    def basket_of(self, operation: Operation) -> str:
        """The basket of a redemption; of one whose content is gone nothing is known but that it is settled."""
        request = operation.content.request if operation.content else {}
        return self._basket(request.get("couponId", ""), request.get("businessDate"), request.get("transactionId", ""))

    def _basket(self, coupon_id: str, business_date: str | None, transaction_id: str) -> str:
        store = self._settings.store
        return basket_key(
            coupon_id=coupon_id,
            store_id=store.store_id or "",
            till_id=store.till_id,
            business_date=business_date,
            transaction_id=transaction_id,
        )


class Told(msgspec.Struct, frozen=True):
    """An answer to a POST; `written` is to be told whether it reached the register (None: nothing hangs on it)."""

    operation: Operation
    written: Callable[[bool], None] | None = None


def subjects_of(operation: Operation) -> list[str]:
    """The member subjects of a redemption's customer; empty where the register named none."""
    customer = operation.content.request.get("customer") if operation.content else None
    return Customer.model_validate(customer).subjects() if customer else []
