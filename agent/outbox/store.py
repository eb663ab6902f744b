"""The operations on disk: accepted in groups, claimed, settled, retried, discarded, listed.

One writer. Accepts that arrive while a commit is under way share the next one: a multi-row INSERT that commits by
itself, so one fsync serves many registers and no timer delays anybody. A row that is there already is passed over by a
trigger; the writer sees that it was not returned and takes the slow way: look, then replay, refuse or insert, in one
transaction. Refunds and upserts always take the slow way, for they depend on what is there.

Called by intake (accept), the relay (claim, settle) and the API (read, retry, discard). Fails with
StorageUnavailableError, StorageFullError, ConflictError, InvalidError or NotFoundError.
"""

import asyncio
import contextlib
import copy
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import groupby
from typing import Any, Protocol

from agent.clock import Clock
from agent.delivery import Kind
from agent.errors import (
    ConflictError,
    NotFoundError,
    OverloadedError,
    Refusal,
    StorageFullError,
    StorageUnavailableError,
)
from agent.outbox.operation import (
    Accepted,
    Content,
    Draft,
    KnownOrder,
    Operation,
    Settlement,
    Verdict,
    new_id,
)
from agent.outbox.state import FINAL, UPSERTS, Status, may_discard, may_retry
from agent.storage import Database, Row, Sealer, Transaction
from agent.storage.database import placeholders, values_rows

MAX_GROUP = 256
MAX_WAITING_ACCEPTS = 4096
MAX_LISTED = 200
_SCAN_LIMIT = 20_000

_READ = (
    "seq, id, kind, status, generation, blocked, attempts, maybe_sent, strikes, accepted_at, next_attempt_at, "
    "settled_at, business_date, key_id, content, outcome_key_id, outcome"
)
_INSERT_COLUMNS = (
    "id, kind, scope, item, fingerprint, subjects, accepted_at, external_order, basket, business_date, request_key, "
    "key_id, content"
)

# Accept: what is known is passed over; the generation goes on where the key's last operation ended.
_INSERT = f"""
INSERT INTO operation ({_INSERT_COLUMNS}, generation, blocked)
SELECT new.*,
  (SELECT COALESCE(max(generation), 0) + 1 FROM operation WHERE scope = new.column3 AND item = new.column4),
  EXISTS (
    SELECT 1
    FROM json_each(new.column6) AS mine
    JOIN subject ON subject.hash = mine.value
    JOIN operation AS earlier ON earlier.seq = subject.seq
    JOIN dependence ON dependence.kind = new.column2 AND dependence.predecessor = earlier.kind
  )
FROM (VALUES {{rows}}) AS new
WHERE true
RETURNING id, seq, generation, blocked
"""  # noqa: S608 - constants; {rows} is filled with question marks

# Claim: in hand, and durably "maybe sent", before the first byte leaves.
_CLAIM = """
UPDATE operation
SET claimed = 1, maybe_sent = maybe_sent + 1, attempts = attempts + 1, next_attempt_at = NULL
WHERE status = 'pending' AND blocked = 0 AND claimed = 0 AND seq IN ({chosen})
RETURNING {columns}
"""
_CHOOSE_BACKLOG = """
SELECT seq FROM operation
WHERE status = 'pending' AND blocked = 0 AND claimed = 0 AND kind = ?
  AND (next_attempt_at IS NULL OR next_attempt_at <= ?) AND (maybe_sent = 0) = ?
ORDER BY seq LIMIT ?
"""
# A waiting operation lends its place to everything it waits for.
_CHOOSE_WAITING = """
WITH RECURSIVE chain (seq) AS (
  SELECT column1 FROM (VALUES {rows})
  UNION
  SELECT waiting.predecessor FROM chain JOIN waiting ON waiting.seq = chain.seq
)
SELECT seq FROM chain
"""

# Settle: many attempts' outcomes in one statement; only what is still claimed.
_SETTLE = """
UPDATE operation SET
  status = new.column2, outcome = new.column3, outcome_key_id = new.column4, settled_at = new.column5,
  next_attempt_at = new.column6, generation = operation.generation + new.column7, strikes = new.column8,
  maybe_sent = operation.maybe_sent - new.column9, claimed = 0
FROM (VALUES {rows}) AS new
WHERE operation.seq = new.column1 AND operation.claimed = 1
"""

_CURRENT = f"SELECT {_READ}, scope, item, fingerprint FROM operation WHERE scope = ? AND item = ? AND current = 1"  # noqa: S608
_BY_REQUEST_KEY = (
    f"SELECT {_READ}, scope, item, fingerprint FROM operation "  # noqa: S608
    "WHERE seq = (SELECT seq FROM request_key WHERE hash = ?)"
)
_ORDER_HISTORY = f"SELECT {_READ} FROM operation WHERE scope = ? AND kind IN ('sale', 'refund') AND current = 1"  # noqa: S608
_WAITING_FOR = """
SELECT waiting.seq, operation.id FROM waiting JOIN operation ON operation.seq = waiting.predecessor
WHERE waiting.seq IN ({rows}) ORDER BY operation.seq
"""
# Those that wait for one operation, found through the subjects that they share.
_DEPENDENTS = f"""
SELECT {_READ} FROM operation
WHERE seq IN (
    SELECT later.seq FROM subject AS mine JOIN subject AS later ON later.hash = mine.hash AND later.seq > mine.seq
    WHERE mine.hash IN (SELECT value FROM json_each((SELECT subjects FROM operation WHERE seq = ?1))) AND mine.seq = ?1
  )
  AND EXISTS (SELECT 1 FROM waiting WHERE waiting.seq = operation.seq AND waiting.predecessor = ?1)
ORDER BY seq
"""  # noqa: S608


class _Reader(Protocol):
    async def fetch(self, sql: str, parameters: Iterable[Any] = ()) -> list[Row]: ...


@dataclass(slots=True)
class _Waiting:
    draft: Draft
    operation_id: str
    row: tuple[Any, ...]
    accepted_at: int
    answer: asyncio.Future[Accepted]

    @property
    def needs_history(self) -> bool:
        return self.draft.decide is not None or self.draft.kind in UPSERTS


@dataclass(frozen=True, slots=True)
class Filter:
    """What a list is narrowed to; texts are plain."""

    status: str | None = None
    kind: str | None = None
    external_order_id: str | None = None
    transaction_id: str | None = None
    business_date: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """The backlog in numbers; times in milliseconds."""

    pending: int
    failed: int
    oldest_pending_at: int | None


class Store:
    """The outbox's tables behind an interface of operations."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._in_hand: set[int] = set()
        self._writer: asyncio.Task[None] | None = None
        database.on_reopen = self._reconcile

    async def start(self) -> None:
        """Give back what a killed agent had in hand, then start accepting."""
        async with self._database.transaction() as transaction:
            await self._reconcile(transaction)
        self._writer = asyncio.create_task(self._write_groups(), name="outbox-writer")

    async def stop(self) -> None:
        """Write what was queued, then stop accepting."""
        if self._writer is not None:
            while self._queue:
                await asyncio.wait([waiting.answer for waiting in self._queue])
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
            self._writer = None

    async def _reconcile(self, transaction: Transaction) -> None:
        kept = ", ".join(map(str, self._in_hand))
        await transaction.fetch(f"UPDATE operation SET claimed = 0 WHERE claimed = 1 AND seq NOT IN ({kept})")  # noqa: S608

    # ---- accepting -------------------------------------------------------------------------------------------------

    async def accept(self, draft: Draft) -> Accepted:
        """Store a draft durably, or find the operation it repeats."""
        if self._writer is None:
            raise StorageUnavailableError("The agent is shutting down.", retry_after_s=5)
        if len(self._queue) >= MAX_WAITING_ACCEPTS:
            raise OverloadedError("Too many requests wait to be stored.", retry_after_s=1)
        operation_id, accepted_at = new_id(), self._clock.steady_ms()
        row = self._row(draft, operation_id, accepted_at)
        waiting = _Waiting(draft, operation_id, row, accepted_at, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.answer

    def _row(self, draft: Draft, operation_id: str, accepted_at: int) -> tuple[Any, ...]:
        digest = self._sealer.hash
        return (
            operation_id,
            draft.kind.value,
            digest(draft.scope),
            digest(draft.item) if draft.item else b"",
            digest(draft.fingerprint or ""),
            "[" + ", ".join(f'"{digest(subject).hex()}"' for subject in dict.fromkeys(draft.subjects)) + "]",
            accepted_at,
            digest(draft.external_order) if draft.external_order else None,
            digest(draft.basket) if draft.basket else None,
            draft.business_date,
            digest(draft.request_key) if draft.request_key else None,
            self._sealer.key_id,
            self._sealer.seal(draft.content.to_bytes(), operation_id, "content"),
        )

    async def _write_groups(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                group = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_GROUP))]
                for needs_history, members in groupby(group, key=lambda waiting: waiting.needs_history):
                    run = list(members)
                    await (self._write_one_by_one(run) if needs_history else self._write_together(run))

    async def _write_together(self, group: list[_Waiting]) -> None:
        rows, parameters = values_rows([waiting.row for waiting in group])
        try:
            returned = await self._database.fetch(_INSERT.format(rows=rows), parameters)
        except Exception as error:  # noqa: BLE001 - whatever happened, every register gets its answer
            await self._refuse(group, error)
            return
        inserted = {operation_id: rest for operation_id, *rest in returned}
        for waiting in group:
            if waiting.operation_id in inserted and not waiting.answer.done():
                seq, generation, blocked = inserted[waiting.operation_id]
                operation = _fresh(waiting, waiting.draft.content, seq, generation, blocked=bool(blocked))
                waiting.answer.set_result(Accepted(operation, replayed=False))
        await self._write_one_by_one(waiting for waiting in group if waiting.operation_id not in inserted)

    async def _write_one_by_one(self, group: Iterable[_Waiting]) -> None:
        for waiting in group:
            try:
                async with self._database.transaction() as transaction:
                    accepted = await self._look_then_write(transaction, waiting)
                if accepted.operation.blocked:
                    await self._add_waiting_for(self._database, [accepted.operation])
            except Exception as error:  # noqa: BLE001 - as above
                await self._refuse([waiting], error)
            else:
                if not waiting.answer.done():
                    waiting.answer.set_result(accepted)

    async def _refuse(self, group: Sequence[_Waiting], error: Exception) -> None:
        """Fail the group; after a failed commit say of each whether it was kept all the same."""
        kept: set[str] | None = None
        in_doubt = isinstance(error, StorageUnavailableError | StorageFullError) and error.stored
        if in_doubt:
            ids = [waiting.operation_id for waiting in group]
            with contextlib.suppress(Exception):
                sql = f"SELECT id FROM operation WHERE id IN ({placeholders(len(ids))})"  # noqa: S608
                kept = {row[0] for row in await self._database.fetch(sql, ids)}
        for waiting in group:
            if not waiting.answer.done():
                own = copy.copy(error)
                if in_doubt and isinstance(own, Refusal):
                    own.stored = kept is None or waiting.operation_id in kept
                waiting.answer.set_exception(own)

    async def _look_then_write(self, transaction: Transaction, waiting: _Waiting) -> Accepted:
        draft, row = waiting.draft, waiting.row
        scope, item, fingerprint, request_key = row[2], row[3], row[4], row[10]
        if request_key is not None:
            for found in await transaction.fetch(_BY_REQUEST_KEY, [request_key]):
                same = (scope, item) == (found[-3], found[-2])
                if not same or (draft.fingerprint is not None and found[-1] != fingerprint):
                    raise ConflictError(
                        "This Idempotency-Key was used for another request; the first one stands.",
                        code="idempotency-conflict",
                        operation_id=found[1],
                    )
                return self._replay(found, draft)
        for found in await transaction.fetch(_CURRENT, [scope, item]):
            if draft.fingerprint is None or found[-1] == fingerprint:
                if request_key is not None:
                    await transaction.fetch("INSERT INTO request_key VALUES (?, ?)", [request_key, found[0]])
                return self._replay(found, draft)
            if draft.kind not in UPSERTS:
                raise ConflictError(
                    "This was accepted before with another amount; the first one stands.",
                    code=draft.conflict_code,
                    operation_id=found[1],
                )
            await self._supersede(transaction, self._operation(found))
        content = draft.content
        if draft.decide is not None:
            content, decided = draft.decide(await self._known_order(transaction, scope))
            sealed = self._sealer.seal(content.to_bytes(), waiting.operation_id, "content")
            row = (*row[:4], self._sealer.hash(decided), *row[5:-1], sealed)
        rows, parameters = values_rows([row])
        ((_, seq, generation, blocked),) = await transaction.fetch(_INSERT.format(rows=rows), parameters)
        return Accepted(_fresh(waiting, content, seq, generation, blocked=bool(blocked)), replayed=False)

    def _replay(self, found: Row, draft: Draft) -> Accepted:
        operation = self._operation(found)
        differs: list[str] = []
        if operation.content is not None:
            first, again = operation.content.request, draft.content.request
            differs = [name for name in {**first, **again} if first.get(name) != again.get(name)]
        return Accepted(operation, replayed=True, differs=differs)

    async def _supersede(self, transaction: Transaction, older: Operation) -> None:
        """A newer upsert takes the natural key; a failed older one is given up for it."""
        await transaction.fetch("UPDATE operation SET current = 0 WHERE seq = ?", [older.seq])
        if older.status is Status.FAILED:
            await self._write_discard(transaction, [older], Verdict(by="agent", reason="superseded"))

    async def _known_order(self, transaction: Transaction, scope: bytes) -> KnownOrder:
        total: Decimal | None = None
        refunded: list[Decimal | None] = []
        for row in await transaction.fetch(_ORDER_HISTORY, [scope]):
            operation = self._operation(row)
            request = operation.content.request if operation.content else {}
            if operation.kind is Kind.SALE and operation.content:
                total = Decimal(request["totalAmount"])
            elif operation.kind is Kind.REFUND and operation.status is not Status.DECLINED:
                refunded.append(Decimal(request["amount"]) if "amount" in request else None)
        return KnownOrder(total, refunded)

    # ---- sending ---------------------------------------------------------------------------------------------------

    async def claim(self, kind: Kind, limit: int, *, fresh: bool) -> list[Operation]:
        """Take up to `limit` ready operations of a kind, the oldest first.

        `fresh`: those that cannot have reached Flash yet, which may share a batch; else those that may have.
        """
        sql = _CLAIM.format(chosen=_CHOOSE_BACKLOG, columns=_READ)
        return self._taken(await self._database.fetch(sql, [kind.value, self._clock.steady_ms(), int(fresh), limit]))

    async def claim_waiting(self, seqs: Sequence[int]) -> list[Operation]:
        """Take these and whatever they wait for, as far as it is ready; pauses of their own do not count."""
        chosen = _CHOOSE_WAITING.format(rows=", ".join("(?)" for _ in seqs))
        return self._taken(await self._database.fetch(_CLAIM.format(chosen=chosen, columns=_READ), seqs))

    def _taken(self, rows: Iterable[Row]) -> list[Operation]:
        operations = sorted(map(self._operation, rows), key=lambda operation: operation.seq)
        self._in_hand.update(operation.seq for operation in operations)
        return operations

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Write the outcomes of attempts; the operations are no longer in hand."""
        rows, parameters = values_rows([self._settled_row(settlement) for settlement in settlements])
        await self._database.fetch(_SETTLE.format(rows=rows), parameters)
        self._in_hand.difference_update(settlement.operation.seq for settlement in settlements)

    def _settled_row(self, new: Settlement) -> tuple[Any, ...]:
        return (
            new.operation.seq,
            new.status.value,
            self._sealer.seal(new.verdict.to_bytes(), new.operation.id, "outcome"),
            self._sealer.key_id,
            new.settled_at,
            new.next_attempt_at,
            int(new.new_generation),
            new.strikes,
            int(new.unsent),
        )

    async def next_due(self) -> int | None:
        """When the next ready operation may be sent (milliseconds; 0: now); None when none is ready."""
        sql = (
            "SELECT min(COALESCE(next_attempt_at, 0)) FROM operation "
            "WHERE status = 'pending' AND blocked = 0 AND claimed = 0"
        )
        ((due,),) = await self._database.fetch(sql)
        return None if due is None else int(due)

    async def is_stuck(self, seq: int) -> bool:
        """Whether an operation waits, directly or not, for one that failed."""
        sql = f"{_CHOOSE_WAITING.format(rows='(?)')} INTERSECT SELECT seq FROM operation WHERE status = 'failed'"  # noqa: S608
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
            operation = await self._get(transaction, operation_id)
            if not may_retry(operation.status):
                raise _illegal("retried", operation)
            sql = (
                "UPDATE operation SET status = 'pending', settled_at = NULL, strikes = 0, generation = generation + ?, "
                "blocked = EXISTS (SELECT 1 FROM waiting WHERE waiting.seq = operation.seq) WHERE seq = ?"
            )
            await transaction.fetch(sql, [int(operation.verdict.definitive), operation.seq])
        return await self.get(operation_id)

    async def discard(self, operation_id: str, by: str, reason: str) -> tuple[Operation, list[dict[str, str]]]:
        """Give an operation up. Returns it and what becomes of each that depended on it."""
        async with self._database.transaction() as transaction:
            operation = await self._get(transaction, operation_id)
            if not may_discard(operation.status, maybe_sent=operation.maybe_sent > 0):
                raise _illegal("discarded", operation)
            rows = await transaction.fetch(_DEPENDENTS, [operation.seq])
            dependents = [self._operation(row) for row in rows]
            doomed = [later for later in dependents if later.kind is Kind.REFUND and later.maybe_sent == 0]
            await self._write_discard(transaction, [operation, *doomed], Verdict(by=by, reason=reason))
        effects = [
            {
                "id": later.id,
                "kind": later.kind.value,
                "effect": "discarded" if later in doomed else "goes-on",
            }
            for later in dependents
        ]
        return await self.get(operation_id), effects

    async def _write_discard(self, transaction: Transaction, operations: Sequence[Operation], verdict: Verdict) -> None:
        now = self._clock.steady_ms()
        sql = (
            "UPDATE operation SET status = 'discarded', current = 0, blocked = 0, next_attempt_at = NULL, "
            "settled_at = ?, outcome = ?, outcome_key_id = ? WHERE seq = ?"
        )
        for operation in operations:
            last = replace(
                operation.verdict,
                by=verdict.by,
                reason=verdict.reason,
                definitive=operation.verdict.definitive,
            )
            sealed = self._sealer.seal(last.to_bytes(), operation.id, "outcome")
            await transaction.fetch(sql, [now, sealed, self._sealer.key_id, operation.seq])

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def get(self, operation_id: str) -> Operation:
        """One operation; raises NotFoundError."""
        operation = await self._get(self._database, operation_id)
        await self._add_waiting_for(self._database, [operation])
        return operation

    async def _get(self, reader: _Reader, operation_id: str) -> Operation:
        for row in await reader.fetch(f"SELECT {_READ} FROM operation WHERE id = ?", [operation_id]):  # noqa: S608
            return self._operation(row)
        raise NotFoundError("There is no operation with this id.", code="operation-not-found")

    async def select(self, wanted: Filter, limit: int, before: int | None) -> tuple[list[Operation], int | None]:
        """A page, newest first, and where the next one begins; a page may be short where few rows match."""
        ((newest,),) = await self._database.fetch("SELECT max(seq) FROM operation")
        top = min(before, (newest or 0) + 1) if before is not None else (newest or 0) + 1
        conditions, parameters, indexed = self._conditions(wanted)
        floor = 0 if indexed else max(0, top - _SCAN_LIMIT)
        sql = (
            f"SELECT {_READ} FROM operation WHERE {' AND '.join(['seq < ?', 'seq >= ?', *conditions])} "  # noqa: S608
            "ORDER BY seq DESC LIMIT ?"
        )
        rows = await self._database.fetch(sql, [top, floor, *parameters, limit + 1])
        operations = [self._operation(row) for row in rows[:limit]]
        await self._add_waiting_for(self._database, operations)
        if len(rows) > limit:
            return operations, operations[-1].seq
        return operations, floor if floor > 1 else None

    def _conditions(self, wanted: Filter) -> tuple[list[str], list[Any], bool]:
        digest = self._sealer.hash
        conditions: list[str] = []
        parameters: list[Any] = []
        if wanted.external_order_id is not None:
            conditions.append("(scope = ? OR external_order = ?)")
            parameters += [digest(order_scope(wanted.external_order_id)), digest(wanted.external_order_id)]
        if wanted.transaction_id is not None:
            conditions.append("basket = ?")
            parameters.append(digest(wanted.transaction_id))
        if wanted.business_date is not None:
            conditions.append("business_date = ?")
            parameters.append(wanted.business_date)
        indexed = bool(conditions) or wanted.status in {Status.PENDING, Status.FAILED}
        for column in ("status", "kind"):
            value = getattr(wanted, column)
            if value is not None:
                conditions.append(f"{column} = ?")
                parameters.append(value)
        return conditions, parameters, indexed

    async def counts(self) -> Counts:
        """How much is pending and failed, and since when."""
        by_status = dict(
            await self._database.fetch(
                "SELECT status, count(*) FROM operation WHERE status IN ('pending', 'failed') GROUP BY status"
            )
        )
        oldest = await self._database.fetch(
            "SELECT accepted_at FROM operation WHERE status = 'pending' ORDER BY seq LIMIT 1"
        )
        return Counts(by_status.get("pending", 0), by_status.get("failed", 0), oldest[0][0] if oldest else None)

    async def _add_waiting_for(self, reader: _Reader, operations: Sequence[Operation]) -> None:
        blocked = {operation.seq: operation for operation in operations if operation.blocked}
        if not blocked:
            return
        found: dict[int, list[str]] = {}
        for seq, operation_id in await reader.fetch(
            _WAITING_FOR.format(rows=placeholders(len(blocked))), list(blocked)
        ):
            found.setdefault(seq, []).append(operation_id)
        for seq, operation in blocked.items():
            operation.waiting_for = list(dict.fromkeys(found.get(seq, [])))

    def _operation(self, row: Row) -> Operation:
        key_id, content, outcome_key_id, outcome = row[13:17]
        opened = self._sealer.open
        return Operation(
            *row[:2],
            Kind(row[2]),
            Status(row[3]),
            row[4],
            bool(row[5]),
            *row[6:13],
            Content.from_bytes(opened(content, row[1], "content", key_id)) if content is not None else None,
            Verdict.from_bytes(opened(outcome, row[1], "outcome", outcome_key_id))
            if outcome is not None
            else Verdict(),
        )

    # ---- facts -----------------------------------------------------------------------------------------------------

    async def fact(self, name: str) -> bytes | None:
        """A small remembered value."""
        rows = await self._database.fetch("SELECT value FROM fact WHERE name = ?", [name])
        return rows[0][0] if rows else None

    async def remember(self, name: str, value: bytes) -> None:
        """Keep a small value."""
        await self._database.fetch("INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)", [name, value])


def order_scope(upstream_order_id: str) -> str:
    """The natural key's scope of a sale and its refunds."""
    return f"order:{upstream_order_id}"


def _fresh(waiting: _Waiting, content: Content, seq: int, generation: int, *, blocked: bool) -> Operation:
    return Operation(
        seq=seq,
        id=waiting.operation_id,
        kind=waiting.draft.kind,
        status=Status.PENDING,
        generation=generation,
        blocked=blocked,
        attempts=0,
        maybe_sent=0,
        strikes=0,
        accepted_at=waiting.accepted_at,
        next_attempt_at=None,
        settled_at=None,
        business_date=waiting.draft.business_date,
        content=content,
        verdict=Verdict(),
    )


def _illegal(what: str, operation: Operation) -> ConflictError:
    state = "may have been sent" if operation.status is Status.PENDING else f"is {operation.status}"
    return ConflictError(
        f"The operation cannot be {what}: it {state}.",
        code="illegal-transition",
        operation_id=operation.id,
        stored=operation.status in FINAL,
    )
