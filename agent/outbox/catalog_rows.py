"""The rows of product catalogs: which of them Flash has, or will have when what is pending has landed.

A row is known by the keyed hash of what it is about (source, entity, its own id) and of what it says; the table
`catalog_row` holds these and the operation that carries the row. It is written in the transaction that accepts the
operation, so that both are there or neither is. A row is to be sent again when it says something else, when its
operation failed or was given up, and when Flash named it among the rows that it did not take.

Called by the acceptor, the store and intake; the shapes of rows are `POST /catalog/import`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent import jsons
from agent.delivery import RefusedRow
from agent.outbox.operation import Operation, RowHash
from agent.outbox.rows import READ, Reader, Rows
from agent.scrub import scrubbed
from agent.storage import Sealer, Transaction
from agent.storage.statements import placeholders, values_rows

SLICE = 250  # rows in one statement
MAX_WARNINGS = 20
_MAX_MESSAGE = 200
_MAX_SCRUBBED = 2000
_NAMES = {"inventory": ("variantSku", "locationRef")}  # what a row's own id is made of
_OWN_ID = ("externalId",)
_CALLED = ("externalId", "variantSku", "sku")  # by what Flash may call a row that it does not count

_SOUND = """
SELECT catalog_row.row, catalog_row.content
FROM catalog_row CROSS JOIN operation ON operation.seq = catalog_row.seq
WHERE catalog_row.row IN ({rows}) AND catalog_row.refused = 0 AND operation.status IN ('pending', 'succeeded')
"""
_TAKE = """
INSERT INTO catalog_row (row, content, seq) VALUES {rows}
ON CONFLICT (row) DO UPDATE SET content = excluded.content, seq = excluded.seq, refused = 0
"""
# Twice asked for the status, so that the index of unsettled ones serves.
_BEREFT = f"""
SELECT {READ} FROM operation
WHERE status = 'failed' AND status IN ('pending', 'failed') AND kind = 'catalog' AND scope = ?
  AND NOT EXISTS (SELECT 1 FROM catalog_row WHERE catalog_row.seq = operation.seq)
"""  # noqa: S608
_REFUSED = "UPDATE catalog_row SET refused = 1 WHERE seq = ? AND row IN ({rows})"
_LEAVE = "UPDATE catalog_row SET refused = 0 WHERE seq = ? AND refused > 0 RETURNING 1"
_IN_DOUBT = "UPDATE catalog_row SET refused = 2 WHERE seq = ?"
# Of an operation in doubt nothing is known but that it has one.
COUNT_REFUSED = """
SELECT count(CASE WHEN refused = 1 THEN 1 END) + count(DISTINCT CASE WHEN refused = 2 THEN seq END)
FROM catalog_row WHERE refused > 0
"""


class CatalogRow(msgspec.Struct):
    """What is said under one id of one entity: one row as a rule, all of them where an id repeats with other words.

    `bodies` are JSON as it is sent; `of` numbers the documents that it stood in, once for each mention.
    """

    entity: str
    key: bytes
    bodies: list[bytes]
    of: list[int]

    @property
    def size(self) -> int:
        """Bytes in the body that is sent."""
        return sum(map(len, self.bodies)) + len(self.bodies)

    def hash(self, sealer: Sealer) -> RowHash:
        """What it is about and what it says."""
        return RowHash(self.key, sealer.hash(b"\n".join(self.bodies).decode()))

    def __repr__(self) -> str:
        return "<CatalogRow>"


class Gathering:
    """Rows of one source, by what they are about, in the order of their first mention."""

    def __init__(self, source: str, sealer: Sealer) -> None:
        self._source = source
        self._sealer = sealer
        self._found: dict[bytes, CatalogRow] = {}

    def add(self, entity: str, row: Any, of: int = 0) -> None:
        """One row of a document."""
        body = jsons.encode_sorted(row)
        key = _key(self._source, entity, row, body, self._sealer)
        found = self._found.setdefault(key, CatalogRow(entity, key, [], []))
        if not found.bodies or found.bodies[-1] != body:  # a brand may stand beside each of its articles
            found.bodies.append(body)
        found.of.append(of)

    @property
    def rows(self) -> list[CatalogRow]:
        """What was gathered."""
        return list(self._found.values())


def _key(source: str, entity: str, row: Any, body: bytes, sealer: Sealer) -> bytes:
    return sealer.hash(jsons.dumps(["catalog-row", source, entity, own_id(entity, row) or body.decode()]))


def own_id(entity: str, row: Any) -> str | None:
    """What a row's system calls it: its externalId, of inventory the variant and the place; None where it has none."""
    names = _NAMES.get(entity, _OWN_ID)
    parts = [row.get(name) if isinstance(row, Mapping) else None for name in names]
    named = [part for part in parts if isinstance(part, str) and part]
    return " at ".join(named) if len(named) == len(names) else None


def refusal_warnings(operation: Operation, refused: Sequence[RefusedRow]) -> list[str]:
    """What a person is told of the rows that Flash did not take, by their own ids; the first MAX_WARNINGS of them."""
    if not refused:
        return []
    document = _document(operation)
    told = [f"Flash did not take {len(refused)} of {_count(document)} rows; they are sent again when found again."]
    for each in refused[:MAX_WARNINGS]:
        row = _row_at(document, each)
        name = own_id(each.entity, row) if row is not None else None
        place = f"{each.entity or 'a row'} {name or ('' if each.at is None else each.at)}".strip()
        told.append(f"{scrubbed(place)}: {scrubbed(each.message[:_MAX_SCRUBBED])[:_MAX_MESSAGE] or 'no reason given'}")
    if len(refused) > MAX_WARNINGS:
        told.append(f"… and {len(refused) - MAX_WARNINGS} more: result.errors names them all.")
    return told


def _document(operation: Operation) -> Mapping[str, Any]:
    found: Any = jsons.loads_own(bytes(operation.content.body)) if operation.content else {}
    return found if isinstance(found, Mapping) else {}


def _count(document: Mapping[str, Any]) -> int:
    return sum(len(rows) for rows in document.values() if isinstance(rows, list))


def _row_at(document: Mapping[str, Any], refused: RefusedRow) -> Any:
    """The row that Flash means; None where that is not certain."""
    rows = document.get(refused.entity)
    if not isinstance(rows, list):
        return None
    if isinstance(refused.at, int):
        return rows[refused.at] if 0 <= refused.at < len(rows) else None
    called = [row for row in rows if isinstance(row, Mapping) and refused.at in map(row.get, _CALLED)]
    return called[0] if len(called) == 1 else None


class CatalogRows:
    """The table of rows."""

    def __init__(self, reader: Reader, sealer: Sealer, rows: Rows) -> None:
        self._reader = reader
        self._sealer = sealer
        self._rows = rows

    async def sound(self, rows: Sequence[RowHash], reader: Reader | None = None) -> set[RowHash]:
        """Those of these rows that Flash has as they are, or will have when what is pending has landed."""
        known: set[tuple[bytes, bytes]] = set()
        for start in range(0, len(rows), SLICE):
            keys = [row.key for row in rows[start : start + SLICE]]
            known.update(await (reader or self._reader).fetch(_SOUND.format(rows=placeholders(len(keys))), keys))
        return {row for row in rows if row in known}

    async def take(self, transaction: Transaction, seq: int, rows: Sequence[RowHash]) -> None:
        """From now on this operation carries these rows."""
        for start in range(0, len(rows), SLICE):
            placed, parameters = values_rows([(*row, seq) for row in rows[start : start + SLICE]])
            await transaction.fetch(_TAKE.format(rows=placed), parameters)

    async def supersede(self, transaction: Transaction, scope: bytes, now_ms: int) -> None:
        """Give up what failed and carries no row any more: newer operations carry them all."""
        found = [self._rows.operation(row) for row in await transaction.fetch(_BEREFT, [scope])]
        await self._rows.discard(transaction, found, "agent", "superseded", now_ms)

    async def leave(self, transaction: Transaction, seq: int) -> bool:
        """Take what Flash did not take of an operation for settled: it goes again when it says something else.

        Returns whether there was any.
        """
        return bool(await transaction.fetch(_LEAVE, [seq]))

    async def refuse(self, transaction: Transaction, operation: Operation, refused: Sequence[RefusedRow]) -> None:
        """Note which rows Flash did not take; where that is not certain all of the operation's are in doubt."""
        document = _document(operation)
        source, keys = str(document.get("source", "")), set()
        for each in refused:
            row = _row_at(document, each)
            if row is None:
                await transaction.fetch(_IN_DOUBT, [operation.seq])
                return
            keys.add(_key(source, each.entity, row, jsons.encode_sorted(row), self._sealer))
        for start in range(0, len(keys), SLICE):
            named = sorted(keys)[start : start + SLICE]
            await transaction.fetch(_REFUSED.format(rows=placeholders(len(named))), [operation.seq, *named])
