"""Takes over what can be read of a damaged database that was set aside: every operation, row by row where need be.

The damaged file is opened read-only, as a copy that no agent uses, after the fresh database stands. Rows keep their
ids, keys and states; what was in hand goes back to pending. What cannot be read is left in the quarantine, counted.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.storage import Database
from agent.storage.database import values_rows

_CHUNK = 200


async def salvage(database: Database, damaged: Path) -> int:
    """Copy what is readable into the new database; returns how many operations were taken over."""
    columns = [row[1] for row in await database.fetch("PRAGMA table_info(operation)")]
    rows, keys, facts = await asyncio.to_thread(_read_all, damaged, columns)
    taken = 0
    claimed = columns.index("claimed")
    blocked = columns.index("blocked")
    for row in rows:
        row[claimed] = 0
        row[blocked] = 0
    for start in range(0, len(rows), _CHUNK):
        taken += await _insert(database, columns, rows[start : start + _CHUNK])
    for digest, seq in keys:
        await database.fetch("INSERT OR IGNORE INTO request_key (hash, seq) VALUES (?, ?)", [digest, seq])
    for name, value in facts:
        await database.fetch("INSERT OR IGNORE INTO fact (name, value) VALUES (?, ?)", [name, value])
    await database.fetch(
        "DELETE FROM subject WHERE seq IN (SELECT seq FROM operation WHERE status NOT IN ('pending', 'failed'))"
    )
    await database.fetch(
        "UPDATE operation SET blocked = 1 "
        "WHERE status = 'pending' AND EXISTS (SELECT 1 FROM waiting WHERE waiting.seq = operation.seq)"
    )
    return taken


async def _insert(database: Database, columns: list[str], rows: list[list[Any]]) -> int:
    placed, parameters = values_rows(rows)
    names = ", ".join(columns)
    try:
        return len(
            await database.fetch(f"INSERT INTO operation ({names}) VALUES {placed} RETURNING seq", parameters)  # noqa: S608
        )
    except sqlite3.IntegrityError:
        if len(rows) == 1:
            return 0  # a row that breaks the rules is damage too
        return sum([await _insert(database, columns, [row]) for row in rows])


def _read_all(damaged: Path, columns: list[str]) -> tuple[list[list[Any]], list[Any], list[Any]]:
    connection = sqlite3.connect(damaged, isolation_level=None)
    try:
        rows = list(_operations(connection, columns))
        return rows, _table(connection, "request_key"), _table(connection, "fact")
    except sqlite3.DatabaseError:
        return [], [], []
    finally:
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def _table(connection: sqlite3.Connection, name: str) -> list[Any]:
    found = []
    with contextlib.suppress(sqlite3.DatabaseError):
        for row in connection.execute(f"SELECT * FROM {name}"):  # noqa: S608
            found.append(row)  # noqa: PERF402 - what came before the damage is kept
    return found


def _operations(connection: sqlite3.Connection, columns: list[str]) -> Iterator[list[Any]]:
    """Ranges of rows, halved where they cannot be read, down to the single row that is lost."""
    names = ", ".join(columns)
    sql = f"SELECT {names} FROM operation WHERE seq BETWEEN ? AND ? ORDER BY seq"  # noqa: S608
    last = _last_seq(connection)
    ranges = [(low, min(low + 255, last)) for low in range(1, last + 1, 256)]
    while ranges:
        low, high = ranges.pop(0)
        try:
            yield from (list(row) for row in connection.execute(sql, (low, high)).fetchall())
        except sqlite3.DatabaseError:
            if low < high:
                middle = (low + high) // 2
                ranges[:0] = [(low, middle), (middle + 1, high)]


def _last_seq(connection: sqlite3.Connection) -> int:
    """The highest seq that can be reached, by whichever index still works."""
    best = 0
    for sql in ("SELECT max(seq) FROM operation", "SELECT max(seq) FROM subject", "SELECT max(seq) FROM request_key"):
        with contextlib.suppress(sqlite3.DatabaseError):
            best = max(best, connection.execute(sql).fetchone()[0] or 0)
    return best
