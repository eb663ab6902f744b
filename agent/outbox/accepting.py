"""Accepting: durable, in groups, once.

One writer. Accepts that arrive while a commit is under way share the next one: a multi-row INSERT that commits by
itself, so one fsync serves many registers and no timer delays anybody. The connection's thread takes the next group by
itself when a commit is done, so that the disk need not wait for the event loop. A row that is there already is passed
over by a trigger; the writer sees that rows are missing and takes the slow way: look, then replay, refuse or insert, in
one transaction. Refunds and upserts always take the slow way, for they depend on what is there.

The order of arrival is the order of acceptance. A failed commit fails its group; of each is then said whether it was
kept all the same.
"""

import asyncio
import contextlib
import copy
import functools
from collections import deque
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from agent import tasks
from agent.clock import Clock, to_ms
from agent.delivery import ORDER_UNKNOWN, Kind
from agent.errors import ConflictError, OverloadedError, Refusal, StorageFullError, StorageUnavailableError
from agent.outbox.catalog_rows import CatalogRows
from agent.outbox.changes import Change, Changes
from agent.outbox.operation import Accepted, Content, Draft, KnownOrder, Operation, Verdict, new_id
from agent.outbox.rows import READ, Rows
from agent.outbox.state import UNSETTLED, UPSERTS, Status
from agent.storage import Database, Row, Sealer, Transaction
from agent.storage.database import placeholders

MAX_GROUP = 256
MAX_WAITING = 4096

_COLUMNS = (
    "id, kind, scope, item, fingerprint, subjects, accepted_at, external_order, basket, business_date, request_key, "
    "key_id, content"
)

# What is known, has a history or must wait is passed over by a trigger.
_INSERT = f"INSERT INTO operation (seq, {_COLUMNS}) VALUES {{rows}}"  # noqa: S608 - constants and question marks
_WRITTEN = "SELECT seq FROM operation WHERE seq BETWEEN ? AND ?"

# The slow way says itself what the trigger would ask: the generation, and whether it must wait.
_INSERT_ONE = f"INSERT INTO operation (seq, generation, blocked, {_COLUMNS}) VALUES ({placeholders(16)}) RETURNING seq"  # noqa: S608
_GENERATION = "SELECT COALESCE(max(generation), 0) + 1 FROM operation WHERE scope = ? AND item = ?"
MUST_WAIT = """
SELECT EXISTS (
    SELECT 1
    FROM dependence
    CROSS JOIN operation AS earlier INDEXED BY operation_key ON earlier.scope = ?2
    WHERE dependence.kind = ?1 AND dependence.shared = 'scope'
      AND earlier.kind = dependence.predecessor AND earlier.status IN ('pending', 'failed')
  )
  OR EXISTS (
    SELECT 1
    FROM json_each(?3) AS mine
    CROSS JOIN dependence ON dependence.kind = ?1 AND dependence.shared = 'member'
    CROSS JOIN subject ON subject.hash = mine.value AND subject.kind = dependence.predecessor
  )
"""

_CURRENT = f"SELECT {READ}, scope, item, fingerprint FROM operation WHERE scope = ? AND item = ? AND current = 1"  # noqa: S608
_BY_REQUEST_KEY = (
    f"SELECT {READ}, scope, item, fingerprint FROM operation "  # noqa: S608
    "WHERE seq = (SELECT seq FROM request_key WHERE hash = ?)"
)
_ORDER_HISTORY = f"SELECT {READ} FROM operation WHERE scope = ? AND kind IN ('sale', 'refund') AND current = 1"  # noqa: S608


class _Waiting(msgspec.Struct):
    draft: Draft
    operation_id: str
    row: tuple[Any, ...]
    accepted_at: int
    answer: asyncio.Future[Accepted]

    @property
    def needs_history(self) -> bool:
        return self.draft.decide is not None or self.draft.kind in UPSERTS


class _RehearsedError(Exception):
    """Rolls a rehearsal back."""


class _Group(NamedTuple):
    """Rows on their way into the database together; `first` is the number of the first one."""

    first: int
    members: Sequence[_Waiting]


@functools.lru_cache(maxsize=MAX_GROUP)
def _insert(count: int) -> str:
    row = f"({placeholders(1 + len(_COLUMNS.split(', ')))})"
    return _INSERT.format(rows=", ".join([row] * count))


class Acceptor:
    """The writing end of the outbox."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock, rows: Rows, changes: Changes) -> None:
        self.catalog_rows = CatalogRows(database, sealer, rows)
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._rows = rows
        self._changes = changes
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._writing: _Group | None = None
        self._writer: asyncio.Task[None] | None = None
        self._refusals: set[asyncio.Task[None]] = set()
        self._next_seq = 1  # never reused: a row whose commit failed may be back

    async def start(self) -> None:
        """Begin to accept, numbering on where the last run ended."""
        ((last,),) = await self._database.fetch("SELECT COALESCE(max(seq), 0) FROM operation")
        self._next_seq = last + 1
        self._loop = asyncio.get_running_loop()
        self._writer = asyncio.create_task(self._write(), name="outbox-writer")

    async def stop(self) -> None:
        """Write what was queued, then accept nothing more."""
        writer, self._writer = self._writer, None
        if writer is not None:
            while self._queue:
                await asyncio.wait([waiting.answer for waiting in self._queue])
            await tasks.end(writer)

    async def accept(self, draft: Draft) -> Accepted:
        """Store a draft durably, or find the operation it repeats."""
        if self._writer is None:
            raise StorageUnavailableError("The agent is shutting down.", retry_after_s=5)
        if len(self._queue) >= MAX_WAITING:
            raise OverloadedError("Too many requests wait to be stored.", retry_after_s=1)
        accepted_at = to_ms(self._clock.now())
        operation_id = new_id(accepted_at)
        row = self._row(draft, operation_id, accepted_at)
        waiting = _Waiting(draft, operation_id, row, accepted_at, self._loop.create_future())
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def rehearse(self, drafts: Sequence[Draft]) -> list[Accepted | Refusal]:
        """What accepting these one after another would come to: the same look and write, and then rolled back."""
        accepted_at = to_ms(self._clock.now())
        results: list[Accepted | Refusal] = []

        async def look_and_write(transaction: Transaction) -> None:
            for draft in drafts:
                operation_id = new_id(accepted_at)
                row = self._row(draft, operation_id, accepted_at)
                waiting = _Waiting(draft, operation_id, row, accepted_at, self._loop.create_future())
                try:
                    results.append(await self._look_then_write(transaction, waiting))
                except Refusal as refusal:
                    results.append(refusal)
            raise _RehearsedError

        with contextlib.suppress(_RehearsedError):
            await self._database.transact(look_and_write)
        return results

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
            *self._sealer.seal(draft.content.to_bytes(), operation_id, "content"),
        )

    async def _write(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                if self._queue[0].needs_history:
                    await self._write_one_by_one([self._queue.popleft()])
                else:
                    await self._write_together()

    async def _write_together(self) -> None:
        """Let the connection take groups; look after one that it did not write, or not whole."""
        try:
            await self._database.insert(self)
            if self._writing is not None:
                await self._sort_out(self._writing)
        except Exception as error:  # noqa: BLE001 - the writer never stops, and every register gets its answer
            if self._writing is None:
                self.take()
            await self._refuse(self._writing.members if self._writing is not None else (), error)
        finally:
            self._writing = None

    def take(self) -> tuple[str, list[Any]] | None:
        """The next group, up to one that needs a look at history. Called in the connection's thread."""
        members: list[_Waiting] = []
        while self._writing is None and self._queue and len(members) < MAX_GROUP and not self._queue[0].needs_history:
            members.append(self._queue.popleft())
        if not members:
            return None
        first, self._next_seq = self._next_seq, self._next_seq + len(members)
        self._writing = _Group(first, members)
        return _insert(len(members)), [
            value for seq, waiting in enumerate(members, first) for value in (seq, *waiting.row)
        ]

    def take_number(self) -> int:
        """The number of a row that is about to be written. Called in the connection's thread, in a transaction."""
        seq, self._next_seq = self._next_seq, self._next_seq + 1
        return seq

    def wrote(self, count: int) -> None:
        """The group is committed; where rows were passed over, it stays in hand. Called in the connection's thread."""
        group = self._writing
        if group is not None and count == len(group.members):
            self._writing = None
            self._loop.call_soon_threadsafe(self._answer_group, group)

    def _answer_group(self, group: _Group) -> None:
        gone = self._database.gone()
        if gone is None:
            self._answer(enumerate(group.members, group.first))
            return
        refusing = self._loop.create_task(self._refuse(group.members, gone), name="outbox-refusal")
        self._refusals.add(refusing)
        refusing.add_done_callback(self._refusals.discard)

    def _answer(self, written: Iterable[tuple[int, _Waiting]]) -> None:
        fresh: list[Operation] = []
        written = list(written)
        if written:
            self._database.mark.raise_to(written[-1][0])
        for seq, waiting in written:
            operation = _fresh(waiting, waiting.draft.content, seq, generation=1, blocked=False)
            fresh.append(operation)
            if not waiting.answer.done():
                waiting.answer.set_result(Accepted(operation, replayed=False))
        self._tell(fresh)

    async def _sort_out(self, group: _Group) -> None:
        """Which rows were passed over? They take the slow way."""
        gone = self._database.gone()
        if gone is not None:
            raise gone
        rows = await self._database.fetch(_WRITTEN, [group.first, group.first + len(group.members) - 1])
        written = {seq for (seq,) in rows}
        numbered = list(enumerate(group.members, group.first))
        self._answer([(seq, waiting) for seq, waiting in numbered if seq in written])
        await self._write_one_by_one([waiting for seq, waiting in numbered if seq not in written])

    def _tell(self, fresh: Sequence[Operation]) -> None:
        if self._changes.hear_accepts:
            changes = [Change(each.seq, each.id, each.kind, each.status, operation=each) for each in fresh]
            self._changes.tell_accepted(changes)

    async def _write_one_by_one(self, group: Iterable[_Waiting]) -> None:
        for waiting in group:
            try:
                accepted = await self._database.transact(functools.partial(self._look_then_write, waiting=waiting))
                await self._explain_waits([accepted.operation])
            except Exception as error:  # noqa: BLE001 - as above
                await self._refuse([waiting], error)
            else:
                self._database.mark.raise_to(accepted.operation.seq)
                if not waiting.answer.done():
                    waiting.answer.set_result(accepted)
                if not accepted.replayed:
                    self._tell([accepted.operation])

    async def _explain_waits(self, operations: Sequence[Operation]) -> None:
        """Say what blocked operations wait for; they are accepted, so a fault here is no reason to refuse them."""
        with contextlib.suppress(StorageUnavailableError, StorageFullError):
            await self._rows.add_waiting_for(self._database, operations)

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
        """Called in the connection's thread."""
        draft, row, older = waiting.draft, waiting.row, None
        scope, item, fingerprint, request_key = row[2], row[3], row[4], row[10]
        if (known := await self._by_request_key(transaction, waiting)) is not None:
            return known
        for found in await transaction.fetch(_CURRENT, [scope, item]):
            if await self._has_come_too_early(transaction, scope, draft, found):
                await transaction.fetch("UPDATE operation SET current = 0 WHERE seq = ?", [found[0]])
                continue
            if await self._repeats(transaction, draft, same=draft.fingerprint is None or found[-1] == fingerprint):
                if request_key is not None:
                    await transaction.fetch("INSERT INTO request_key VALUES (?, ?)", [request_key, found[0]])
                return self._replay(found, draft)
            if draft.kind not in UPSERTS:
                raise ConflictError(
                    "This was accepted before with another amount; the first one stands.",
                    code=draft.conflict_code,
                    operation_id=found[1],
                )
            older = self._rows.operation(found)
            await self._supersede(transaction, older, by_rows=draft.by_rows)
        content, row = await self._fixed(transaction, waiting, older)
        seq = self.take_number()
        if draft.rows:
            await self.catalog_rows.take(transaction, seq, draft.rows)
            await self.catalog_rows.supersede(transaction, scope, to_ms(self._clock.now()))
        ((generation,),) = await transaction.fetch(_GENERATION, [scope, item])
        ((blocked,),) = await transaction.fetch(MUST_WAIT, [draft.kind.value, scope, row[5]])
        if not await transaction.fetch(_INSERT_ONE, [seq, generation, blocked, *row]):
            raise RuntimeError("the trigger passed over a row that the writer had looked at")  # never a false yes
        return Accepted(_fresh(waiting, content, seq, generation, blocked=bool(blocked)), replayed=False)

    def _replay(self, found: Row, draft: Draft) -> Accepted:
        operation = self._rows.operation(found)
        differs: list[str] = []
        if operation.content is not None and not draft.by_rows:
            first, again = operation.content.request, draft.content.request
            names = {**first, **again}
            if draft.fingerprint is None:
                names.pop("amount", None)  # a refund of the rest: its amount was fixed here
            differs = [name for name in names if first.get(name) != again.get(name)]
        return Accepted(operation, replayed=True, differs=differs)

    async def _fixed(
        self, transaction: Transaction, waiting: _Waiting, older: Operation | None
    ) -> tuple[Content, tuple[Any, ...]]:
        """What a draft asks for, and its row, once what was before it is known."""
        draft, row = waiting.draft, waiting.row
        content, fingerprint = draft.content, row[4]
        if draft.decide is not None:
            content, decided = draft.decide(await self._known_order(transaction, row[2]))
            fingerprint = self._sealer.hash(decided)
        elif draft.inherit is not None and older is not None and older.content and older.status in UNSETTLED:
            content = draft.inherit(older.content.request)
        if content is draft.content:
            return content, row
        sealed = self._sealer.seal(content.to_bytes(), waiting.operation_id, "content")
        return content, (*row[:4], fingerprint, *row[5:-2], *sealed)

    async def _by_request_key(self, transaction: Transaction, waiting: _Waiting) -> Accepted | None:
        """What the register's own key leads to; raises ConflictError where that is another request."""
        draft, row = waiting.draft, waiting.row
        scope, item, fingerprint, request_key = row[2], row[3], row[4], row[10]
        if request_key is None:
            return None
        for found in await transaction.fetch(_BY_REQUEST_KEY, [request_key]):
            same = (scope, item) == (found[-3], found[-2])
            if not same or (draft.fingerprint is not None and found[-1] != fingerprint):
                raise ConflictError(
                    "This Idempotency-Key was used for another request; the first one stands.",
                    code="idempotency-conflict",
                    operation_id=found[1],
                )
            return self._replay(found, draft)
        return None

    async def _repeats(self, transaction: Transaction, draft: Draft, *, same: bool) -> bool:
        """Whether a draft adds nothing to the operation that holds its key: the same, or rows that are there."""
        if not draft.by_rows:
            return same
        return len(await self.catalog_rows.sound(draft.rows, transaction)) == len(draft.rows)

    async def _has_come_too_early(self, transaction: Transaction, scope: bytes, draft: Draft, found: Row) -> bool:
        """Whether a refund was declined because nobody knew its sale, which is known here now: then it begins anew."""
        if draft.kind is not Kind.REFUND:
            return False
        earlier = self._rows.operation(found)
        if earlier.status is not Status.DECLINED or earlier.verdict.code != ORDER_UNKNOWN:
            return False
        return (await self._known_order(transaction, scope)).total is not None

    async def _supersede(self, transaction: Transaction, older: Operation, *, by_rows: bool) -> None:
        """A newer upsert takes the natural key; a failed older one is given up for it.

        One that brings some rows of a catalog is none for those that it does not bring: `CatalogRows.supersede`.
        """
        await transaction.fetch("UPDATE operation SET current = 0 WHERE seq = ?", [older.seq])
        if older.status is Status.FAILED and not by_rows:
            await self._rows.discard(transaction, [older], "agent", "superseded", to_ms(self._clock.now()))

    async def _known_order(self, transaction: Transaction, scope: bytes) -> KnownOrder:
        total: Decimal | None = None
        refunded: list[Decimal | None] = []
        for row in await transaction.fetch(_ORDER_HISTORY, [scope]):
            operation = self._rows.operation(row)
            request = operation.content.request if operation.content else {}
            if operation.kind is Kind.SALE and operation.content:
                total = Decimal(request["totalAmount"])
            elif operation.kind is Kind.REFUND and operation.status is not Status.DECLINED:
                refunded.append(Decimal(request["amount"]) if "amount" in request else None)
        return KnownOrder(total, refunded)


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
