"""After an I/O error the connection is not trusted: the next caller has a new one, and a failed commit is no "no"."""

import sqlite3

import pytest

from agent.clock import Clock
from agent.errors import StorageUnavailableError
from agent.health import Health
from agent.storage import Database
from agent.storage.connection import Connection


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
