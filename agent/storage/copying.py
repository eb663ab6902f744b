"""A database's copy, page for page, and a look at a file that is no agent's connection."""

import contextlib
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from agent.errors import ConfigError
from agent.storage.durable import sync_folder
from agent.storage.figures import Figures, figures_of
from agent.storage.migrations import Schema, stored

_MARGIN_BYTES = 16 * 1024 * 1024
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def needed_bytes(connection: sqlite3.Connection) -> int:
    """So much an upgrade takes at the most: the copy, a log in which every page is new, a table that is built anew."""
    ((pages,),) = connection.execute("PRAGMA page_count").fetchall()
    ((page_bytes,),) = connection.execute("PRAGMA page_size").fetchall()
    return int(pages * page_bytes) * 3 + _MARGIN_BYTES


def copy_of(connection: sqlite3.Connection, file: Path) -> None:
    """Copy what the connection sees into a new file (0600), durable when it returns; raises sqlite3's errors, OSError.

    SQLite's own backup, through the one connection that has the database to itself. VACUUM INTO would do too, but
    gives every page another place, and the salvage of a damaged database relies on the places. What went wrong leaves
    no file.
    """
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as copy:
            # No journal and no sync meanwhile: it counts when it is whole.
            for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=OFF", "synchronous=OFF"):
                copy.execute(f"PRAGMA {pragma}").fetchall()
            connection.backup(copy)
        with file.open("r+b") as written:
            os.fsync(written.fileno())
        sync_folder(file.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
        raise


def figures_of_copy(file: Path, kept: Mapping[str, str]) -> Figures:
    """What is counted in a copy; nothing where it is not sound. Leaves no file beside it."""
    with contextlib.closing(sqlite3.connect(f"{file.absolute().as_uri()}?immutable=1", uri=True)) as connection:
        if connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
            return {}
        return figures_of(connection, kept)


def look_at(file: Path, *, is_copy: bool = False) -> Schema | None:
    """The schema of a database that nobody has open; None where it is gone, empty or damaged. Raises ConfigError.

    `is_copy`: it has no log, and gets none.
    """
    if not file.exists():
        return None
    uri = f"{file.absolute().as_uri()}?{'immutable=1' if is_copy else 'mode=rw'}"
    try:
        with contextlib.closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2)) as connection:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()  # so that there is no -shm file
            sound = connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
            return (stored(connection) or None) if sound else None
    except UnicodeDecodeError:  # SQLite's own message quotes what it cannot read
        return None
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            return None
        mend = "End the program that has it open" if code in _BUSY else "Check the disk and its permissions"
        raise ConfigError(f"The database {file} cannot be looked at: {error}. {mend}, and start again.") from None
