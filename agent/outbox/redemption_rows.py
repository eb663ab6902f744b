"""The rows of redemptions, read and written: what every move of `redemptions.py` is made of."""

from collections.abc import Mapping
from typing import Any

import msgspec

from agent.clock import Clock, to_ms
from agent.outbox.changes import Change, Changes
from agent.outbox.operation import Operation, Verdict
from agent.outbox.rows import READ, Rows
from agent.outbox.state import Status
from agent.storage import Database, Sealer, Transaction

_ONE = f"SELECT {READ} FROM operation WHERE seq = ?"  # noqa: S608
_SETTLE = """
UPDATE operation
SET status = ?, outcome = ?, outcome_key_id = ?, settled_at = ?, next_attempt_at = NULL
WHERE seq = ?
"""
_UNSETTLED = """
SELECT operation.seq FROM operation LEFT JOIN redemption ON redemption.seq = operation.seq
WHERE operation.status = 'pending' AND operation.status IN ('pending', 'failed') AND operation.kind = 'redemption'
ORDER BY operation.seq
"""
_OPEN_COUNTS = """
SELECT count(*) FILTER (WHERE phase = 'unknown' AND status IN ('pending', 'failed')),
  count(*) FILTER (WHERE lost = 1 AND status = 'failed')
FROM redemption CROSS JOIN operation USING (seq) WHERE phase <> 'settled'
"""


class Moved(msgspec.Struct):
    """What a transaction changed, told when it is committed."""

    changes: list[Change] = msgspec.field(default_factory=list)


class RedemptionRows:
    """The redemptions of one outbox, row by row; every write is inside its caller's transaction."""

    def __init__(self, database: Database, sealer: Sealer, clock: Clock, rows: Rows, changes: Changes) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._rows = rows
        self._changes = changes

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def unsettled(self) -> list[int]:
        """The pending redemptions, whatever their phase."""
        return [seq for (seq,) in await self._database.fetch(_UNSETTLED)]

    async def get(self, seq: int) -> Operation:
        """One redemption as it is now."""
        return await self._read(self._database, seq)

    async def counts(self) -> Mapping[str, int]:
        """How many are unclear, credits that are open, and lost ones (honored offline) that nobody has looked at."""
        ((unclear, lost),) = await self._database.fetch(_OPEN_COUNTS)
        ((owing,),) = await self._database.fetch("SELECT count(*) FROM redemption WHERE credit = 'open'")
        return {"unconfirmed": unclear, "creditsOpen": owing, "lost": lost}

    # ---- writing ---------------------------------------------------------------------------------------------------

    async def _read(self, reader: Transaction | Database, seq: int) -> Operation:
        (row,) = await reader.fetch(_ONE, [seq])
        operation = self._rows.operation(row)
        await self._rows.add_redeemed(reader, [operation])
        return operation

    async def _settle(
        self, transaction: Transaction, operation: Operation, status: Status, verdict: Verdict, moved: Moved
    ) -> None:
        sealed, key_id = self._rows.seal_verdict(operation.id, verdict)
        await transaction.fetch(_SETTLE, [status.value, sealed, key_id, to_ms(self._clock.now()), operation.seq])
        moved.changes.append(Change(operation.seq, operation.id, operation.kind, status, verdict.result, operation))

    async def _keep_verdict(self, transaction: Transaction, operation: Operation, verdict: Verdict) -> None:
        await self._rows.keep_verdict(transaction, operation, verdict)

    @staticmethod
    async def _set(transaction: Transaction, seq: int, **columns: Any) -> None:
        names = ", ".join(f"{name} = ?" for name in columns)
        await transaction.fetch(f"UPDATE redemption SET {names} WHERE seq = ?", [*columns.values(), seq])  # noqa: S608

    def _told(self, moved: Moved, operation: Operation) -> Operation:
        if self._changes and moved.changes:
            self._changes.tell(moved.changes)
        return operation


def change_of(operation: Operation) -> Change:
    """What listeners hear of a redemption that is as it is now."""
    return Change(operation.seq, operation.id, operation.kind, operation.status, operation=operation)
