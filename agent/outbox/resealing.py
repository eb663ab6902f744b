"""Operations that an older data key sealed, sealed anew with the current one: a few at a time, by `datakeys`.

A slice is read and written in one transaction, so that a verdict that comes meanwhile is not written over. What does
not open stays as it is, and keeps its key in use.
"""

from typing import Any

from agent.errors import SealBrokenError
from agent.outbox.rows import bearable
from agent.storage import Database, Row, Sealer
from agent.storage.statements import placeholders, values_rows

_LOOKED_AT = 2_000  # rows a step: some milliseconds where none of them is of an older key
_SLICE = 50  # rows sealed anew in one transaction: about two milliseconds
_SLICE_BYTES = 256 * 1024  # or fewer: a catalog's may be as large

_USED = """
SELECT DISTINCT key_id FROM operation WHERE content IS NOT NULL
UNION SELECT DISTINCT outcome_key_id FROM operation WHERE outcome IS NOT NULL
"""
_OLDER = """
SELECT seq, COALESCE(length(content), 0) FROM operation
WHERE seq > ?1 AND seq <= ?2
  AND ((content IS NOT NULL AND key_id <> ?3) OR (outcome IS NOT NULL AND outcome_key_id <> ?3))
ORDER BY seq LIMIT ?4
"""
_READ = "SELECT seq, id, key_id, content, outcome_key_id, outcome FROM operation WHERE seq IN ({seqs})"
_WRITE = """
UPDATE operation
SET key_id = new.column2, content = new.column3, outcome_key_id = new.column4, outcome = new.column5
FROM (VALUES {rows}) AS new WHERE operation.seq = new.column1
"""


class OperationSeals:
    """The `Seals` of the outbox."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def used(self) -> set[int]:
        """The ids of all keys that something is sealed with; reads the whole table."""
        return {key_id for (key_id,) in await self._database.fetch(_USED)}

    async def reseal(self, after: int) -> tuple[int | None, int]:
        """Seal anew what comes after a row number; up to where that is done (None: to the end), and how many."""
        ((last,),) = await self._database.fetch("SELECT COALESCE(max(seq), 0) FROM operation")
        upto = after + _LOOKED_AT
        older = await self._database.fetch(_OLDER, [after, upto, self._sealer.key_id, _SLICE])
        if older:
            seqs = next(bearable(older, _SLICE_BYTES))
            async with self._database.transaction() as transaction:
                rows = await transaction.fetch(_READ.format(seqs=placeholders(len(seqs))), seqs)
                if rows:  # housekeeping may have removed them meanwhile
                    placed, parameters = values_rows([self._anew(row) for row in rows])
                    await transaction.fetch(_WRITE.format(rows=placed), parameters)
            if len(seqs) == _SLICE or len(seqs) < len(older):
                return (seqs[-1] if seqs[-1] < last else None), len(seqs)
        return (upto if upto < last else None), len(older)

    def _anew(self, row: Row) -> list[Any]:
        seq, row_id, content_key_id, content, outcome_key_id, outcome = row
        return [
            seq,
            *self._value(content_key_id, content, row_id, "content"),
            *self._value(outcome_key_id, outcome, row_id, "outcome"),
        ]

    def _value(
        self, key_id: int | None, sealed: bytes | None, row_id: str, column: str
    ) -> tuple[int | None, bytes | None]:
        if key_id is None or sealed is None or key_id == self._sealer.key_id:
            return key_id, sealed
        try:
            return self._sealer.seal(self._sealer.open(sealed, row_id, column, key_id), row_id, column)
        except SealBrokenError:
            return key_id, sealed
