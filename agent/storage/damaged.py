"""Reads what is still readable in a database that was set aside; its rows are not changed.

Ranges of rows are halved where they cannot be read, down to the single row that is lost. The file is a copy that no
agent uses any more. What the log holds beyond its damage, and a header or a schema in the place of a damaged one, go
into a copy beside it, `mended.db`.
"""

import contextlib
import shutil
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from agent.storage.log_pages import PAGE_BYTES, pages_of

_UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the latter where SQLite's message quotes the damage
_RANGE = 256
_HEADER_BYTES = 100
_MAGIC_AND_PAGE_SIZE = b"SQLite format 3\0" + struct.pack(">H", PAGE_BYTES)
_PAYLOAD_FRACTIONS = bytes((64, 32, 32))
_SMALLEST_ROW_BYTES = 200


class DamagedDatabase:
    """A quarantined database file; `open` it, read, `close` it, one call at a time."""

    def __init__(self, path: Path, schema: Sequence[tuple[Any, ...]] = ()) -> None:
        """`schema`: the rows of `sqlite_schema` of a new database, for where its own cannot be read."""
        self._size = path.stat().st_size
        mended = _mended(path)
        self._connection = _connect(mended)
        if schema and not self._reads_schema(schema):
            self.close()
            self._connection = _connect(_with_schema(mended, path.with_name("mended.db"), schema))

    def _reads_schema(self, schema: Sequence[tuple[Any, ...]]) -> bool:
        try:
            own = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_schema")}
        except _UNREADABLE:
            return False
        return {name for _, name, *_ in schema} <= own

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """All readable rows of a table whose primary key is its first column; what follows the damage is lost.

        In that order, so that they are read from the table itself: an index may be what is damaged.
        """
        found: list[tuple[Any, ...]] = []
        with contextlib.suppress(*_UNREADABLE):
            sql = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {columns[0]}"  # noqa: S608 - names of the schema
            found.extend(self._connection.execute(sql))
        return found

    def numbered_rows(self, table: str, columns: Sequence[str], highest: int) -> Iterator[tuple[Any, ...]]:
        """All readable rows of a table whose primary key `seq` runs from 1 to `highest`."""
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE seq BETWEEN ? AND ? ORDER BY seq"  # noqa: S608
        ranges = [(low, min(low + _RANGE - 1, highest)) for low in range(1, highest + 1, _RANGE)]
        while ranges:
            low, high = ranges.pop(0)
            try:
                yield from self._connection.execute(sql, (low, high)).fetchall()
            except _UNREADABLE:
                if low < high:
                    middle = (low + high) // 2
                    ranges[:0] = [(low, middle), (middle + 1, high)]

    def highest(self, table: str) -> int:
        """The highest `seq` in a table, or where that cannot be read what fits into the file at the most."""
        with contextlib.suppress(*_UNREADABLE):
            return self._connection.execute(f"SELECT max(seq) FROM {table}").fetchone()[0] or 0  # noqa: S608
        return self._size // _SMALLEST_ROW_BYTES


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    with contextlib.suppress(*_UNREADABLE):  # or SQLite refuses every read of a file that was cut short
        connection.execute("PRAGMA writable_schema=ON").fetchall()
    return connection


def _with_schema(path: Path, copy: Path, schema: Sequence[tuple[Any, ...]]) -> Path:
    """A copy with another schema: the tables of a database that went the same way lie where a new one's lie.

    Where that is not so, what is read is no row of that table, and breaks the rules where it is taken over.
    """
    if path != copy:
        shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        pages = max(1, copy.stat().st_size // PAGE_BYTES)
        file.truncate(pages * PAGE_BYTES)
        no_rows = struct.pack(">BHHHB", 0x0D, 0, 0, PAGE_BYTES, 0)
        file.write((_sound_header(pages) + no_rows).ljust(PAGE_BYTES, b"\0"))
    connection = _connect(copy)
    with contextlib.closing(connection), contextlib.suppress(*_UNREADABLE):
        connection.executemany("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", schema)
    return copy


def _mended(path: Path) -> Path:
    """The file, or a copy of it with what the log as it was found holds beyond the damage, and with a sound header."""
    log = path.with_name(f"{path.name}-wal.found")
    pages = pages_of(log) if log.exists() else {}
    with path.open("rb") as file:
        header = pages.get(1, file.read(_HEADER_BYTES))[:_HEADER_BYTES]
    if not pages and (_is_sound(header) or len(header) < _HEADER_BYTES):
        return path
    copy = path.with_name("mended.db")
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        for number, page in pages.items():
            file.seek((number - 1) * PAGE_BYTES)
            file.write(page)
        if not _is_sound(header):
            file.seek(0)
            file.write(_sound_header(copy.stat().st_size // PAGE_BYTES))
    return copy


def _is_sound(header: bytes) -> bool:
    return header[:18] == _MAGIC_AND_PAGE_SIZE and header[20:24] == b"\0" + _PAYLOAD_FRACTIONS


def _sound_header(pages: int) -> bytes:
    """What a header says is the same for every database of ours, but for the number of pages."""
    counters = struct.pack(">12I", 1, pages, 0, 0, 1, 4, 0, 0, 1, 0, 0, 0)
    return _MAGIC_AND_PAGE_SIZE + b"\2\2\0" + _PAYLOAD_FRACTIONS + counters + bytes(20) + struct.pack(">2I", 1, 3040000)
