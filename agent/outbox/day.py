"""One day's operations, read in slices: neither the connection nor the event loop is held for long, so sales go on.

Those with the business date are found by its index. Those without one are put by the time of their acceptance, which
their id begins with: the index of the ids is therefore one of acceptance, whatever the clock did between them, and
costs no sale anything. Each row is read once, as it is at that moment.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from agent.outbox.operation import Operation, first_id
from agent.outbox.rows import READ, Rows
from agent.storage import Database
from agent.storage.database import placeholders

SLICE_ROWS = 64  # opened in about a millisecond
SLICE_BYTES = 256 * 1024  # or fewer, where registers send long baskets

DATED = """
SELECT seq, length(content) FROM operation WHERE business_date = ? AND seq > ? ORDER BY seq LIMIT ?
"""
UNDATED = """
SELECT seq, length(content), id, business_date IS NULL
FROM operation WHERE id > ? AND id < ? ORDER BY id LIMIT ?
"""
_OPEN = f"SELECT {READ} FROM operation WHERE seq IN ({{seqs}}) ORDER BY seq"  # noqa: S608


class Days:
    """Reads days."""

    def __init__(self, database: Database, rows: Rows) -> None:
        self._database = database
        self._rows = rows

    async def operations(self, business_date: str, from_ms: int, to_ms: int) -> AsyncIterator[Operation]:
        """The operations of a business date, and those without one that were accepted from `from_ms` to before `to_ms`.

        Raises what the database raises.
        """
        after = 0
        while found := await self._database.fetch(DATED, [business_date, after, SLICE_ROWS]):
            after = found[-1][0]
            async for operation in self._opened(found):
                yield operation
        last_id, end = first_id(from_ms), first_id(to_ms)
        while found := await self._database.fetch(UNDATED, [last_id, end, SLICE_ROWS]):
            last_id = found[-1][2]
            async for operation in self._opened([row for row in found if row[3]]):
                yield operation

    async def _opened(self, found: Sequence[Sequence[Any]]) -> AsyncIterator[Operation]:
        for seqs in _of_bearable_size(found):
            sql = _OPEN.format(seqs=placeholders(len(seqs)))
            for row in await self._database.fetch(sql, seqs):
                yield self._rows.operation(row)
            await asyncio.sleep(0)  # whoever waits for the event loop goes first


def _of_bearable_size(found: Sequence[Sequence[Any]]) -> list[list[int]]:
    """The rows (number and size) in groups of which each may be opened in one go."""
    groups: list[list[int]] = []
    size = 0
    for seq, length, *_ in found:
        size += length or 0
        if not groups or size > SLICE_BYTES:
            groups.append([])
            size = length or 0
        groups[-1].append(seq)
    return groups
