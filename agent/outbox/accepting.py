"""Accepting: durable, in groups, once.

One writer. Accepts that arrive while a commit is under way share the next one: a multi-row INSERT that commits by
itself, so one fsync serves many registers and no timer delays anybody. The connection's thread takes the next group by
itself when a commit is done, so that the disk need not wait for the event loop. A row that is there already is passed
over by a trigger; the writer sees that rows are missing, and has them take the slow way (`slow_way.py`). Refunds and
upserts always take it, for they depend on what is there; members and stores that arrive one behind the other, as an
import's do, share a commit on it.

The order of arrival is the order of acceptance. A failed commit fails its group; of each is then said whether it was
kept all the same.
"""

import asyncio
import contextlib
import copy
import functools
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from agent.clock import Clock, to_ms
from agent.errors import OverloadedError, Refusal, StorageFullError, StorageUnavailableError
from agent.outbox.arrival import COLUMNS, Arrival, arrive
from agent.outbox.catalog_rows import CatalogRows
from agent.outbox.changes import Change, Changes
from agent.outbox.operation import Accepted, Draft, Operation
from agent.outbox.rows import Rows
from agent.outbox.slow_way import SlowWay
from agent.storage import Database, Sealer, Transaction
from agent.storage.statements import placeholders

MAX_GROUP = 256
MAX_SHARED = 16  # of the slow way in one commit: some milliseconds, in which no register's sale is written
MAX_WAITING = 4096

# What is known, has a history or must wait is passed over by a trigger.
_INSERT = f"INSERT INTO operation (seq, {COLUMNS}) VALUES {{rows}}"  # noqa: S608 - constants and question marks
_WRITTEN = "SELECT seq FROM operation WHERE seq BETWEEN ? AND ?"


class _RehearsedError(Exception):
    """Rolls a rehearsal back."""


class _Group(NamedTuple):
    """Rows on their way into the database together; `first` is the number of the first one."""

    first: int
    members: Sequence[Arrival]


@functools.lru_cache(maxsize=MAX_GROUP)
def _insert(count: int) -> str:
    row = f"({placeholders(1 + len(COLUMNS.split(', ')))})"
    return _INSERT.format(rows=", ".join([row] * count))


class Acceptor:
    """The writing end of the outbox."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock, rows: Rows, changes: Changes) -> None:
        self.catalog_rows = CatalogRows(database, sealer, rows)
        self._slow_way = SlowWay(sealer, clock, rows, self.catalog_rows, self.take_number)
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._rows = rows
        self._changes = changes
        self._queue: deque[Arrival] = deque()
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
        """Accept nothing more, and write what was queued or is in hand: whoever asked gets an answer."""
        writer, self._writer = self._writer, None
        if writer is not None:
            self._arrived.set()
            await writer
            await asyncio.gather(*self._refusals)

    async def accept(self, draft: Draft) -> Accepted:
        """Store a draft durably, or find the operation it repeats."""
        if self._writer is None:
            raise StorageUnavailableError("The agent is shutting down.", retry_after_s=5)
        if len(self._queue) >= MAX_WAITING:
            raise OverloadedError("Too many requests wait to be stored.", retry_after_s=1)
        waiting = arrive(draft, to_ms(self._clock.now()), self._sealer, self._loop.create_future())
        self._queue.append(waiting)
        self._arrived.set()
        return await waiting.answer

    async def rehearse(self, drafts: Sequence[Draft]) -> list[Accepted | Refusal]:
        """What accepting these one after another would come to: the same look and write, and then rolled back."""
        accepted_at = to_ms(self._clock.now())
        results: list[Accepted | Refusal] = []

        async def look_and_write(transaction: Transaction) -> None:
            for draft in drafts:
                waiting = arrive(draft, accepted_at, self._sealer, self._loop.create_future())
                try:
                    results.append(await self._slow_way.look_then_write(transaction, waiting))
                except Refusal as refusal:
                    results.append(refusal)
            raise _RehearsedError

        with contextlib.suppress(_RehearsedError):
            await self._database.transact(look_and_write)
        return results

    async def _write(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._queue:
                if self._queue[0].needs_history:
                    await self._write_the_slow_way()
                else:
                    await self._write_together()
            if self._writer is None:
                return

    async def _write_the_slow_way(self) -> None:
        group = [self._queue.popleft()]
        while self._queue and len(group) < MAX_SHARED and group[-1].may_share and self._queue[0].may_share:
            group.append(self._queue.popleft())
        if len(group) == 1 or not await self._write_in_one(group):
            await self._write_one_by_one(group)

    async def _write_in_one(self, group: Sequence[Arrival]) -> bool:
        """Look and write for each, one commit. False where one of them stands in the way: each is to learn its own."""

        async def look_and_write(transaction: Transaction) -> list[Accepted]:
            return [await self._slow_way.look_then_write(transaction, waiting) for waiting in group]

        try:
            accepted = await self._database.transact(look_and_write)
        except (StorageUnavailableError, StorageFullError) as error:  # what was kept is not to be written again
            await self._refuse(group, error)
            return True
        except Exception:  # noqa: BLE001 - one is refused, and nothing was kept
            return False
        await self._explain_waits([each.operation for each in accepted])
        self._database.mark.raise_to(max(each.operation.seq for each in accepted))
        for waiting, answer in zip(group, accepted, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(answer)
        self._tell([each.operation for each in accepted if not each.replayed])
        return True

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
        members: list[Arrival] = []
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

    def _answer(self, written: Iterable[tuple[int, Arrival]]) -> None:
        fresh: list[Operation] = []
        written = list(written)
        if written:
            self._database.mark.raise_to(written[-1][0])
        for seq, waiting in written:
            operation = waiting.operation(waiting.draft.content, seq, generation=1, blocked=False)
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

    async def _write_one_by_one(self, group: Iterable[Arrival]) -> None:
        for waiting in group:
            try:
                look_then_write = functools.partial(self._slow_way.look_then_write, arrival=waiting)
                accepted = await self._database.transact(look_then_write)
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
        with contextlib.suppress(Exception):
            await self._rows.add_waiting_for(self._database, operations)

    async def _refuse(self, group: Sequence[Arrival], error: Exception) -> None:
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
