"""One day's operations, read in slices: neither the connection nor the event loop is held for long, so sales go on.

Those with the business date are found by its index. Those without one are put by the time of their acceptance, which
their id begins with: the index of the ids is therefore one of acceptance, whatever the clock did between them, and
costs no sale anything. Each row is read once, as it is at that moment.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from agent.outbox.operation import Operation, first_id
from agent.outbox.rows import READ, Rows, bearable
from agent.storage import Database
from agent.storage.statements import placeholders

SLICE_ROWS = 64  # opened in about a millisecond
SLICE_BYTES = 256 * 1024  # or fewer, where registers send long baskets

# What was rescued from another till's disk was rung up there, and is in that till's report.
_OWN = "NOT EXISTS (SELECT 1 FROM rescued WHERE rescued.seq = operation.seq)"
DATED = f"""
SELECT seq, length(content) FROM operation WHERE business_date = ? AND seq > ? AND {_OWN} ORDER BY seq LIMIT ?
"""  # noqa: S608
UNDATED = f"""
SELECT seq, length(content), id, business_date IS NULL
FROM operation WHERE id > ? AND id < ? AND {_OWN} ORDER BY id LIMIT ?
"""  # noqa: S608
# A basket's number may come again on another day; where one of the two names no date, a day's distance tells.
REDEEMED = """
SELECT mine.id, mine.status = 'discarded', COALESCE(redemption.honor, 0), COALESCE(redemption.basis, 'unconfirmed'),
  redemption.credit, redemption.phase = 'unknown' AND mine.status IN ('pending', 'failed'),
  redemption.day IS NOT NULL, redemption.value, COALESCE(redemption.lost, 0),
  EXISTS (
    SELECT 1 FROM operation AS sale INDEXED BY operation_basket
    WHERE sale.basket = mine.basket AND sale.kind = 'sale' AND sale.status <> 'discarded'
      AND CASE WHEN sale.business_date IS NULL OR mine.business_date IS NULL
        THEN abs(sale.accepted_at - mine.accepted_at) < 86400000
        ELSE sale.business_date = mine.business_date END
  )
FROM operation AS mine LEFT JOIN redemption ON redemption.seq = mine.seq
WHERE mine.seq IN ({seqs}) ORDER BY mine.seq
"""
_OPEN = f"SELECT {READ} FROM operation WHERE seq IN ({{seqs}}) ORDER BY seq"  # noqa: S608


class DayRedemption(NamedTuple):
    """What a day's sheet needs of a redemption. `value` is money in the till's currency, where the coupon says."""

    operation_id: str
    discarded: bool
    honor: bool
    basis: str
    credit: str | None
    unconfirmed: bool
    offline: bool  # honored without Flash's word
    value: Decimal | None
    lost: bool  # and refused by Flash later
    has_sale: bool


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

    async def redemptions(self, seqs: Sequence[int]) -> AsyncIterator[DayRedemption]:
        """What became of these redemptions; it stays when retention has stripped them."""
        for start in range(0, len(seqs), SLICE_ROWS):
            chosen = seqs[start : start + SLICE_ROWS]
            for row in await self._database.fetch(REDEEMED.format(seqs=placeholders(len(chosen))), chosen):
                operation_id, discarded, honor, basis, credit, unconfirmed, offline, value, lost, has_sale = row
                yield DayRedemption(
                    operation_id,
                    bool(discarded),
                    bool(honor),
                    basis,
                    credit,
                    bool(unconfirmed),
                    bool(offline),
                    None if value is None else Decimal(value),
                    bool(lost),
                    bool(has_sale),
                )

    async def _opened(self, found: Sequence[Sequence[Any]]) -> AsyncIterator[Operation]:
        for seqs in bearable(found, SLICE_BYTES):
            sql = _OPEN.format(seqs=placeholders(len(seqs)))
            for row in await self._database.fetch(sql, seqs):
                yield self._rows.operation(row)
            await asyncio.sleep(0)  # whoever waits for the event loop goes first
