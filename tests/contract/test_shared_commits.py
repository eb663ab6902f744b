"""Members that arrive one behind the other share commits, and each is told its own all the same."""

import asyncio
import sqlite3
import struct

import pytest

from agent import jsons
from agent.delivery import Kind
from agent.errors import ConflictError, StorageUnavailableError
from agent.outbox.accepting import MAX_SHARED
from agent.outbox.operation import Content, Draft
from agent.outbox.store import Store
from agent.storage.connection import Connection
from tests.contract.test_storage_trouble import started


def member(name, says="1", **more):
    content = Content({"says": says}, "/members", jsons.raw({}), f"enrollment-{name}")
    return Draft(Kind.ENROLLMENT, f"enrollment:{name}", content, says, subjects=(f"member:externalId:{name}",), **more)


class Cramped(Connection):
    """A real connection, in whose process there is no memory left for what accepted operations wait for."""

    async def fetch(self, sql, parameters=()):
        if "FROM waiting JOIN operation" in sql:
            raise MemoryError
        return await super().fetch(sql, parameters)


class Torn(Connection):
    """A real connection with a disk that once says no to a commit, which is there all the same or is not."""

    kept = fails = False

    async def visit(self, call):
        failing, Torn.fails = Torn.fails, False
        answer = await super().visit(call) if self.kept or not failing else None
        if failing:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return answer


class Held(Connection):
    """A real connection that is `slow` about what is to be written."""

    slow = asyncio.Event()
    asked = asyncio.Event()

    async def visit(self, call):
        type(self).asked.set()
        await type(self).slow.wait()
        return await super().visit(call)


def sale(number):
    content = Content({"totalAmount": "1.00"}, "/orders", jsons.raw({}), f"sale-{number}")
    return Draft(Kind.SALE, f"order:{number}", content, "1")


def commits(database):
    """How many commits there are in the database's log: https://www.sqlite.org/fileformat2.html#walformat."""
    log = database.path.with_name(database.path.name + "-wal").read_bytes()
    (page_bytes,) = struct.unpack(">I", log[8:12])
    frames = [log[at : at + 24] for at in range(32, len(log) - 23, 24 + page_bytes)]
    return sum(frame[4:8] != b"\0\0\0\0" and frame[8:16] == log[16:24] for frame in frames)


async def accepted(store, *drafts):
    return await asyncio.gather(*map(store.accept, drafts), return_exceptions=True)


async def test_so_many_members_are_one_commit(tmp_path):
    async with started(Store, tmp_path) as (store, database):
        before = commits(database)
        stored = await accepted(store, *(member(number) for number in range(3 * MAX_SHARED)))
        assert commits(database) - before == 3
        assert len({each.operation.id for each in stored}) == 3 * MAX_SHARED
        rows = await database.fetch("SELECT id FROM operation ORDER BY seq")
        assert [operation_id for (operation_id,) in rows] == [each.operation.id for each in stored]
        assert database.mark.read() == stored[-1].operation.seq


async def test_each_is_told_its_own_although_one_is_refused(tmp_path):
    async with started(Store, tmp_path) as (store, database):
        await store.accept(member("grace", request_key="used"))
        drafts = [
            member("ada"),
            member("eve", request_key="used"),
            member("ada", "2"),
            member("ada", "2"),
            member("bob"),
        ]
        first, refused, second, again, other = await accepted(store, *drafts)
        assert isinstance(refused, ConflictError)
        assert [each.replayed for each in (first, second, again, other)] == [False, False, True, False]
        assert again.operation.id == second.operation.id
        assert second.operation.blocked, "news of a member follows what was said before"
        assert second.operation.waiting_for == [first.operation.id]
        rows = await database.fetch("SELECT id FROM operation WHERE kind = 'enrollment' AND current = 1 ORDER BY seq")
        assert [each for (each,) in rows[1:]] == [second.operation.id, other.operation.id]


async def test_without_one_that_is_refused_two_of_a_person_in_one_commit_are_told_the_same(tmp_path):
    async with started(Store, tmp_path) as (store, database):
        before = commits(database)
        first, second, again = await accepted(store, member("ada"), member("ada", "2"), member("ada", "2"))
        assert commits(database) - before == 1
        assert (first.replayed, second.replayed, again.replayed) == (False, False, True)
        assert (first.operation.blocked, second.operation.blocked) == (False, True)
        assert second.operation.waiting_for == [first.operation.id]


async def test_where_nothing_can_be_stored_each_is_told_so_and_none_is_there(tmp_path):
    async with started(Store, tmp_path) as (store, database):
        await store.accept(member("grace"))
        ((pages,),) = await database.fetch("PRAGMA page_count")
        await database.fetch(f"PRAGMA max_page_count = {pages}")
        told = await accepted(store, *(member(number, "x" * 4000) for number in range(8)))
        assert {getattr(each, "code", "taken") for each in told} == {"storage-full"}
        ((count,),) = await database.fetch("SELECT count(*) FROM operation")
        assert count == 1
        await database.fetch("PRAGMA max_page_count = 1073741823")
        assert [each.replayed for each in await accepted(store, *(member(number) for number in range(8)))] == [
            False
        ] * 8


async def test_whatever_befalls_the_telling_what_is_stored_is_accepted_and_the_next_one_too(tmp_path):
    async with started(Store, tmp_path, connection=Cramped) as (store, _), asyncio.timeout(20):
        first, second = await accepted(store, member("ada"), member("ada", "2"))
        third = await store.accept(member("ada", "3"))
        assert [each.operation.blocked for each in (first, second, third)] == [False, True, True]
        assert not third.operation.waiting_for


@pytest.mark.parametrize("kept", [True, False])
async def test_after_a_failed_commit_each_is_told_whether_it_was_kept(tmp_path, kept):
    Torn.kept = kept
    async with started(Store, tmp_path, connection=Torn) as (store, database):
        Torn.fails = True
        told = await accepted(store, member("ada"), member("ada", "2"), member("bob"))
        assert [(each.code, each.stored) for each in told] == [("storage-unavailable", kept)] * 3
        rows = await database.fetch("SELECT current FROM operation ORDER BY seq")
        assert rows == ([(0,), (1,), (1,)] if kept else [])
        assert [each.replayed for each in await accepted(store, member("ada", "2"), member("bob"))] == [kept] * 2


@pytest.mark.parametrize("drafted", [member, sale])
async def test_a_stop_waits_for_what_is_in_hand_and_each_is_answered(tmp_path, drafted):
    Held.slow, Held.asked = asyncio.Event(), asyncio.Event()
    Held.slow.set()  # to start
    async with started(Store, tmp_path, connection=Held) as (store, database), asyncio.timeout(20):
        Held.slow.clear()
        Held.asked.clear()
        asking = [asyncio.create_task(store.accept(drafted(str(number)))) for number in range(3)]
        await Held.asked.wait()
        stopping = asyncio.create_task(store.stop())
        await asyncio.wait([stopping], timeout=0.05)
        Held.slow.set()
        told = await asyncio.gather(*asking)
        await stopping
        rows = await database.fetch("SELECT id FROM operation ORDER BY seq")
        assert [operation_id for (operation_id,) in rows] == [each.operation.id for each in told]
        with pytest.raises(StorageUnavailableError):
            await store.accept(drafted("late"))
