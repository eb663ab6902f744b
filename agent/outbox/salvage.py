"""Takes over what can be read of a damaged database that was set aside: every operation, row by row where need be.

Runs once, before anything is accepted into the fresh database. Rows keep their ids, keys and states; what was in hand
goes back to pending. What cannot be read stays in the quarantine, for support.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.storage import Database, IntegrityError
from agent.storage.damaged import DamagedDatabase
from agent.storage.database import values_rows

_CHUNK = 200


async def salvage(database: Database, damaged: Path) -> int:
    """Copy what is readable into the new database; returns how many operations were taken over."""
    columns = [row[1] for row in await database.fetch("PRAGMA table_info(operation)")]
    operations, keys, facts = await asyncio.to_thread(_read_all, damaged, columns)
    taken = 0
    for start in range(0, len(operations), _CHUNK):
        taken += await _insert(database, columns, operations[start : start + _CHUNK])
    for key in keys:
        await database.fetch("INSERT OR IGNORE INTO request_key (hash, seq) VALUES (?, ?)", key)
    for fact in facts:
        await database.fetch("INSERT OR IGNORE INTO fact (name, value) VALUES (?, ?)", fact)
    await database.fetch(
        "DELETE FROM subject WHERE seq IN (SELECT seq FROM operation WHERE status NOT IN ('pending', 'failed'))"
    )
    await database.fetch(
        "UPDATE operation SET blocked = 1 "
        "WHERE status = 'pending' AND EXISTS (SELECT 1 FROM waiting WHERE waiting.seq = operation.seq)"
    )
    return taken


async def _insert(database: Database, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    placed, parameters = values_rows(rows)
    sql = f"INSERT INTO operation ({', '.join(columns)}) VALUES {placed} RETURNING seq"  # noqa: S608
    try:
        return len(await database.fetch(sql, parameters))
    except IntegrityError:
        if len(rows) == 1:
            return 0  # a row that breaks the rules is damage too
        return sum([await _insert(database, columns, [row]) for row in rows])


def _read_all(
    damaged: Path, columns: list[str]
) -> tuple[list[Sequence[Any]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    source = DamagedDatabase(damaged)
    try:
        idle = [("0" if column in {"claimed", "blocked"} else column) for column in columns]
        operations = list(source.numbered_rows("operation", "seq", idle, source.highest("operation", "seq")))
        return (
            list(operations),
            source.rows("request_key", ["hash", "seq"]),
            source.rows("fact", ["name", "value"]),
        )
    finally:
        source.close()
