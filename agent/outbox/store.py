"""The outbox behind one interface: accepted, claimed, settled, retried, discarded, read.

Accepting is `accepting.py`, reading is `reading.py`; here are the moves of an operation between its states. Called by
intake (accept), the relay (claim, settle) and the API (read, retry, discard). Fails with StorageUnavailableError,
StorageFullError, ConflictError, InvalidError or NotFoundError.
"""

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from agent.clock import Clock, to_ms
from agent.delivery import Kind
from agent.errors import ConflictError, Refusal, StorageFullError
from agent.outbox.accepting import Acceptor
from agent.outbox.changes import Change, Changes
from agent.outbox.day import Days
from agent.outbox.exposure import ExposureLedger
from agent.outbox.history import History
from agent.outbox.operation import Accepted, Draft, Operation, Settlement
from agent.outbox.reading import Counts, Filter, Reading
from agent.outbox.redemptions import Redemptions
from agent.outbox.rows import READ, Rows, read_as_json
from agent.outbox.state import UNSETTLED, Status, may_discard, may_retry
from agent.storage import Database, Sealer
from agent.storage.statements import values_rows

if TYPE_CHECKING:
    from agent.outbox.rescued import Rescued

# Claim: in hand, and durably "maybe sent", before the first byte leaves.
_CLAIM = """
UPDATE operation
SET claimed = 1, maybe_sent = maybe_sent + 1, attempts = attempts + 1, next_attempt_at = NULL
WHERE status = 'pending' AND blocked = 0 AND claimed = 0 AND seq IN ({chosen})
"""
# What a claim makes of the chosen ones; read in the same visit as they are claimed.
_CLAIMED = read_as_json(maybe_sent="maybe_sent + 1", attempts="attempts + 1", next_attempt_at="NULL")
_CHOOSE_BACKLOG = """
SELECT seq FROM operation
WHERE status = 'pending' AND blocked = 0 AND claimed = 0 AND kind = ?
  AND (next_attempt_at IS NULL OR next_attempt_at <= ?) AND (maybe_sent = 0) = ?
ORDER BY seq LIMIT ?
"""
_CLAIM_BACKLOG = _CLAIM.format(chosen=_CHOOSE_BACKLOG)
_CLAIMED_BACKLOG = f"SELECT {_CLAIMED} FROM operation WHERE seq IN ({_CHOOSE_BACKLOG})"  # noqa: S608
# A waiting operation lends its place to everything it waits for.
_CHOOSE_WAITING = """
WITH RECURSIVE chain (seq) AS (
  SELECT column1 FROM (VALUES {rows})
  UNION -- the two halves of the view `waiting`, written out, for in a recursion the view would be built whole
  SELECT earlier.seq
  FROM chain
  CROSS JOIN operation AS later ON later.seq = chain.seq
  CROSS JOIN dependence ON dependence.kind = later.kind AND dependence.shared = 'scope'
  CROSS JOIN operation AS earlier INDEXED BY operation_key ON earlier.scope = later.scope
  WHERE earlier.kind = dependence.predecessor AND earlier.seq < later.seq AND earlier.status IN ('pending', 'failed')
  UNION
  SELECT subject.seq
  FROM chain
  CROSS JOIN operation AS later ON later.seq = chain.seq
  CROSS JOIN dependence ON dependence.kind = later.kind AND dependence.shared = 'member'
  CROSS JOIN json_each(later.subjects) AS shared
  CROSS JOIN subject ON subject.hash = shared.value AND subject.kind = dependence.predecessor
  WHERE subject.seq < later.seq
)
SELECT seq FROM chain
"""

# The counter is the natural key's, not the row's: another operation may have taken the next number already.
_NEXT_GENERATION = """(
    SELECT max(same.generation) + 1 FROM operation AS same
    WHERE same.scope = operation.scope AND same.item = operation.item
  )"""
# Settle: many attempts' outcomes in one statement; only what is still claimed. What a newer upsert has replaced and
# Flash refuses is superseded and no failure; a catalog is replaced when it carries no row any more.
_SETTLE = """
UPDATE operation SET
  status = CASE WHEN new.column2 = 'failed' AND operation.current = 0
    AND NOT (operation.kind = 'catalog' AND EXISTS (SELECT 1 FROM catalog_row WHERE catalog_row.seq = operation.seq))
    THEN 'discarded' ELSE new.column2 END,
  outcome = new.column3, outcome_key_id = new.column4, settled_at = new.column5,
  next_attempt_at = new.column6, strikes = new.column8,
  generation = CASE WHEN new.column7 THEN {next_generation} ELSE operation.generation END,
  maybe_sent = operation.maybe_sent - new.column9, claimed = 0
FROM (VALUES {rows}) AS new
WHERE operation.seq = new.column1 AND operation.claimed = 1
"""

_RETRY = f"""
UPDATE operation SET status = 'pending', settled_at = NULL, strikes = 0,
  generation = CASE WHEN ? THEN {_NEXT_GENERATION} ELSE generation END
WHERE seq = ?
"""  # noqa: S608
_PUT_BACK = "UPDATE operation SET claimed = 0, next_attempt_at = ? WHERE seq = ? AND claimed = 1"
# Those that wait for one operation, found through the scope or the members that they share.
_DEPENDENTS = f"""
SELECT {READ} FROM operation
WHERE seq IN (
    SELECT later.seq FROM operation AS mine CROSS JOIN operation AS later ON later.scope = mine.scope
    WHERE mine.seq = ?1
    UNION
    SELECT later.seq
    FROM operation AS mine
    CROSS JOIN json_each(mine.subjects) AS shared
    CROSS JOIN subject AS later ON later.hash = shared.value
    WHERE mine.seq = ?1
  )
  AND EXISTS (SELECT 1 FROM waiting WHERE waiting.seq = operation.seq AND waiting.predecessor = ?1)
ORDER BY seq
"""  # noqa: S608


class Store:
    """The outbox's tables behind an interface of operations."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        rows = Rows(sealer)
        self._database = database
        self._clock = clock
        self._rows = rows
        self._sealer = sealer
        self.changes = Changes()
        self._acceptor = Acceptor(database, sealer, clock, rows, self.changes)
        self.catalog_rows = self._acceptor.catalog_rows
        self._reading = Reading(database, sealer, rows)
        self.history = History(database, rows)
        self.days = Days(database, rows)
        self.exposure = ExposureLedger(database)
        self.redemptions = Redemptions(database, sealer, clock, rows, self.changes)
        self._in_hand: set[int] = set()
        self._reconciled = False
        database.on_reopen = self._doubt

    async def start(self) -> None:
        """Give back what a killed agent had in hand, then start accepting; on a full disk the claims do that later."""
        with contextlib.suppress(StorageFullError):
            await self._reconcile()
        await self._acceptor.start()

    async def stop(self) -> None:
        """Write what was queued, then stop accepting."""
        await self._acceptor.stop()

    def _doubt(self) -> None:
        self._reconciled = False

    async def _reconcile(self) -> None:
        """Give back what is claimed in the database and not in hand here, once after each opening of the database."""
        if self._reconciled:
            return
        try:
            async with self._database.transaction() as transaction:
                self._reconciled = True
                kept = ", ".join(map(str, self._in_hand))  # now that it is our turn: claims before us are in hand
                # Twice asked for the status, so that the index of unsettled ones serves.
                unsettled = "status = 'pending' AND status IN ('pending', 'failed')"
                chosen = f"{unsettled} AND claimed = 1 AND seq NOT IN ({kept})"
                await transaction.fetch(f"UPDATE operation SET claimed = 0 WHERE {chosen}")  # noqa: S608
        except BaseException:
            self._reconciled = False
            raise

    async def accept(self, draft: Draft) -> Accepted:
        """Store a draft durably, or find the operation it repeats."""
        return await self._acceptor.accept(draft)

    @functools.cached_property
    def rescued(self) -> "Rescued":
        """Takes what other tills left. Loaded when first used: most tills never do."""
        from agent.outbox.rescued import Rescued  # noqa: PLC0415

        return Rescued(
            self._database, self._sealer, self._clock, self._rows, acceptor=self._acceptor, changes=self.changes
        )

    async def rehearse(self, drafts: Sequence[Draft]) -> list[Accepted | Refusal]:
        """What accepting these one after another would come to; nothing is stored."""
        return await self._acceptor.rehearse(drafts)

    async def get(self, operation_id: str) -> Operation:
        """One operation; raises NotFoundError."""
        return await self._reading.get(operation_id)

    async def select(self, wanted: Filter, limit: int, before: int | None) -> tuple[list[Operation], int | None]:
        """A page, newest first, and where the next one begins."""
        return await self._reading.select(wanted, limit, before)

    async def counts(self) -> Counts:
        """How much is pending and failed, and since when."""
        return await self._reading.counts()

    async def pending_after(self, seq: int, limit: int) -> list[Operation]:
        """The next pending operations after one, in the order of acceptance."""
        return await self._reading.pending_after(seq, limit)

    async def enrollments(self, seqs: Sequence[int]) -> list[Operation]:
        """Those of these enrollments that are pending and whose member is not to be forgotten."""
        return await self._reading.enrollments(seqs)

    async def orders_here(self, order_ids: Sequence[str]) -> dict[str, bool]:
        """Those of these upstream order ids of which this till has operations; False: none has its content any more."""
        return await self._reading.orders_here(order_ids)

    async def stripped(self, seqs: Sequence[int]) -> set[int]:
        """Those of these operations that lost their content."""
        return await self._reading.stripped(seqs)

    async def members_of_refunds(self, seqs: Sequence[int]) -> dict[int, list[bytes]]:
        """The subjects' hashes of the sales that these refunds are of, as far as those are known here."""
        return await self._reading.members_of_refunds(seqs)

    # ---- sending ---------------------------------------------------------------------------------------------------

    async def claim(self, kind: Kind, limit: int, *, fresh: bool) -> list[Operation]:
        """Take up to `limit` ready operations of a kind, the oldest first.

        `fresh`: those that cannot have reached Flash yet, which may share a batch; else those that may have.
        """
        await self._reconcile()
        chosen = [kind.value, self._clock.steady_ms(), int(fresh), limit]
        with self._doubting():
            text = await self._database.fetch_text(_CLAIMED_BACKLOG, chosen, then=_CLAIM_BACKLOG)
            return self._taken(self._rows.from_json(text))

    async def claim_waiting(self, seqs: Sequence[int]) -> list[Operation]:
        """Take these and whatever they wait for, as far as it is ready; pauses of their own do not count."""
        await self._reconcile()
        chosen = _CHOOSE_WAITING.format(rows=", ".join("(?)" for _ in seqs))
        with self._doubting():
            rows = await self._database.fetch(f"{_CLAIM.format(chosen=chosen)} RETURNING {READ}", seqs)
            return self._taken(map(self._rows.operation, rows))

    @contextlib.contextmanager
    def _doubting(self) -> Iterator[None]:
        """What a claim took before it failed (no memory, say) is given back by the next one: nobody has it in hand."""
        try:
            yield
        except BaseException:
            self._doubt()
            raise

    def _taken(self, claimed: Iterable[Operation]) -> list[Operation]:
        operations = sorted(claimed, key=lambda operation: operation.seq)
        self._in_hand.update(operation.seq for operation in operations)
        return operations

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Write the outcomes of attempts; the operations are no longer in hand."""
        rows, parameters = values_rows([self._settled_row(settlement) for settlement in settlements])
        sql = _SETTLE.format(rows=rows, next_generation=_NEXT_GENERATION)
        if refused := [settlement for settlement in settlements if settlement.refused_rows]:
            async with self._database.transaction() as transaction:
                await transaction.fetch(sql, parameters)
                for each in refused:
                    await self.catalog_rows.refuse(transaction, each.operation, each.refused_rows)
        else:
            await self._database.fetch(sql, parameters)
        self._in_hand.difference_update(settlement.operation.seq for settlement in settlements)
        if self.changes:
            self.changes.tell([_change_of(settlement) for settlement in settlements])

    async def put_back(self, operation: Operation, delay_s: float) -> int:
        """Give up an attempt whose outcome cannot be written; returns when it may be made again (milliseconds)."""
        due = self._clock.steady_ms() + int(delay_s * 1000)
        await self._database.fetch(_PUT_BACK, [due, operation.seq])
        self._in_hand.discard(operation.seq)
        return due

    def _settled_row(self, new: Settlement) -> tuple[Any, ...]:
        return (
            new.operation.seq,
            new.status.value,
            *self._rows.seal_verdict(new.operation.id, new.verdict),
            new.settled_at,
            new.next_attempt_at,
            int(new.new_generation),
            new.strikes,
            int(new.unsent),
        )

    async def next_due(self) -> int | None:
        """When the first pause ends (milliseconds); None when nothing pauses."""
        sql = "SELECT min(next_attempt_at) FROM operation WHERE next_attempt_at IS NOT NULL"
        ((due,),) = await self._database.fetch(sql)
        return None if due is None else int(due)

    async def has_ready(self) -> bool:
        """Whether anything is pending that waits for nothing but the line."""
        await self._reconcile()
        sql = "SELECT 1 FROM operation WHERE status = 'pending' AND blocked = 0 AND claimed = 0 LIMIT 1"
        return bool(await self._database.fetch(sql))

    async def is_stuck(self, seq: int) -> bool:
        """Whether an operation waits, directly or not, for one that failed."""
        sql = f"SELECT 1 FROM operation WHERE status = 'failed' AND seq IN ({_CHOOSE_WAITING.format(rows='(?)')})"  # noqa: S608
        return bool(await self._database.fetch(sql, [seq]))

    async def clamp_pauses(self, ceiling_ms: int) -> None:
        """No pause is longer than the ceiling from now, whatever clock wrote it."""
        latest = self._clock.steady_ms() + ceiling_ms
        sql = "UPDATE operation SET next_attempt_at = ?1 WHERE status = 'pending' AND next_attempt_at > ?1"
        await self._database.fetch(sql, [latest])

    # ---- operators -------------------------------------------------------------------------------------------------

    async def retry(self, operation_id: str) -> Operation:
        """Send a failed operation again; under a new key when Flash had refused the old one for good."""
        async with self._database.transaction() as transaction:
            operation = await self._rows.get(transaction, operation_id)
            if not may_retry(operation.status):
                raise _illegal("retried", operation)
            await transaction.fetch(_RETRY, [int(operation.verdict.definitive), operation.seq])
        self.changes.tell([Change(operation.seq, operation.id, operation.kind, Status.PENDING, operation=operation)])
        return await self.get(operation_id)

    async def discard(self, operation_id: str, by: str, reason: str) -> tuple[Operation, list[dict[str, str]]]:
        """Give an operation up. Returns it and what becomes of each that depended on it."""
        async with self._database.transaction() as transaction:
            operation = await self._rows.get(transaction, operation_id)
            # A pending redemption settles by itself in a moment, or somebody has the discount already.
            sent = operation.maybe_sent > 0 or operation.kind is Kind.REDEMPTION
            if not may_discard(operation.status, maybe_sent=sent):
                raise _illegal("discarded", operation)
            rows = await transaction.fetch(_DEPENDENTS, [operation.seq])
            dependents = [later for row in rows if (later := self._rows.operation(row)).status in UNSETTLED]
            doomed = [later for later in dependents if later.kind is Kind.REFUND and later.maybe_sent == 0]
            await self._rows.discard(transaction, [operation, *doomed], by, reason, to_ms(self._clock.now()))
            await transaction.fetch("UPDATE redemption SET phase = 'settled' WHERE seq = ?", [operation.seq])
        gone = [operation, *doomed]
        self.changes.tell([Change(each.seq, each.id, each.kind, Status.DISCARDED, operation=each) for each in gone])
        effects = [
            {
                "id": later.id,
                "kind": later.kind.value,
                "effect": "discarded" if later in doomed else "goes-on",
            }
            for later in dependents
        ]
        return await self.get(operation_id), effects

    async def close(self, operation_id: str, *, burned: bool | None, by: str, reason: str) -> Operation:
        """An operator's word on what is left open: of a catalog its refused rows, else see `Redemptions.close`."""
        if (await self.get(operation_id)).kind is not Kind.CATALOG:
            return await self.redemptions.close(operation_id, burned=burned, by=by, reason=reason)
        async with self._database.transaction() as transaction:
            operation = await self._rows.get(transaction, operation_id)
            if burned is not None or not await self.catalog_rows.leave(transaction, operation.seq):
                detail = "There is nothing to close: Flash took all of its rows, or newer operations carry the others."
                if burned is not None:
                    detail = "Only of a redemption it can be said whether a coupon was burned."
                raise ConflictError(detail, code="illegal-transition", operation_id=operation_id)
            await self._rows.keep_verdict(transaction, operation, replace(operation.verdict, by=by, reason=reason))
        self.changes.tell([Change(operation.seq, operation.id, operation.kind, operation.status, operation=operation)])
        return await self.get(operation_id)

    # ---- facts -----------------------------------------------------------------------------------------------------

    async def fact(self, name: str) -> bytes | None:
        """A small remembered value."""
        rows = await self._database.fetch("SELECT value FROM fact WHERE name = ?", [name])
        return rows[0][0] if rows else None

    async def remember(self, name: str, value: bytes) -> None:
        """Keep a small value."""
        await self._database.fetch("INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)", [name, value])


def _change_of(new: Settlement) -> Change:
    operation = new.operation
    return Change(operation.seq, operation.id, operation.kind, new.status, new.verdict.result, operation)


def _illegal(what: str, operation: Operation) -> ConflictError:
    sent = operation.status is Status.PENDING and (operation.maybe_sent or operation.kind is Kind.REDEMPTION)
    state = "may have been sent and is pending" if sent else f"has the status {operation.status}"
    return ConflictError(
        f"The operation cannot be {what}: it {state}.", code="illegal-transition", operation_id=operation.id
    )
