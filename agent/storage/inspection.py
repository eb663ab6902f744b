"""Looks into a database that no agent has open, and changes nothing: no file is made, altered or locked there.

SQLite itself would make files beside a database whose log holds something, even to read it. So a database with such a
log is copied, both files, and the copy is read; one without a log is read where it lies.
"""

import contextlib
import errno
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agent.storage.connection import Row

SQLITE_VERSION = sqlite3.sqlite_version
_UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
_FAILED = (
    "SELECT kind, accepted_at, settled_at, attempts FROM operation WHERE status = 'failed' ORDER BY seq DESC LIMIT 100"
)
MOST_BYTES = 256 * 1024 * 1024  # more is not copied: it would take too long


class Inspected(NamedTuple):
    """What was seen. `damage` is SQLite's word, empty where it finds none; `counts` are operations by status.

    `failed`: kind, when accepted and settled (milliseconds), attempts; the latest first.
    """

    damage: str
    schema: dict[str, int]
    migrations: list[tuple[str, int, str, str]]
    counts: dict[str, int]
    failed: list[Row]


def inspect(database: Path) -> Inspected | None:
    """Read a database; None where it was changed meanwhile. Raises OSError where it cannot be read or copied."""
    before = _state(database)
    with _readable(database) as uri:
        seen = _read(uri)
    return seen if _state(database) == before else None


def _log(database: Path) -> Path:
    return database.with_name(database.name + "-wal")


def _state(database: Path) -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for path in (database, _log(database)):
        try:
            state = path.stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((state.st_size, state.st_mtime_ns))
    return found


@contextlib.contextmanager
def _readable(database: Path) -> Iterator[str]:
    """The address of something that may be read."""
    log = _log(database)
    with database.open("rb"):  # or SQLite would say no more than that it cannot
        pass
    if not log.exists() or not log.stat().st_size:
        yield f"{database.absolute().as_uri()}?mode=ro&immutable=1"
        return
    needed = database.stat().st_size + log.stat().st_size
    with tempfile.TemporaryDirectory() as folder:
        if needed > MOST_BYTES or shutil.disk_usage(folder).free < 2 * needed:
            raise OSError(errno.ENOSPC, "there is no space for a copy of it")
        for path in (database, log):
            shutil.copyfile(path, Path(folder) / path.name)
        yield f"{(Path(folder) / database.name).as_uri()}?mode=rw"


def _read(uri: str) -> Inspected:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    damage = ""
    try:
        damage = _damage(connection)
        migrations = _rows(connection, "SELECT room, number, name, applied_at FROM migration ORDER BY room, number")
        counts = _rows(connection, "SELECT status, count(*) FROM operation GROUP BY status")
        failed = _rows(connection, _FAILED)
    finally:
        with contextlib.suppress(sqlite3.Error):
            connection.close()
    schema: dict[str, int] = {}
    for room, number, *_ in migrations:
        schema[str(room)] = max(int(number), schema.get(str(room), 0))
    listed = [(str(room), int(number), str(name), str(when)) for room, number, name, when in migrations]
    return Inspected(damage, schema, listed, {str(status): int(count) for status, count in counts}, failed)


def _damage(connection: sqlite3.Connection) -> str:
    try:
        rows = connection.execute("PRAGMA integrity_check(1)").fetchall()
    except UnicodeDecodeError:  # SQLite's message quotes what it cannot read
        return "the schema is damaged"
    except sqlite3.Error as error:
        return str(error)
    return "" if rows == [("ok",)] else str(rows[0][0])


def _rows(connection: sqlite3.Connection, sql: str) -> list[Row]:
    try:
        return connection.execute(sql).fetchall()
    except _UNREADABLE:
        return []
