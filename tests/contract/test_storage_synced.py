"""What can be read is on the disk: an opening syncs what it finds in the log before anybody is told of it."""

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from agent.clock import Clock
from agent.errors import ConfigError, StorageUnavailableError
from agent.health import Health
from agent.storage import Database
from agent.storage.connection import Connection

FILES = ("agent.db", "agent.db-wal")


@contextlib.asynccontextmanager
async def database_in(folder, connection=Connection, kind=Database):
    """Not open yet; closed in the end, or its thread would stay."""
    database = kind(folder / "agent.db", folder / "quarantine", Health(Clock()), connection=connection)
    try:
        yield database
    finally:
        await database.close()


async def write_a_sale(database):
    await database.open()
    await database.run_script("CREATE TABLE sale (number INTEGER)")
    await database.fetch("INSERT INTO sale VALUES (7)")


def on_the_disk_without_its_log(folder):
    """The sales in the database file alone: a checkpoint syncs it, and the log before it."""
    alone = folder / "alone.db"
    shutil.copyfile(folder / "agent.db", alone)
    with contextlib.closing(sqlite3.connect(alone)) as connection:
        tables = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sale'").fetchall()
        return connection.execute("SELECT number FROM sale").fetchall() if tables else []


@pytest.fixture
async def killed(tmp_path):
    """The files of an agent that was killed after it wrote a sale, before its log was copied."""
    (tmp_path / "lived").mkdir()
    (tmp_path / "killed").mkdir()
    async with database_in(tmp_path / "lived") as living:
        await write_a_sale(living)
        for name in FILES:
            shutil.copyfile(tmp_path / "lived" / name, tmp_path / "killed" / name)
    assert not on_the_disk_without_its_log(tmp_path / "killed"), "it is in the log"
    return tmp_path / "killed"


async def test_what_a_killed_agent_wrote_is_synced_before_it_can_be_read(killed):
    async with database_in(killed) as database:
        await database.open()
        assert on_the_disk_without_its_log(killed) == [(7,)]
        assert await database.fetch("SELECT number FROM sale") == [(7,)]


class FailingDisk(Connection):
    """The next statement fails as it does where a sync failed, and the closing can copy nothing either."""

    fails = False

    async def fetch(self, sql, parameters=()):
        if type(self).fails:
            raise sql_error(sqlite3.SQLITE_IOERR)
        return await super().fetch(sql, parameters)

    async def close(self):
        if not type(self).fails:
            await super().close()
            return
        type(self).fails = False
        ((_, _, path), *_) = await super().fetch("PRAGMA database_list")
        files = {file: file.read_bytes() for file in (Path(path), Path(f"{path}-wal"))}
        await super().close()
        for file, content in files.items():
            file.write_bytes(content)


def sql_error(code):
    error = sqlite3.OperationalError("as the disk has it")
    error.sqlite_errorcode = code
    return error


async def test_what_a_failed_sync_left_is_written_again_before_it_can_be_read(tmp_path):
    async with database_in(tmp_path, FailingDisk) as database:
        await write_a_sale(database)
        FailingDisk.fails = True
        with pytest.raises(StorageUnavailableError):
            await database.fetch("INSERT INTO sale VALUES (8)")
        assert not on_the_disk_without_its_log(tmp_path), "the closing copied nothing"
        assert await database.fetch("SELECT number FROM sale") == [(7,)]
        assert on_the_disk_without_its_log(tmp_path) == [(7,)]


def whose_checkpoint_fails(code):
    class Failing(Connection):
        async def fetch(self, sql, parameters=()):
            if "wal_checkpoint" in sql:
                raise sql_error(code)
            return await super().fetch(sql, parameters)

    return Failing


async def test_a_full_disk_is_no_reason_not_to_start(killed):
    async with database_in(killed, whose_checkpoint_fails(sqlite3.SQLITE_FULL)) as database:
        await database.open()
        assert await database.fetch("SELECT number FROM sale") == [(7,)]


async def test_a_disk_that_cannot_sync_is_one(killed):
    async with database_in(killed, whose_checkpoint_fails(sqlite3.SQLITE_IOERR)) as database:
        with pytest.raises(ConfigError, match="cannot be opened"):
            await database.open()


async def test_on_a_full_disk_the_log_is_written_again_where_it_stands(killed):
    """The sync may have failed before, and the next one then says yes without writing."""
    log = killed / "agent.db-wal"
    before = log.read_bytes()
    os.utime(log, (1, 1))
    async with database_in(killed, whose_checkpoint_fails(sqlite3.SQLITE_FULL)) as database:
        await database.open()
        assert log.stat().st_mtime > 1
        assert log.read_bytes() == before
        assert await database.fetch("SELECT number FROM sale") == [(7,)]


class LosesTheLog(Connection):
    """The disk is full, and its log cannot be written either."""

    async def fetch(self, sql, parameters=()):
        if "wal_checkpoint" in sql:
            ((_, _, path), *_) = await super().fetch("PRAGMA database_list")
            Path(f"{path}-wal").unlink()
            raise sql_error(sqlite3.SQLITE_FULL)
        return await super().fetch(sql, parameters)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of a file that is open")
async def test_where_it_cannot_be_written_again_nobody_is_told_of_it(killed):
    async with database_in(killed, LosesTheLog) as database:
        with pytest.raises(ConfigError, match="cannot be opened"):
            await database.open()


class OnFullDisk(Database):
    """A database on a disk that says that nothing is free."""

    def free_bytes(self):
        return 0


async def test_a_full_disk_that_finds_no_space_for_the_log_as_it_syncs_is_one_too(killed):
    async with database_in(killed, whose_checkpoint_fails(sqlite3.SQLITE_IOERR_FSYNC), OnFullDisk) as database:
        with pytest.raises(ConfigError, match="cannot be opened"):
            await database.open()


async def test_a_full_disk_that_has_no_space_for_the_copy_is_none(killed):
    async with database_in(killed, whose_checkpoint_fails(sqlite3.SQLITE_IOERR_WRITE), OnFullDisk) as database:
        await database.open()
        assert await database.fetch("SELECT number FROM sale") == [(7,)]
