"""Fills the database of a stopped agent with settled sales, a hundred times faster than through its API.

The rows have the shape and the size of what the agent stores for a sale of ``sales.py``, written by the agent's own
columns, indexes and triggers in large transactions. What the agent hashes or seals is random here, which is the same
to SQLite; the rows are settled, or the relay would find that they do not open, and be busy with that. Without a log or
an fsync until the end: a fill that is cut off leaves nothing to be used.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agent.outbox.arrival import COLUMNS
from benchmarks.sales import ORDER_ID_LENGTH

_A_TRANSACTION = 100_000
_SEALED_BYTES = 590
_HASH_BYTES = 16
_BASKET = os.urandom(_HASH_BYTES)
_KEY_ID = 1


def _rows(first: int, count: int) -> Iterator[tuple[Any, ...]]:
    """In the order of ``seq`` and the accepting module's columns; the ids sort by time, one a millisecond."""
    began_ms = time.time_ns() // 1_000_000 - first - count
    fingerprint = os.urandom(_HASH_BYTES)
    for seq in range(first, first + count):
        operation_id = f"op_{began_ms + seq:012x}{os.urandom(10).hex()}"
        subjects = f'["{os.urandom(_HASH_BYTES).hex()}"]'
        accepted_at = began_ms + seq
        yield (
            seq, operation_id, "sale", os.urandom(_HASH_BYTES), b"", fingerprint, subjects, accepted_at,
            None, _BASKET, "2026-11-20", None, _KEY_ID, os.urandom(_SEALED_BYTES), "succeeded", accepted_at,
        )  # fmt: skip


def fill(database: Path, count: int) -> None:
    """Add so many settled sales; raises sqlite3.Error, for example while an agent has the database."""
    assert ORDER_ID_LENGTH == 24, "measure _SEALED_BYTES again"
    columns = f"seq, {COLUMNS}, status, settled_at"
    sql = f"INSERT INTO operation ({columns}) VALUES ({', '.join('?' * len(columns.split(',')))})"
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        for pragma in ("locking_mode=EXCLUSIVE", "journal_mode=OFF", "synchronous=OFF", "cache_size=-400000"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        ((last,),) = connection.execute("SELECT COALESCE(max(seq), 0) FROM operation")
        for done in range(0, count, _A_TRANSACTION):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(sql, _rows(last + done + 1, min(_A_TRANSACTION, count - done)))
            connection.execute("COMMIT")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
    finally:
        connection.close()
    descriptor = os.open(database, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
