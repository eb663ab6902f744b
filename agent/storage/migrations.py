"""Forward migrations: numbered scripts by room, recorded; all that are missing are run in one transaction.

A database from a newer version is refused: an old agent must not write what it does not understand. The whole schema
of a room stands in its `schema.sql` too; a test holds that it equals the sum of the migrations.

What is counted before (`figures.py`) must be the same after, but for what a script says that it changes, in a comment:

    -- changes: rows of catalog_row, rows of feed
"""

import contextlib
import re
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.errors import ConfigError
from agent.storage.database import Database
from agent.storage.figures import Figures, differences, figures_of

Rooms = Mapping[str, Path]  # the folder of each room's migrations
Schema = dict[str, int]  # the newest migration of each room

_LEDGER = """
CREATE TABLE IF NOT EXISTS migration (
  room TEXT NOT NULL,
  number INTEGER NOT NULL CHECK (number > 0),
  name TEXT NOT NULL,
  applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
  PRIMARY KEY (room, number)
) STRICT
"""
_NOT_ITS_FAULT = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_CHANGES = re.compile(r"^-- changes: (.+)$", re.MULTILINE)


def scripts(folder: Path) -> dict[int, Path]:
    """The migrations in a folder by number: `0001_operations.sql`, …"""
    found = {int(file.name.split("_", 1)[0]): file for file in folder.glob("*.sql")}
    return dict(sorted(found.items()))


def newest(rooms: Rooms) -> Schema:
    """The schema that this program knows."""
    return {room: max(scripts(folder)) for room, folder in rooms.items()}


def stored(connection: sqlite3.Connection) -> Schema:
    """The schema of a database; empty where it has none yet."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'migration'").fetchall():
        return {}
    return dict(connection.execute("SELECT room, max(number) FROM migration GROUP BY room").fetchall())


def is_newer(schema: Mapping[str, int], known: Mapping[str, int]) -> bool:
    """Whether there is something in a schema that the known one has not."""
    return any(number > known.get(room, 0) for room, number in schema.items())


def statements(script: str) -> Iterator[str]:
    """A script's statements one by one: run as a whole, it would commit before it begins."""
    statement = ""
    for part in re.split("(?<=;)", script):
        statement += part
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement


def run(connection: sqlite3.Connection, rooms: Rooms, kept: Mapping[str, str], before: Figures | None = None) -> None:
    """Run what is missing, all of it or nothing; raises ConfigError, and then nothing has changed.

    With `before` the file is checked and counted again before the commit.
    """
    have = stored(connection)
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(_LEDGER)
        changes: set[str] = set()
        for room, folder in rooms.items():
            for number, file in scripts(folder).items():
                if number > have.get(room, 0):
                    changes |= _run_script(connection, room, number, file)
        if before is not None:
            _check(connection, kept, before, changes)
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _run_script(connection: sqlite3.Connection, room: str, number: int, file: Path) -> set[str]:
    """Run one script and record it; what it says that it changes."""
    script = file.read_text("utf-8")
    try:
        for statement in statements(script):
            connection.execute(statement)
        record = "INSERT INTO migration (room, number, name) VALUES (?, ?, ?)"
        connection.execute(record, [room, number, file.name])
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _NOT_ITS_FAULT:
            raise
        raise ConfigError(f"The migration {room}/{file.name} failed: {error}") from None
    return {name.strip() for line in _CHANGES.findall(script) for name in line.split(",")}


def _check(connection: sqlite3.Connection, kept: Mapping[str, str], before: Figures, changes: set[str]) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchall()
    if found != [("ok",)]:
        raise ConfigError(f"The migrated database is not sound: {found[0][0]}")
    if other := differences(before, figures_of(connection, kept), changes):
        raise ConfigError(f"The migrated database lacks what it had: {'; '.join(other)}")


async def migrate(database: Database, room: str, folder: Path) -> None:
    """Bring one room's tables up to date, without a look at what is in them; for a database that is new."""
    await database.visit(lambda connection: run(connection, {room: folder}, {}))
