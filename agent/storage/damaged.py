"""Reads what is still readable in a database that was set aside; its rows are not changed.

Ranges of rows are halved where they cannot be read, down to the single row that is lost. The file is a copy that no
agent uses any more. A header that is damaged is replaced in a copy beside it, `mended.db`.
"""

import contextlib
import shutil
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_RANGE = 256
_PAGE_BYTES = 4096  # SQLite's own default: the agent never sets another
_MAGIC = b"SQLite format 3\0"
_PAYLOAD_FRACTIONS = bytes((64, 32, 32))
_SMALLEST_ROW_BYTES = 200


class DamagedDatabase:
    """A quarantined database file; `open` it, read, `close` it, one call at a time."""

    def __init__(self, path: Path) -> None:
        self._size = path.stat().st_size
        path = _with_sound_header(path)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        with contextlib.suppress(sqlite3.DatabaseError):  # or SQLite refuses every read of a file that was cut short
            self._connection.execute("PRAGMA writable_schema=ON").fetchall()

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def rows(self, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
        """All readable rows of a table without a row number of its own; what follows the damage is lost."""
        found: list[tuple[Any, ...]] = []
        with contextlib.suppress(sqlite3.DatabaseError):
            found.extend(self._connection.execute(f"SELECT {', '.join(columns)} FROM {table}"))  # noqa: S608
        return found

    def numbered_rows(self, table: str, number: str, columns: Sequence[str], highest: int) -> Iterator[tuple[Any, ...]]:
        """All readable rows of a table whose primary key `number` runs from 1 to `highest`."""
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {number} BETWEEN ? AND ? ORDER BY {number}"  # noqa: S608
        ranges = [(low, min(low + _RANGE - 1, highest)) for low in range(1, highest + 1, _RANGE)]
        while ranges:
            low, high = ranges.pop(0)
            try:
                yield from self._connection.execute(sql, (low, high)).fetchall()
            except sqlite3.DatabaseError:
                if low < high:
                    middle = (low + high) // 2
                    ranges[:0] = [(low, middle), (middle + 1, high)]

    def highest(self, table: str, number: str) -> int:
        """The highest number in a table, or where that cannot be read what fits into the file at the most."""
        with contextlib.suppress(sqlite3.DatabaseError):
            return self._connection.execute(f"SELECT max({number}) FROM {table}").fetchone()[0] or 0  # noqa: S608
        return self._size // _SMALLEST_ROW_BYTES


def _with_sound_header(path: Path) -> Path:
    """The file, or where its first bytes are damaged a copy with new ones: without them not a page could be read.

    What a header says is the same for every database of ours, but for its size, which its file tells.
    """
    with path.open("rb") as file:
        header = file.read(100)
    expected = _MAGIC + struct.pack(">H", _PAGE_BYTES)
    if len(header) < 100 or (header[:18] == expected and header[20:24] == b"\0" + _PAYLOAD_FRACTIONS):
        return path
    pages = path.stat().st_size // _PAGE_BYTES
    mended = expected + bytes((2, 2, 0)) + _PAYLOAD_FRACTIONS
    mended += struct.pack(">12I", 1, pages, 0, 0, 1, 4, 0, 0, 1, 0, 0, 0) + bytes(20) + struct.pack(">2I", 1, 3040000)
    copy = path.with_name("mended.db")
    shutil.copyfile(path, copy)
    with copy.open("r+b") as file:
        file.write(mended)
    log = path.with_name(path.name + "-wal")
    if log.exists():
        shutil.copyfile(log, copy.with_name(copy.name + "-wal"))
    return copy
