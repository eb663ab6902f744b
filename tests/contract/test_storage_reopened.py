"""After an I/O error the connection is not trusted: the next caller has a new one, and a failed commit is no "no"."""

import asyncio
import sqlite3

import aiohttp
import pytest

from agent.app import Agent
from agent.clock import Clock
from agent.errors import StorageUnavailableError
from agent.health import Health
from agent.storage import Database
from agent.storage.connection import Connection
from tests.support.agents import Register, settings, strict_flash, until


def io_error():
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    return error


class Failing(Connection):
    """A real connection. What was written `WRITTEN LATE` is in the file, and its commit reports an I/O error."""

    opened = 0

    @classmethod
    async def open(cls, *parts, **options):
        cls.opened += 1
        return await super().open(*parts, **options)

    async def fetch(self, sql, parameters=()):
        rows = await super().fetch(sql, parameters)
        if "WRITTEN LATE" in parameters:
            raise io_error()
        return rows


@pytest.fixture
async def database(tmp_path):
    Failing.opened = 0
    health = Health(Clock())
    made = Database(tmp_path / "agent.db", tmp_path / "quarantine", health, connection=Failing)
    made.health, made.reopened = health, 0

    def reopened():
        made.reopened += 1

    made.on_reopen = reopened
    await made.open()
    await made.fetch("CREATE TABLE word (text TEXT)")
    yield made
    await made.close()


async def write(database, how):
    if how == "alone":
        await database.fetch("INSERT INTO word VALUES (?)", ["WRITTEN LATE"])
    else:
        async with database.transaction() as transaction:
            await transaction.fetch("INSERT INTO word VALUES (?)", ["WRITTEN LATE"])


@pytest.mark.parametrize(("how", "kept"), [("alone", ["WRITTEN LATE", "after"]), ("in a transaction", ["after"])])
async def test_an_io_error_ends_the_connection_and_the_next_caller_has_a_new_one(database, how, kept):
    assert (Failing.opened, database.reopened) == (1, 0)
    with pytest.raises(StorageUnavailableError) as caught:
        await write(database, how)
    assert caught.value.stored is True
    assert "storage-unavailable" in database.health
    await database.fetch("INSERT INTO word VALUES (?)", ["after"])
    assert (Failing.opened, database.reopened) == (2, 1)
    assert [text for (text,) in await database.fetch("SELECT text FROM word")] == kept
    assert "storage-unavailable" not in database.health


async def test_a_row_that_breaks_the_rules_costs_nobody_the_connection(database):
    await database.fetch("CREATE UNIQUE INDEX once ON word (text)")
    await database.fetch("INSERT INTO word VALUES ('a')")
    with pytest.raises(sqlite3.IntegrityError):
        await database.fetch("INSERT INTO word VALUES ('a')")
    assert (Failing.opened, database.reopened) == (1, 0)


class _Late:
    """sqlite3's connection, whose next INSERT of sales is written and reports an I/O error all the same."""

    is_near = False

    def __init__(self, inner):
        self._inner = inner

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def execute(self, sql, *parameters):
        cursor = self._inner.execute(sql, *parameters)
        if _Late.is_near and sql.startswith("INSERT INTO operation"):
            _Late.is_near = False
            raise io_error()
        return cursor


class WrittenLate(Connection):
    async def visit(self, call):
        return await super().visit(lambda inner: call(_Late(inner)))


class LateAgent(Agent):
    def _database(self):
        return Database(self._data_dir.database, self._data_dir.quarantine, self._health, connection=WrittenLate)


async def test_a_sale_that_was_stored_although_its_commit_failed_is_sent_without_being_asked_for_again(tmp_path):
    with strict_flash() as flash:
        agent = LateAgent(settings(flash.base_url), tmp_path)
        await agent.start()
        try:
            async with aiohttp.ClientSession() as session:
                register = Register(agent, session)
                assert (await register.sell("before", wait=10)).json["status"] == "succeeded"
                _Late.is_near = True
                refused = await register.sell("late")
                assert (refused.status, refused.json["code"], refused.json["stored"]) == (
                    503, "storage-unavailable", True,
                )  # fmt: skip
                await until(lambda: asyncio.sleep(0, flash.awards["late"] == 1))
                again = await register.sell("late", wait=10)
                assert (again.status, again.headers["Idempotency-Replayed"]) == (200, "true")
        finally:
            await agent.stop()
        assert flash.doubles() == {}
