"""Several statements in one visit of the connection's thread: all of them, or none."""

import asyncio
import threading

import pytest

from agent import outbox
from agent.clock import Clock
from agent.errors import ConflictError
from agent.health import Health
from agent.storage import Database
from agent.storage.migrations import migrate

PUT = "INSERT INTO fact (name, value) VALUES (?, ?)"


@pytest.fixture
async def database(tmp_path):
    opened = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(Clock()))
    await opened.open()
    await migrate(opened, "outbox", outbox.MIGRATIONS)
    yield opened
    await opened.close()


async def facts(database):
    return [name for (name,) in await database.fetch("SELECT name FROM fact WHERE name LIKE 'f-%' ORDER BY name")]


async def test_what_it_wrote_is_committed_and_its_answer_returned(database):
    async def work(transaction):
        await transaction.fetch(PUT, ["f-1", b"1"])
        await transaction.fetch(PUT, ["f-2", b"2"])
        return await transaction.fetch("SELECT count(*) FROM fact WHERE name LIKE 'f-%'"), threading.current_thread()

    counted, thread = await database.transact(work)
    assert counted == [(2,)]
    assert thread is not threading.current_thread()
    assert await facts(database) == ["f-1", "f-2"]


@pytest.mark.parametrize("error", [ConflictError("no", code="order-conflict", operation_id="op_1"), ValueError("no")])
async def test_whatever_it_raises_undoes_it_and_goes_on(database, error):
    async def work(transaction):
        await transaction.fetch(PUT, ["f-1", b"1"])
        raise error

    with pytest.raises(type(error)):
        await database.transact(work)
    assert await facts(database) == []
    await database.fetch(PUT, ["f-2", b"2"])
    assert await facts(database) == ["f-2"]


async def test_one_that_waits_for_something_else_is_undone(database):
    async def work(transaction):
        await transaction.fetch(PUT, ["f-1", b"1"])
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="something other than its statements"):
        await database.transact(work)
    assert await facts(database) == []
    async with database.transaction() as transaction:
        await transaction.fetch(PUT, ["f-2", b"2"])
    assert await facts(database) == ["f-2"]


async def test_one_at_a_time(database):
    async def work(transaction):
        ((most,),) = await transaction.fetch("SELECT count(*) FROM fact WHERE name LIKE 'f-%'")
        await transaction.fetch(PUT, [f"f-{most:02d}", b""])

    await asyncio.gather(*(database.transact(work) for _ in range(20)))
    assert await facts(database) == [f"f-{number:02d}" for number in range(20)]
