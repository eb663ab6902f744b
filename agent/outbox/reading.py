"""Reading the outbox: one operation, a page of them, the backlog in numbers."""

from collections.abc import Sequence
from typing import Any

import msgspec

from agent import jsons
from agent.outbox.catalog_rows import COUNT_REFUSED
from agent.outbox.operation import Operation, order_scope
from agent.outbox.rows import READ, Rows, bearable
from agent.outbox.state import UNSETTLED
from agent.storage import Database, Sealer
from agent.storage.statements import placeholders

_PENDING_AFTER = f"""
SELECT {READ} FROM operation
WHERE status = 'pending' AND status IN ('pending', 'failed') AND seq > ? ORDER BY seq LIMIT ?
"""  # noqa: S608 - twice, so that the index of unsettled ones serves
_ENROLLMENTS = f"""
SELECT {READ} FROM operation
WHERE seq IN ({{seqs}}) AND status = 'pending'
  AND NOT EXISTS (SELECT 1 FROM forgotten WHERE forgotten.seq = operation.seq)
ORDER BY seq
"""  # noqa: S608
_SALES_OF_REFUNDS = """
SELECT refund.seq, sale.subjects
FROM operation AS refund
CROSS JOIN operation AS sale INDEXED BY operation_key ON sale.scope = refund.scope
WHERE refund.seq IN ({seqs}) AND sale.kind = 'sale' AND sale.current = 1
"""
_ORDERS_HERE = "SELECT scope, max(content IS NOT NULL) FROM operation WHERE scope IN ({scopes}) GROUP BY scope"
MAX_LISTED = 200
MAX_PAGE_BYTES = 2 * 1024 * 1024  # opening more would hold the event loop, and with it every register
_SCAN_LIMIT = 20_000


class Filter(msgspec.Struct, frozen=True):
    """What a list is narrowed to; texts are plain."""

    status: str | None = None
    kind: str | None = None
    external_order_id: str | None = None
    transaction_id: str | None = None
    business_date: str | None = None


class Counts(msgspec.Struct, frozen=True):
    """The backlog in numbers; times in milliseconds. `refused_rows` are a catalog's that Flash did not take."""

    pending: int
    failed: int
    oldest_pending_at: int | None
    refused_rows: int = 0


class Reading:
    """The reading end of the outbox."""

    def __init__(self, database: Database, sealer: Sealer, rows: Rows) -> None:
        self._database = database
        self._sealer = sealer
        self._rows = rows

    async def get(self, operation_id: str) -> Operation:
        """One operation; raises NotFoundError."""
        operation = await self._rows.get(self._database, operation_id)
        await self._rows.add_waiting_for(self._database, [operation])
        await self._rows.add_redeemed(self._database, [operation])
        return operation

    async def select(self, wanted: Filter, limit: int, before: int | None) -> tuple[list[Operation], int | None]:
        """A page, newest first, and where the next one begins; a page may be short where few rows match."""
        ((newest,),) = await self._database.fetch("SELECT max(seq) FROM operation")
        top = min(before, (newest or 0) + 1) if before is not None else (newest or 0) + 1
        conditions, parameters, indexed = self._conditions(wanted)
        floor = 0 if indexed else max(0, top - _SCAN_LIMIT)
        sql = (
            f"SELECT seq, length(content) FROM operation "  # noqa: S608
            f"WHERE {' AND '.join(['seq < ?', 'seq >= ?', *conditions])} ORDER BY seq DESC LIMIT ?"
        )
        found = await self._database.fetch(sql, [top, floor, *parameters, limit + 1])
        page = next(bearable(found[:limit], MAX_PAGE_BYTES), [])
        sql = f"SELECT {READ} FROM operation WHERE seq IN ({placeholders(len(page))}) ORDER BY seq DESC"  # noqa: S608
        operations = [self._rows.operation(row) for row in await self._database.fetch(sql, page)]
        await self._rows.add_waiting_for(self._database, operations)
        await self._rows.add_redeemed(self._database, operations)
        if len(found) > len(page):
            return operations, page[-1]
        return operations, floor if floor > 1 else None

    def _conditions(self, wanted: Filter) -> tuple[list[str], list[Any], bool]:
        digest = self._sealer.hash
        conditions: list[str] = []
        parameters: list[Any] = []
        if wanted.external_order_id is not None:
            conditions.append("(scope = ? OR external_order = ?)")
            parameters += [digest(order_scope(wanted.external_order_id)), digest(wanted.external_order_id)]
        if wanted.transaction_id is not None:
            conditions.append("basket = ?")
            parameters.append(digest(wanted.transaction_id))
        if wanted.business_date is not None:
            conditions.append("business_date = ?")
            parameters.append(wanted.business_date)
        indexed = bool(conditions) or wanted.status in UNSETTLED
        if wanted.status in UNSETTLED:
            conditions.append("status IN ('pending', 'failed')")  # so that the index of these serves
        for column in ("status", "kind"):
            value = getattr(wanted, column)
            if value is not None:
                conditions.append(f"{column} = ?")
                parameters.append(value)
        return conditions, parameters, indexed

    async def counts(self) -> Counts:
        """How much is pending and failed, and since when."""
        rows = await self._database.fetch(
            "SELECT status, count(*) FROM operation WHERE status IN ('pending', 'failed') GROUP BY status"
        )
        by_status: dict[str, int] = dict(rows)
        oldest = await self._database.fetch(
            "SELECT accepted_at FROM operation "
            "WHERE status = 'pending' AND status IN ('pending', 'failed') ORDER BY seq LIMIT 1"
        )
        ((refused_rows,),) = await self._database.fetch(COUNT_REFUSED)
        oldest_at = oldest[0][0] if oldest else None
        return Counts(by_status.get("pending", 0), by_status.get("failed", 0), oldest_at, refused_rows)

    async def pending_after(self, seq: int, limit: int) -> list[Operation]:
        """The next pending operations after one, in the order of acceptance."""
        return [self._rows.operation(row) for row in await self._database.fetch(_PENDING_AFTER, [seq, limit])]

    async def enrollments(self, seqs: Sequence[int]) -> list[Operation]:
        """Those of these enrollments that are pending and whose member is not to be forgotten."""
        sql = _ENROLLMENTS.format(seqs=placeholders(len(seqs)))
        return [self._rows.operation(row) for row in await self._database.fetch(sql, seqs)]

    async def members_of_refunds(self, seqs: Sequence[int]) -> dict[int, list[bytes]]:
        """The subjects' hashes of the sales that these refunds are of, as far as those are known here."""
        sql = _SALES_OF_REFUNDS.format(seqs=placeholders(len(seqs)))
        rows = await self._database.fetch(sql, seqs)
        return {seq: [bytes.fromhex(name) for name in jsons.loads_own(subjects)] for seq, subjects in rows}

    async def orders_here(self, order_ids: Sequence[str]) -> dict[str, bool]:
        """Those of these upstream order ids of which this till has operations; False: none has its content any more."""
        named = {self._sealer.hash(order_scope(order_id)): order_id for order_id in order_ids}
        sql = _ORDERS_HERE.format(scopes=placeholders(len(named)))
        return {named[scope]: bool(kept) for scope, kept in await self._database.fetch(sql, list(named))}

    async def stripped(self, seqs: Sequence[int]) -> set[int]:
        """Those of these operations that lost their content."""
        sql = f"SELECT seq FROM operation WHERE seq IN ({placeholders(len(seqs))}) AND content IS NULL"  # noqa: S608
        return {seq for (seq,) in await self._database.fetch(sql, seqs)}
