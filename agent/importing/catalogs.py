"""Product catalogs that adapters found: what is new of them, cut into operations that a line and a cashier can bear.

Catalogs of one source that follow each other are one: their rows go in the order in which a row finds what it refers
to (brands, categories, products, variants, inventory), without those that Flash has as they are, or will have. All is
done in slices, so that a register never waits for a catalog. Called by `items.py`; raises the refusals of the
store that are to be tried again, and what was accepted before is unchanged then.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from agent.adapters.base import Found
from agent.errors import Refusal
from agent.intake import Intake
from agent.masterdata import ENTITIES, Catalog
from agent.outbox.catalog_rows import SLICE, CatalogRow, Gathering
from agent.outbox.operation import Accepted

MAX_ROWS = 500
# As much as may be posted. A slow line must carry it within one attempt's time limit, 8 s: so it does at 300 kbit/s.
MAX_BYTES = 256 * 1024


@dataclass(slots=True)
class CatalogTaken:
    """What became of one catalog: its rows, how many of them were left out as unchanged, and what carries the rest."""

    rows: int
    unchanged: int = 0
    operations: list[Accepted] = field(default_factory=list)
    refused: Refusal | None = None


class Rehearsal:
    """Rows that would have been accepted by now."""

    def __init__(self) -> None:
        self._said: dict[bytes, list[bytes]] = {}

    def note(self, rows: Sequence[CatalogRow]) -> None:
        """These would be accepted."""
        self._said |= {row.key: row.bodies for row in rows}

    def has(self, row: CatalogRow) -> bool | None:
        """Whether it would be there as it is; None where this rehearsal has not met it."""
        return None if row.key not in self._said else self._said[row.key] == row.bodies


class Catalogs:
    """Takes catalogs in."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def take(
        self, found: Sequence[Found], origin: Mapping[str, Any], rehearsal: Rehearsal | None = None
    ) -> list[CatalogTaken]:
        """Take in catalogs of one source, in their order; with a rehearsal say what that would come to."""
        return await _Taking(self._intake, found, origin, rehearsal).run()


class _Part:
    """The rows of one operation."""

    def __init__(self) -> None:
        self.rows: list[CatalogRow] = []
        self._count = self._size = 0

    def has_room(self, row: CatalogRow) -> bool:
        """Whether one more may join; a first one always may."""
        count, size = self._count + len(row.bodies), self._size + row.size
        return not self.rows or (count <= MAX_ROWS and size <= MAX_BYTES)

    def add(self, row: CatalogRow) -> None:
        self.rows.append(row)
        self._count += len(row.bodies)
        self._size += row.size


class _Taking:
    """One call."""

    def __init__(
        self, intake: Intake, found: Sequence[Found], origin: Mapping[str, Any], rehearsal: Rehearsal | None
    ) -> None:
        self._intake = intake
        self._found = found
        self._catalogs = [item.document for item in found if isinstance(item.document, Catalog)]
        self._origin = origin
        self._rehearsal = rehearsal
        self._taken = [CatalogTaken(sum(len(getattr(each, entity)) for entity in ENTITIES)) for each in self._catalogs]

    async def run(self) -> list[CatalogTaken]:
        gathering = await self._gather()
        part = _Part()
        for chunk in _slices(gathering.rows):
            for row in await self._changed(chunk):
                if not part.has_room(row):
                    await self._accept(part.rows)
                    part = _Part()
                part.add(row)
        if part.rows:
            await self._accept(part.rows)
        return self._taken

    async def _gather(self) -> Gathering:
        gathering = self._intake.gathering(self._catalogs[0].source)
        count = 0
        for entity in ENTITIES:
            for number, catalog in enumerate(self._catalogs):
                for row in getattr(catalog, entity):
                    gathering.add(entity, row, number)
                    count += 1
                    if count % SLICE == 0:
                        await asyncio.sleep(0)
        return gathering

    async def _changed(self, rows: Sequence[CatalogRow]) -> list[CatalogRow]:
        changed = {row.key for row in await self._intake.changed(rows)}
        fresh = []
        for row in rows:
            rehearsed = self._rehearsal.has(row) if self._rehearsal else None
            if row.key in changed if rehearsed is None else not rehearsed:
                fresh.append(row)
            else:
                for number in row.of:
                    self._taken[number].unchanged += 1
        return fresh

    async def _accept(self, rows: Sequence[CatalogRow]) -> None:
        numbers = sorted({number for row in rows for number in row.of})
        first, source = self._found[numbers[0]], self._catalogs[0].source
        metadata = {**first.document.metadata, **self._origin, "place": first.place}
        if len(numbers) > 1:
            metadata["upTo"] = self._found[numbers[-1]].place
        try:
            accepted = await self._intake.catalog_part(source, rows, metadata, rehearsal=self._rehearsal is not None)
        except Refusal as refusal:
            if refusal.retryable:
                raise
            for number in numbers:
                self._taken[number].refused = refusal
            return
        if self._rehearsal is not None:
            self._rehearsal.note(rows)
        for number in numbers:
            self._taken[number].operations.append(accepted)


def _slices(rows: Sequence[CatalogRow]) -> Iterator[list[CatalogRow]]:
    source = iter(rows)
    while chunk := list(islice(source, SLICE)):
        yield chunk
