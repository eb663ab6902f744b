"""What a wait's end left open: redemptions that may have burned a coupon, and those honored offline that Flash is owed.

One task, one redemption at a time, at the pace of a backlog. An unknown one is first read about (`GET
/members/{id}/coupons`), never posted blindly: still active, so nothing was burned; gone, so nothing is left to burn and
one POST with the same key tells whether it was this till; anything else is for a person. One that was honored offline
is posted until Flash says yes or no; past the key's age it is read about as well.

Nothing is timed while nothing is open. Started and stopped by the composition root; woken by the conductor
(`redeeming.py`) and by the line.
"""

from agent import logs
from agent.clock import Clock, to_ms
from agent.coupons import Sightings, Standing, standing
from agent.delivery import Contact, Fate, Kind, Outcome
from agent.errors import Refusal
from agent.flash import readings
from agent.flash.client import FlashClient
from agent.flash.reads import Reads
from agent.health import Health, how_many
from agent.members.gate import Gate
from agent.outbox.line import Line
from agent.outbox.operation import Operation, redeemed_of
from agent.outbox.redemptions import NOT_BURNED
from agent.outbox.retry import operation_wait_s
from agent.outbox.state import Status
from agent.redemption.cases import Case
from agent.redemption.redeeming import Redeeming, subjects_of
from agent.tasks import Lookout

_CLOCK_STEP_MS = 5 * 60_000  # a clock may have been set back so far between two starts without meaning anything
_LATER = {Contact.UNREACHABLE, Contact.TROUBLED, Contact.THROTTLED, Contact.KEY_REFUSED}
_STORE_PAUSE_S = 1.0
_FORGOTTEN_S = 60.0


class Unconfirmed:
    """The task that clears up."""

    def __init__(
        self,
        redeeming: Redeeming,
        *,
        flash: FlashClient,
        line: Line,
        clock: Clock,
        health: Health,
        sightings: Sightings,
        gate: Gate,
        key_age_h: float,
    ) -> None:
        self._redeeming = redeeming
        self._redemptions = redeeming.redemptions
        self._flash = flash
        self._reads = Reads(flash)
        self._line = line
        self._clock = clock
        self._health = health
        self._sightings = sightings
        self._gate = gate
        self._key_age_ms = key_age_h * 3_600_000
        self._lookout = Lookout(self._look_safely, clock, name="unconfirmed")
        self._anything_left = True
        self._of_a_former_run: set[int] = set()
        self._tries: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        self._under_way_until: dict[int, tuple[int | None, float]] = {}
        self._log = logs.get()

    async def start(self) -> None:
        """Begin with what a former run left."""
        self._of_a_former_run = set(await self._redemptions.unsettled())
        self._lookout.start()

    async def stop(self) -> None:
        """Stop; what is cut off is taken up at the next start."""
        await self._lookout.stop()

    def wake(self, *, now: bool = False) -> None:
        """Something may be open, or changed; `now`: whatever pauses."""
        if now:
            self._not_before.clear()
        self._anything_left = True
        self._lookout.wake()

    def line_changed(self) -> None:
        """The line may be open; costs nothing where nothing is left."""
        if self._anything_left:
            self._lookout.wake()

    async def _look_safely(self) -> float | None:
        delay_s: float | None = _STORE_PAUSE_S
        try:
            delay_s = await self._look()
        except Refusal as error:
            self._log.warning("redemptions wait for the store", code=error.code)
        except Exception:  # noqa: BLE001 - the task never stops
            self._log.exception("a redemption cannot be cleared up")
        return None if delay_s is None else max(0.01, delay_s)

    async def _look(self) -> float | None:
        """Take up each that is open; returns in how many seconds to look again (None: when woken)."""
        delays: list[float] = []
        self._anything_left = False
        for seq in await self._redemptions.unsettled():
            if self._redeeming.cases.is_posting(seq):
                continue
            operation = await self._redemptions.get(seq)
            if redeemed_of(operation).phase == "posting":
                # Its register is gone, with a former run or without its answer.
                if seq not in self._of_a_former_run and not self._is_forgotten(operation):
                    delays.append(_FORGOTTEN_S)
                    continue
                async with self._redeeming.cases.dealing(operation) as case, case.lock:
                    operation = await self._redemptions.give_up(operation, self._redeeming.basket_of(operation))
            if operation.status is not Status.PENDING:
                continue
            self._anything_left = True
            delay_s = await self._take_up_when_due(operation)
            if delay_s is not None:
                delays.append(delay_s)
        await self.show()
        return min(delays, default=None)

    def _is_forgotten(self, operation: Operation) -> bool:
        """Whether its register, whose request may be between two steps, has surely gone."""
        return abs(to_ms(self._clock.now()) - operation.accepted_at) > _FORGOTTEN_S * 1000

    async def _take_up_when_due(self, operation: Operation) -> float | None:
        """Seconds to wait before it is its turn (again); None where the line must change first, or it is settled."""
        now = self._clock.monotonic()
        not_before = max(self._not_before.get(operation.seq, 0.0), now + self._still_under_way_s(operation))
        if not_before > now:
            return not_before - now
        if not self._line.is_open or not self._line.permits_endpoint(Kind.REDEMPTION):
            self._redeeming.relay.wake()  # which probes a dead line while anything is pending
            return self._line.next_change_s(now)
        if not self._redeeming.relay.has_place:
            return 0.05
        async with self._redeeming.cases.dealing(operation) as case:
            operation = await self._take_up(case, operation)
        if operation.status is not Status.PENDING:
            self._tries.pop(operation.seq, None)
            self._not_before.pop(operation.seq, None)
            self._under_way_until.pop(operation.seq, None)
            return None
        tries = self._tries[operation.seq] = self._tries.get(operation.seq, 0) + 1
        reads = redeemed_of(operation).phase != "owed"
        pause_s = operation_wait_s(tries, self._gate.closed_for_s if reads else None)
        self._not_before[operation.seq] = self._clock.monotonic() + pause_s
        return pause_s

    def _still_under_way_s(self, operation: Operation) -> float:
        """How long its last attempt may still be on its way: an attempt's limit at the most, whatever the clock.

        Fixed when that attempt is first looked at, so that a clock that was set back does not begin it again each time.
        One of a former run gets the whole limit: a clock that was set ahead meanwhile would let it seem long over.
        """
        asked_at = operation.redeemed.last_asked_at if operation.redeemed else None
        if asked_at is None:
            return 0.0
        now = self._clock.monotonic()
        known, until = self._under_way_until.get(operation.seq, (None, 0.0))
        if known != asked_at:
            limit_s = self._flash.attempt_timeout_s
            is_of_a_former_run = known is None and operation.seq in self._of_a_former_run
            passed_s = 0.0 if is_of_a_former_run else max(0.0, (self._clock.steady_ms() - asked_at) / 1000)
            until = now + max(0.0, limit_s - passed_s)
            self._under_way_until[operation.seq] = (asked_at, until)
        return max(0.0, until - now)

    async def _take_up(  # noqa: PLR0911 - a table, one row a return
        self, case: Case, operation: Operation
    ) -> Operation:
        if not operation.content:
            return await self._fail(case, operation, "The stored operation can no longer be read.")
        owed = redeemed_of(operation).phase == "owed"
        too_old = operation.maybe_sent > 0 and self._key_is_too_old(operation)
        if owed and not too_old:
            return await self._post(case, operation)
        if self._gate.is_closed:
            return operation
        found = await self._read(operation)
        if found is None:
            return operation
        if isinstance(found, Outcome):
            self._gate.learn([found])
            if found.contact in _LATER:
                return operation
            return await self._fail(case, operation, f"The member's coupons cannot be read: {found.detail}")
        if found is Standing.UNCLEAR:
            return await self._fail(case, operation, "Flash's list does not tell whether this coupon was burned.")
        if found is Standing.ACTIVE and not owed:
            detail = "Flash still lists the coupon as active: nothing was burned."
            word = Outcome(Fate.DECLINED, Contact.ANSWERED, NOT_BURNED, detail)
            return await self._redeeming.conclude(case, operation, word, sent=False)
        if found is Standing.GONE and too_old:
            return await self._fail(case, operation, "The coupon is used; too long ago to ask Flash by whom.")
        return await self._post(case, operation)

    async def _post(self, case: Case, operation: Operation) -> Operation:
        async with case.lock:
            claimed = await self._redemptions.claim(operation)
        if claimed is None:
            return await self._redemptions.get(operation.seq)
        return await self._redeeming.send(case, claimed)

    async def _read(self, operation: Operation) -> Standing | Outcome | None:
        """Where the coupon stands by the member's list as Flash gives it now; None: it asked for a pause meanwhile."""
        assert operation.content is not None  # noqa: S101 - looked at before
        coupon_id = operation.content.request["couponId"]
        seen = await self._sightings.sighting(coupon_id, subjects_of(operation))
        member_id = await self._member_id(operation.content.request.get("customer") or {})
        if isinstance(member_id, Outcome):
            return member_id
        member_id = member_id or (seen.member_id if seen else None)
        if member_id is None or not readings.is_id(member_id):
            return Standing.UNCLEAR
        if self._gate.is_closed:
            return None
        listed = await self._reads.coupons(member_id)
        if isinstance(listed, Outcome):
            return listed
        before = operation.content.coupon  # as it was seen by the till that was to burn it, which may be another one
        return standing(listed, coupon_id, before=before, was_seen=seen is not None or bool(before))

    async def _member_id(self, customer: dict[str, str]) -> str | Outcome | None:
        if "memberId" in customer:
            return customer["memberId"]
        for name in ("externalId", "email"):
            if name in customer:
                found = await self._reads.find(name, customer[name])
                if isinstance(found, Outcome):
                    return found
                if len(found) == 1:
                    return str(found[0]["id"])
        return None

    def _key_is_too_old(self, operation: Operation) -> bool:
        asked_at = operation.redeemed.first_asked_at if operation.redeemed else None
        age_ms = self._clock.steady_ms() - (asked_at or 0)
        return not -_CLOCK_STEP_MS <= age_ms <= self._key_age_ms

    async def _fail(self, case: Case, operation: Operation, detail: str) -> Operation:
        mend = "Look in Flash whether it was redeemed, then close this operation as burned or not burned."
        word = Outcome(Fate.FAILED, Contact.ANSWERED, "unconfirmed", f"{detail} {mend}")
        return await self._redeeming.conclude(case, operation, word, sent=False)

    async def show(self) -> None:
        """Raise or clear the conditions that call a person."""
        counts = await self._redemptions.counts()
        for code, count in (
            ("redemptions-unconfirmed", counts["unconfirmed"]),
            ("coupon-credits-open", counts["creditsOpen"]),
            ("coupons-honored-offline-lost", counts["lost"]),
        ):
            self._health.set(code, active=count > 0, detail=how_many(count))
