"""What an older data key sealed in the members room, sealed anew with the current one: by `datakeys`.

As in the outbox: a slice is one transaction, and what does not open stays as it is.
"""

from collections.abc import Sequence
from typing import Any

from agent.members.vault import Vault
from agent.storage import Database, Sealer
from agent.storage.statements import placeholders, values_rows

_LOOKED_AT = 2_000
_SLICE = 50
_KEY_ID = "substr({column}, 1, 4)"  # a sealed value begins with the id of its key


class TableSeals:
    """The `Seals` of one table with a row number `seq`, a row's own `id` and sealed columns."""

    def __init__(self, database: Database, sealer: Sealer, table: str, columns: Sequence[str]) -> None:
        self._database = database
        self._sealer = sealer
        self._vault = Vault(sealer)
        self._last = f"SELECT COALESCE(max(seq), 0) FROM {table}"  # noqa: S608 - our own names
        ids = [_KEY_ID.format(column=column) for column in columns]
        self._used = " UNION ".join(f"SELECT DISTINCT {each} FROM {table}" for each in ids)  # noqa: S608
        older = " OR ".join(f"{each} <> ?3" for each in ids)  # of NULL neither true nor false
        self._older = f"SELECT seq FROM {table} WHERE seq > ?1 AND seq <= ?2 AND ({older}) ORDER BY seq LIMIT ?4"  # noqa: S608
        self._read = f"SELECT seq, id, {', '.join(columns)} FROM {table} WHERE seq IN ({{seqs}})"  # noqa: S608
        changed = ", ".join(f"{column} = COALESCE(new.column{n}, {column})" for n, column in enumerate(columns, 2))
        self._write = f"UPDATE {table} SET {changed} FROM (VALUES {{rows}}) AS new WHERE {table}.seq = new.column1"  # noqa: S608
        self._columns = columns

    async def used(self) -> set[int]:
        """See OperationSeals."""
        found = await self._database.fetch(self._used)
        return {int.from_bytes(key_id, "big") for (key_id,) in found if key_id is not None}

    async def reseal(self, after: int) -> tuple[int | None, int]:
        """See OperationSeals."""
        ((last,),) = await self._database.fetch(self._last)
        upto = after + _LOOKED_AT
        current = self._sealer.key_id.to_bytes(4, "big")
        seqs = [seq for (seq,) in await self._database.fetch(self._older, [after, upto, current, _SLICE])]
        if seqs:
            async with self._database.transaction() as transaction:
                rows = await transaction.fetch(self._read.format(seqs=placeholders(len(seqs))), seqs)
                if rows:  # members may be forgotten meanwhile
                    placed, parameters = values_rows([self._anew(*row) for row in rows])
                    await transaction.fetch(self._write.format(rows=placed), parameters)
            if len(seqs) == _SLICE:
                upto = seqs[-1]
        return (upto if upto < last else None), len(seqs)

    def _anew(self, seq: int, row_id: str, *sealed: bytes | None) -> list[Any]:
        values = zip(self._columns, sealed, strict=True)
        return [
            seq,
            *(None if value is None else self._vault.reseal(value, row_id, column) for column, value in values),
        ]


class FeedSeals:
    """The `Seals` of the feed's one cursor."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._vault = Vault(sealer)

    async def used(self) -> set[int]:
        """See OperationSeals."""
        return {int.from_bytes(cursor[:4], "big") for (cursor,) in await self._cursor() if cursor is not None}

    async def reseal(self, after: int) -> tuple[int | None, int]:  # noqa: ARG002 - there is one row
        """See OperationSeals."""
        for (cursor,) in await self._cursor():
            anew = None if cursor is None else self._vault.reseal(cursor, "feed", "cursor")
            if anew is not None:
                await self._database.fetch("UPDATE feed SET cursor = ? WHERE cursor = ?", [anew, cursor])
        return None, 0

    async def _cursor(self) -> list[tuple[bytes | None]]:
        return await self._database.fetch("SELECT cursor FROM feed")


def seals_of(database: Database, sealer: Sealer) -> list[TableSeals | FeedSeals]:
    """All that is sealed in the members room."""
    return [
        TableSeals(database, sealer, "member", ("profile", "points", "tier", "coupons")),
        TableSeals(database, sealer, "sighting", ("content",)),
        FeedSeals(database, sealer),
    ]
