"""Takes over what can be read of a damaged database that was set aside: every operation, row by row where need be.

Runs before anything is accepted, in one transaction that ends by remembering the folder: a start that is interrupted
takes over everything or nothing, and the next one begins again. Rows keep their ids, keys and states; what was in hand
goes back to pending. What cannot be read stays in the quarantine, for support.
"""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from agent.outbox.history import EPOCH_FACT
from agent.storage import Database, IntegrityError, Transaction
from agent.storage.damaged import DamagedDatabase
from agent.storage.statements import placeholders, values_rows

_CHUNK = 200
_SCHEMA = "SELECT type, name, tbl_name, rootpage, sql FROM sqlite_schema WHERE type IN ('table', 'index')"
_FREE = """
UPDATE operation SET blocked = 0
WHERE blocked = 1 AND NOT EXISTS (SELECT 1 FROM waiting WHERE waiting.seq = operation.seq)
"""
# Who asked to be forgotten stays forgotten; members' snapshots are not taken over, for they can be asked for again.
_STILL_FORGOTTEN = (
    "INSERT OR IGNORE INTO forgotten (seq) SELECT seq FROM operation WHERE seq = ? AND content IS NOT NULL"
)
# A register that sends a lost one again begins anew, and never meets the operation that gets its number now.
_FORGET_KEYS_OF_LOST = "DELETE FROM request_key WHERE seq NOT IN (SELECT seq FROM operation)"
# Pending ones come in as blocked, so that nothing is asked of them; then those are freed that need not wait. The key of
# a discarded one may have served again.
_ANEW = {
    "claimed": "0",
    "blocked": "status = 'pending'",
    "request_key": "CASE WHEN status = 'discarded' THEN NULL ELSE request_key END",
}
# What stands beside the operations.
_MARKS = "seq, basket, phase, honor, basis, credit, first_asked_at, last_asked_at"
_LEDGER = "day, till, member, value, lost"
_REDEMPTION = f"{_MARKS}, {_LEDGER}".split(", ")
_VOIDED = ["basket", "voided_at"]
_RESCUED = ["seq", "store", "till", "taken_at"]
_CATALOG_ROW = ["row", "content", "seq", "refused"]


async def salvage(database: Database, damaged: Path) -> int | None:
    """Copy what is readable into the database; returns how many operations that were, None where it was done before."""
    fact = f"salvaged:{damaged.parent.name}"
    if await database.fetch("SELECT 1 FROM fact WHERE name = ?", [fact]):
        return None
    schema = await database.fetch(_SCHEMA)
    source = await asyncio.to_thread(DamagedDatabase, damaged, schema)
    try:
        async with database.transaction() as transaction:
            columns = [row[1] for row in await transaction.fetch("PRAGMA table_info(operation)")]
            taken = await _operations(transaction, source, columns)
            for key in await asyncio.to_thread(source.rows, "request_key", ["hash", "seq"]):
                await transaction.fetch("INSERT OR IGNORE INTO request_key (hash, seq) VALUES (?, ?)", key)
            await transaction.fetch(_FORGET_KEYS_OF_LOST)
            for row in await asyncio.to_thread(source.rows, "fact", ["name", "value"]):
                if row[0] == EPOCH_FACT:
                    continue  # the log of changes is not taken over, so whoever read it must not go on as if it were
                await transaction.fetch("INSERT OR IGNORE INTO fact (name, value) VALUES (?, ?)", row)
            for row in await asyncio.to_thread(source.rows, "voided_basket", _VOIDED):
                await transaction.fetch(_insert_beside("voided_basket", _VOIDED), row)
            await _redemptions(transaction, source)
            await transaction.fetch("DELETE FROM redemption WHERE seq NOT IN (SELECT seq FROM operation)")
            await _catalog_rows(transaction, source)
            for row in await asyncio.to_thread(source.rows, "rescued", _RESCUED):
                await transaction.fetch(_insert_beside("rescued", _RESCUED), row)
            await transaction.fetch("DELETE FROM rescued WHERE seq NOT IN (SELECT seq FROM operation)")
            for seq in await asyncio.to_thread(source.rows, "forgotten", ["seq"]):
                await transaction.fetch(_STILL_FORGOTTEN, seq)
            await transaction.fetch(_FREE)
            await transaction.fetch("INSERT INTO fact (name, value) VALUES (?, ?)", [fact, b"1"])
    finally:
        await asyncio.to_thread(source.close)
    return taken


async def _operations(transaction: Transaction, source: DamagedDatabase, columns: Sequence[str]) -> int:
    selected = [_ANEW.get(column, column) for column in columns]
    highest = await asyncio.to_thread(source.highest, "operation")
    rows: Iterator[Sequence[Any]] = source.numbered_rows("operation", selected, highest)
    taken = 0
    while chunk := await asyncio.to_thread(lambda: list(islice(rows, _CHUNK))):
        taken += await _insert(transaction, columns, chunk)
    return taken


async def _redemptions(transaction: Transaction, source: DamagedDatabase) -> None:
    """What redemptions are beyond their operations: a credit that is lost is a coupon burned for nothing."""
    highest = await asyncio.to_thread(source.highest, "redemption")
    rows: Iterator[Sequence[Any]] = source.numbered_rows("redemption", _REDEMPTION, highest)
    while chunk := await asyncio.to_thread(lambda: list(islice(rows, _CHUNK))):
        for row in chunk:
            await transaction.fetch(_insert_beside("redemption", _REDEMPTION), row)


async def _catalog_rows(transaction: Transaction, source: DamagedDatabase) -> None:
    """Which rows of catalogs are whose; a row whose operation is lost is sent again when it is found again."""
    rows = iter(await asyncio.to_thread(source.rows, "catalog_row", _CATALOG_ROW))
    while chunk := list(islice(rows, _CHUNK)):
        placed, parameters = values_rows(chunk)
        sql = f"INSERT OR IGNORE INTO catalog_row ({', '.join(_CATALOG_ROW)}) VALUES {placed}"  # noqa: S608
        await transaction.fetch(sql, parameters)
    await transaction.fetch("DELETE FROM catalog_row WHERE seq NOT IN (SELECT seq FROM operation)")


async def _insert(transaction: Transaction, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> int:
    placed, parameters = values_rows(rows)
    sql = f"INSERT INTO operation ({', '.join(columns)}) VALUES {placed} RETURNING seq"  # noqa: S608
    try:
        return len(await transaction.fetch(sql, parameters))
    except IntegrityError:
        if len(rows) == 1:
            return 0  # a row that breaks the rules is damage too
        return sum([await _insert(transaction, columns, [row]) for row in rows])


def _insert_beside(table: str, columns: Sequence[str]) -> str:
    return f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({placeholders(len(columns))})"  # noqa: S608
