"""Reads what is still readable in a database that was set aside; its rows are not changed.

Ranges of rows are halved where they cannot be read, down to the single row that is lost. The file is a copy that no
agent uses any more.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_RANGE = 256
_SMALLEST_ROW_BYTES = 200


class DamagedDatabase:
    """A quarantined database file; `open` it, read, `close` it, one call at a time."""

    def __init__(self, path: Path) -> None:
        self._size = path.stat().st_size
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
