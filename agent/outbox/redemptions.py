"""The moves of a redemption between its states, each one transaction over its operation and its own row.

    posting ──▶ settled            Flash's word came while a register waited; or nothing was sent, or the basket is void
       │  └───▶ unknown ──▶ settled   the wait ended without a word: it may have been burned; read, then decided
       └──────▶ owed ─────▶ settled   honored offline (`limited`): sent later under the same key

An operation is pending until it is settled; an unknown or owed one may also fail, and keeps its phase then. `honor` is
true for one discount given; `credit` is `open` for a coupon burned and not honored, which the next redemption of that
coupon takes over (`used`) or an operator closes. Both are never there together: one discount a burn.

Called by the conductor (`agent/redemption/`), which holds one lock a redemption; fails as the store does.
"""

from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from agent.clock import to_ms
from agent.delivery import Fate, Kind, Outcome
from agent.errors import ConflictError
from agent.outbox.changes import Change
from agent.outbox.operation import Operation, Verdict, redeemed_of
from agent.outbox.redemption_rows import Moved, RedemptionRows, change_of
from agent.outbox.state import Status
from agent.storage import Transaction

UNCONFIRMED = "unconfirmed"
HONORED_OFFLINE = "honored-offline"
NOT_BURNED = "not-burned"
NOT_SENT = Verdict(code="not-sent", detail="Flash could not be asked in time; nothing was sent and nothing is burned.")
_VOIDED = Verdict(code="voided", detail="The basket was voided.")
_OTHER_OPEN = Verdict(
    code=UNCONFIRMED, detail="An earlier redemption of this coupon is not confirmed yet; nothing was sent for this one."
)
_NOT_REFUSED = frozenset({NOT_BURNED, NOT_SENT.code})  # declined, and nothing is known against the coupon

_ENTER = """
INSERT OR IGNORE INTO redemption (seq, basket, phase)
SELECT seq, ?, 'posting' FROM operation WHERE seq = ? AND status = 'pending'
"""
_IS_VOIDED = "SELECT 1 FROM voided_basket WHERE basket = (SELECT basket FROM redemption WHERE seq = ?)"
_OPEN_CREDIT = """
SELECT other.seq, other.id, other.status
FROM operation AS mine
CROSS JOIN operation AS other INDEXED BY operation_key ON other.scope = mine.scope
CROSS JOIN redemption ON redemption.seq = other.seq
WHERE mine.seq = ? AND redemption.credit = 'open' ORDER BY other.seq LIMIT 1
"""
# Whether another redemption of this coupon may still turn out to have burned it.
_OTHER_UNCLEAR = """
SELECT 1
FROM operation AS mine
CROSS JOIN operation AS other INDEXED BY operation_key ON other.scope = mine.scope
CROSS JOIN redemption ON redemption.seq = other.seq
WHERE mine.seq = ? AND other.seq <> mine.seq
  AND (other.status = 'pending' AND redemption.phase IN ('unknown', 'owed')
    OR other.status = 'failed' AND redemption.phase = 'unknown')
LIMIT 1
"""
# Whether this coupon was burned or honored at this till before; for what is honored without Flash's word.
_USED_HERE = """
SELECT 1
FROM operation AS mine
CROSS JOIN operation AS other INDEXED BY operation_key ON other.scope = mine.scope
CROSS JOIN redemption ON redemption.seq = other.seq
WHERE mine.seq = ? AND other.seq <> mine.seq
  AND (redemption.honor = 1 OR redemption.credit IS NOT NULL OR redemption.phase <> 'settled')
LIMIT 1
"""
# Others of this coupon that were sent and declined: by Flash, perhaps, and then it is not honored without Flash's word.
_SENT_IN_VAIN = """
SELECT other.seq
FROM operation AS mine
CROSS JOIN operation AS other INDEXED BY operation_key ON other.scope = mine.scope
CROSS JOIN redemption ON redemption.seq = other.seq
WHERE mine.seq = ? AND other.status = 'declined' AND redemption.first_asked_at IS NOT NULL
"""
_EXPOSED = "SELECT count(*), COALESCE(sum(member IS ?2), 0) FROM redemption WHERE day IS NOT NULL AND day = ?1"
_CLAIM = (
    "UPDATE operation SET maybe_sent = maybe_sent + 1, attempts = attempts + 1 WHERE seq = ? AND status = 'pending'"
)
_ASKED = "UPDATE redemption SET first_asked_at = COALESCE(first_asked_at, ?1), last_asked_at = ?1 WHERE seq = ?2"
_ATTEMPTS = "SELECT seq FROM redemption WHERE basket = ? ORDER BY seq"


class Exposure(msgspec.Struct, frozen=True):
    """What honoring one coupon without Flash's word would add to the ledger, and the ledger's limits."""

    day: str
    till: str
    member: str
    value: Decimal | None
    max_per_day: int
    max_per_member: int


class Redemptions(RedemptionRows):
    """The redemptions of one outbox."""

    # ---- a register asks ------------------------------------------------------------------------------------------

    async def begin(self, operation: Operation, basket: str) -> Operation:
        """Where a redemption stands as its register asks: decided at once, or to be sent (`posting`).

        A voided basket is refused, an open credit of the coupon is used, an unclear earlier one is not outrun.
        """
        moved = Moved()
        async with self._database.transaction() as transaction:
            await transaction.fetch(_ENTER, [self._sealer.hash(basket), operation.seq])
            current = await self._read(transaction, operation.seq)
            if current.status is Status.PENDING and redeemed_of(current).phase == "posting":
                await self._decide_at_once(transaction, current, moved)
            current = await self._read(transaction, operation.seq)
        return self._told(moved, current)

    async def _decide_at_once(self, transaction: Transaction, operation: Operation, moved: Moved) -> None:
        seq = operation.seq
        if await transaction.fetch(_IS_VOIDED, [seq]):
            if operation.maybe_sent == 0:
                await self._settle(transaction, operation, Status.DECLINED, _VOIDED, moved)
            await self._set(transaction, seq, basis="voided", phase="unknown" if operation.maybe_sent else "settled")
        elif operation.maybe_sent == 0 and (found := await transaction.fetch(_OPEN_CREDIT, [seq])):
            ((earlier, earlier_id, status),) = found
            await self._set(transaction, earlier, credit="used")
            moved.changes.append(Change(earlier, earlier_id, Kind.REDEMPTION, Status(status)))
            await self._settle(transaction, operation, Status.SUCCEEDED, Verdict(), moved)
            await self._set(transaction, seq, honor=1, basis="earlier-redemption", phase="settled")
        elif operation.maybe_sent == 0 and await transaction.fetch(_OTHER_UNCLEAR, [seq]):
            await self._settle(transaction, operation, Status.DECLINED, _OTHER_OPEN, moved)
            await self._set(transaction, seq, phase="settled")

    async def give_up(self, operation: Operation, basket: str, exposure: Exposure | None = None) -> Operation:
        """Nobody waits any more, or waiting is in vain: honored offline where that is allowed, else not."""
        moved = Moved()
        async with self._database.transaction() as transaction:
            await transaction.fetch(_ENTER, [self._sealer.hash(basket), operation.seq])
            current = await self._read(transaction, operation.seq)
            if current.status is Status.PENDING and redeemed_of(current).phase == "posting":
                if exposure is not None and await self._has_room(transaction, operation.seq, exposure):
                    await self._set(
                        transaction,
                        operation.seq,
                        phase="owed",
                        honor=1,
                        basis="offline-policy",
                        day=exposure.day,
                        till=exposure.till,
                        member=self._sealer.hash(exposure.member),
                        value=None if exposure.value is None else f"{exposure.value:f}",
                    )
                elif current.maybe_sent == 0:
                    await self._settle(transaction, current, Status.DECLINED, NOT_SENT, moved)
                    await self._set(transaction, operation.seq, phase="settled", basis="not-sent")
                else:
                    await self._set(transaction, operation.seq, phase="unknown")
            current = await self._read(transaction, operation.seq)
        return self._told(moved, current)

    async def _has_room(self, transaction: Transaction, seq: int, exposure: Exposure) -> bool:
        member = self._sealer.hash(exposure.member)
        ((in_all, of_member),) = await transaction.fetch(_EXPOSED, [exposure.day, member])
        return (
            in_all < exposure.max_per_day
            and of_member < exposure.max_per_member
            and not await transaction.fetch(_USED_HERE, [seq])
            and not await self._was_refused(transaction, seq)
        )

    async def _was_refused(self, transaction: Transaction, seq: int) -> bool:
        """Whether Flash refused this coupon here before, whatever an older look at the member's list showed."""
        for (other,) in await transaction.fetch(_SENT_IN_VAIN, [seq]):
            if (await self._read(transaction, other)).verdict.code not in _NOT_REFUSED:
                return True
        return False

    async def forfeit(self, operation: Operation) -> Operation:
        """The register never got its yes: a burn becomes a credit, an offline honour is taken back."""
        moved = Moved()
        async with self._database.transaction() as transaction:
            current = await self._read(transaction, operation.seq)
            if redeemed_of(current).honor:
                await self._take_back(transaction, current, moved, NOT_SENT, unsent="not-sent", unclear=UNCONFIRMED)
            current = await self._read(transaction, operation.seq)
            moved.changes.append(change_of(current))
        return self._told(moved, current)

    async def _take_back(
        self,
        transaction: Transaction,
        operation: Operation,
        moved: Moved,
        verdict: Verdict,
        *,
        unsent: str,
        unclear: str,
    ) -> None:
        """Give no discount: `unsent` and `unclear` are the basis where nothing was sent, or perhaps something."""
        seq, was = operation.seq, redeemed_of(operation)
        gone: dict[str, Any] = {"honor": 0, "day": None, "lost": 0}
        if operation.status is Status.SUCCEEDED:
            basis = unclear if unclear == "voided" else was.basis
            await self._set(transaction, seq, **gone, basis=basis, credit="open" if was.honor else was.credit)
        elif operation.status is Status.PENDING and operation.maybe_sent == 0:
            await self._settle(transaction, operation, Status.DECLINED, verdict, moved)
            await self._set(transaction, seq, **gone, basis=unsent, phase="settled")
        elif operation.status is Status.PENDING:
            await self._set(transaction, seq, **gone, basis=unclear, phase="unknown")
        elif operation.status is Status.FAILED and operation.verdict.code == HONORED_OFFLINE:
            # Refused by Flash, and no discount stands.
            await self._settle(transaction, operation, Status.DECLINED, operation.verdict, moved)
            await self._set(transaction, seq, **gone, basis=unclear, phase="settled")
        elif operation.status is Status.FAILED:
            await self._set(transaction, seq, **gone, basis=unclear, phase="unknown")
        else:
            await self._set(transaction, seq, **gone, basis=unclear)

    # ---- Flash is asked -------------------------------------------------------------------------------------------

    async def claim(self, operation: Operation) -> Operation | None:
        """Durably "maybe sent", before the first byte may leave; None when it is not to be sent any more."""
        now_ms = self._clock.steady_ms()
        async with self._database.transaction() as transaction:
            current = await self._read(transaction, operation.seq)
            is_void = current.maybe_sent == 0 and await transaction.fetch(_IS_VOIDED, [operation.seq])
            if current.status is not Status.PENDING or is_void:
                return None
            await transaction.fetch(_CLAIM, [operation.seq])
            await transaction.fetch(_ASKED, [now_ms, operation.seq])
            return await self._read(transaction, operation.seq)

    async def conclude(self, operation: Operation, outcome: Outcome, *, waiting: bool, sent: bool = True) -> Operation:
        """Write what Flash said. `waiting`: an unvoided POST waits, which a yes honors; `sent`: an attempt is over."""
        moved = Moved()
        async with self._database.transaction() as transaction:
            if sent and outcome.unsent:
                await transaction.fetch(
                    "UPDATE operation SET maybe_sent = maybe_sent - 1 WHERE seq = ? AND maybe_sent > 0", [operation.seq]
                )
            current = await self._read(transaction, operation.seq)
            if current.status is Status.PENDING:
                await self._take_word(transaction, current, outcome, moved, waiting=waiting)
            current = await self._read(transaction, operation.seq)
        return self._told(moved, current)

    async def _take_word(
        self, transaction: Transaction, operation: Operation, outcome: Outcome, moved: Moved, *, waiting: bool
    ) -> None:
        seq, was = operation.seq, redeemed_of(operation)
        verdict = Verdict(dict(outcome.result), outcome.code, outcome.detail, outcome.http_status, outcome.definitive)
        basis = was.basis if was.honor or was.basis == "voided" else "flash"
        match outcome.fate:
            case Fate.SUCCEEDED:
                honor = was.honor or (waiting and was.basis != "voided")
                await self._settle(transaction, operation, Status.SUCCEEDED, verdict, moved)
                credit = None if honor else "open"
                await self._set(transaction, seq, phase="settled", honor=int(honor), basis=basis, credit=credit, lost=0)
            case Fate.DECLINED if was.honor:
                lost = replace(verdict, code=HONORED_OFFLINE, detail="Honored offline, and refused by Flash later.")
                await self._settle(transaction, operation, Status.FAILED, lost, moved)
                await self._set(transaction, seq, lost=1)
            case Fate.DECLINED:
                await self._settle(transaction, operation, Status.DECLINED, verdict, moved)
                await self._set(transaction, seq, phase="settled", basis=basis)
            case Fate.FAILED:  # not definitive: a retry asks under the same key, or only reads
                await self._settle(transaction, operation, Status.FAILED, replace(verdict, definitive=False), moved)
                if was.phase == "posting":
                    await self._set(transaction, seq, phase="unknown")
            case _:
                await self._keep_verdict(transaction, operation, verdict)
                if operation.maybe_sent == 0 and was.phase == "unknown":  # the only attempt never left
                    voided = was.basis == "voided"
                    await self._settle(transaction, operation, Status.DECLINED, _VOIDED if voided else NOT_SENT, moved)
                    await self._set(transaction, seq, phase="settled", basis="voided" if voided else "not-sent")

    # ---- the basket is voided --------------------------------------------------------------------------------------

    async def void(self, basket: str, reason: str | None) -> tuple[list[int], str | None]:
        """Mark a basket, for ever; returns the redemptions in it and the state of a credit, if there is one."""
        moved = Moved()
        key = self._sealer.hash(basket)
        verdict = replace(_VOIDED, detail=f"The basket was voided: {reason}") if reason else _VOIDED
        async with self._database.transaction() as transaction:
            await transaction.fetch(
                "INSERT OR IGNORE INTO voided_basket (basket, voided_at) VALUES (?, ?)",
                [key, to_ms(self._clock.now())],
            )
            seqs = [seq for (seq,) in await transaction.fetch(_ATTEMPTS, [key])]
            states: list[str | None] = []
            for seq in seqs:
                operation = await self._read(transaction, seq)
                if operation.status is not Status.DISCARDED:
                    await self._take_back(transaction, operation, moved, verdict, unsent="voided", unclear="voided")
                after = await self._read(transaction, seq)
                moved.changes.append(change_of(after))
                states.append(redeemed_of(after).credit)
        self._changes.tell(moved.changes)
        return seqs, next((state for state in ("open", "used", "closed") if state in states), None)

    # ---- operators -------------------------------------------------------------------------------------------------

    async def close(self, operation_id: str, *, burned: bool | None, by: str, reason: str) -> Operation:
        """Close an open credit; or say of a failed redemption whether it was burned (then it leaves a credit)."""
        moved = Moved()
        async with self._database.transaction() as transaction:
            operation = await self._rows.get(transaction, operation_id)
            await self._rows.add_redeemed(transaction, [operation])
            was = operation.redeemed
            verdict = replace(operation.verdict, by=by, reason=reason)
            if was is not None and was.credit == "open" and burned is not False:
                await self._keep_verdict(transaction, operation, verdict)
                await self._set(transaction, operation.seq, credit="closed")
                moved.changes.append(change_of(operation))
            elif was is not None and operation.status is Status.FAILED and burned is not None:
                await self._settle(
                    transaction, operation, Status.SUCCEEDED if burned else Status.DECLINED, verdict, moved
                )
                await self._set(
                    transaction,
                    operation.seq,
                    phase="settled",
                    credit="open" if burned and not was.honor else None,
                    lost=int(was.honor and not burned),
                )
            else:
                needs = was is not None and operation.status is Status.FAILED
                detail = (
                    "Say whether the coupon was burned or not."
                    if needs
                    else "There is nothing to close: the operation neither failed nor has an open credit."
                )
                raise ConflictError(detail, code="illegal-transition", operation_id=operation_id)
            current = await self._read(transaction, operation.seq)
        return self._told(moved, current)
