"""What adapters found, taken in: the way of a document of another system through the same intake as a register's.

    document → adapter → items → here → intake → outbox

Sales side by side, and so are members; everything else one after another, in the document's order: a refund behind its
sale, a sale behind its member; catalogs of one source that follow each other are one (`catalogs.py`). Taking the same
document again finds everything there already; so whoever was interrupted begins again. Raises StorageFullError,
StorageUnavailableError and OverloadedError, after which the same items are to be taken again; a refusal of one item is
that item's answer and stops nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, BinaryIO

from agent.adapters import registry
from agent.adapters.base import Adapter, Canonical, Found, Item, Site, Skipped
from agent.adapters.canonical import kind_of
from agent.config import Settings
from agent.delivery import Kind
from agent.errors import ConfigError, ForbiddenError, NotConfiguredError, Refusal
from agent.importing.catalogs import Catalogs, CatalogTaken, Rehearsal
from agent.intake import Intake, Request
from agent.masterdata import Catalog, Member, Store
from agent.model import Enrollment, Refund, Sale
from agent.outbox.operation import Accepted

SIDE_BY_SIDE = 64
_MASTER_DATA = (Member, Store, Catalog)
_MEMBERS_STAY = (
    "Customers in documents are only resolved when they buy; the push of the member master is off. "
    "To create and update members from documents set [documents] push_members = true."
)
_NOT_YOURS = "Master data needs a token of scope operator."


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one item: exactly one of `accepted`, `skipped` and `refused` is set.

    A catalog may have become several operations, or none where Flash has all of it: `catalog` tells, and `accepted` is
    the last of them, which follows the others.
    """

    place: str
    kind: str
    accepted: Accepted | None = None
    skipped: Skipped | None = None
    refused: Refusal | None = None
    catalog: CatalogTaken | None = None

    @property
    def outcome(self) -> str:
        """`accepted`, `replayed`, `skipped`, `faulty` (a person must look) or `refused` (a person must look)."""
        if self.catalog is not None and self.refused is None:
            return "replayed" if all(each.replayed for each in self.catalog.operations) else "accepted"
        if self.accepted is not None:
            return "replayed" if self.accepted.replayed else "accepted"
        if self.skipped is not None:
            return "faulty" if self.skipped.fault else "skipped"
        return "refused"


class Importing:
    """Takes in what adapters find."""

    def __init__(self, intake: Intake, settings: Settings, wake: Callable[[Kind], None]) -> None:
        self._intake = intake
        self._settings = settings
        self._wake = wake
        documents, currency = settings.documents, settings.store.currency
        others = documents.unknown_stores == "own"
        self.site = Site(currency, frozenset(documents.currencies), documents.stores, others, documents.max_bytes)
        self.push_members = documents.push_members
        self.max_bytes = documents.max_bytes  # of a document that is posted, or held in memory whole
        self.large = asyncio.Semaphore(1)  # for a large document that was posted, while it is read
        self._catalogs = Catalogs(intake)

    def options(self, name: str) -> Mapping[str, Any]:
        """The settings of an adapter, as the site wrote them."""
        return self._settings.adapters.get(name, {})

    def items(self, name: str, source: BinaryIO) -> Iterator[Item]:
        """What an adapter finds in a document, as it reads it; raises NotFoundError and NotConfiguredError at once."""
        adapter: Adapter = registry.adapter(name)
        try:
            options = registry.options_of(name, self.options(name))
        except ConfigError as error:
            mend = "Then start the agent anew: settings are read at its start."
            raise NotConfiguredError(f"Nothing was stored. {error} {mend}") from None
        return adapter.items(source, options, self.site)

    def lacking(self, name: str) -> str | None:
        """What must be set before an adapter takes documents; None where nothing is missing."""
        try:
            registry.options_of(name, self.options(name))
        except ConfigError as error:
            return str(error)
        return None

    async def take(self, items: Iterable[Item], origin: Mapping[str, Any], *, master_data: bool) -> list[Taken]:
        """Take items in, in their order. `origin` is kept with each operation, as metadata, beside the item's place."""
        taken: list[Taken] = []
        kinds: set[Kind] = set()
        try:
            for (way, _), run in groupby(items, key=_way):
                group = list(run)
                kinds |= {_KINDS[type(item.document)] for item in group if isinstance(item, Found)}
                taken += await self._take_group(way, group, origin, master_data=master_data)
        finally:  # what was accepted before it was broken off is sent all the same
            for kind in kinds:
                self._wake(kind)
        return taken

    async def _take_group(
        self, way: type, group: Sequence[Item], origin: Mapping[str, Any], *, master_data: bool
    ) -> list[Taken]:
        """Take in items that are taken in the same way."""
        if way is Catalog:
            return await self._take_catalogs(group, origin, None, master_data=master_data)
        taken: list[Taken] = []
        step = SIDE_BY_SIDE if way in {Sale, Member} else 1
        for start in range(0, len(group), step):
            waiting = [self._take(item, origin, master_data=master_data) for item in group[start : start + step]]
            for result in await asyncio.gather(*waiting, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
                taken.append(result)
        return taken

    async def rehearse(self, items: Iterable[Item], *, master_data: bool) -> list[Taken]:
        """What `take` would come to, by the same code, with nothing stored."""
        items, taken, rehearsal = list(items), [], Rehearsal()
        asked = [item for item in items if self._not_sent(item, master_data=master_data) is None]
        requests = [
            (_KINDS[type(item.document)], _request(item, {}))
            for item in asked
            if isinstance(item, Found) and not isinstance(item.document, Catalog)
        ]
        answers = iter(await self._intake.rehearse(requests))
        for (way, _), run in groupby(items, key=_way):
            if way is Catalog:
                taken += await self._take_catalogs(list(run), {}, rehearsal, master_data=master_data)
                continue
            for item in run:
                verdict = self._not_sent(item, master_data=master_data)
                taken.append(_answered(item, next(answers)) if verdict is None else verdict)
        return taken

    async def _take_catalogs(
        self, items: Sequence[Item], origin: Mapping[str, Any], rehearsal: Rehearsal | None, *, master_data: bool
    ) -> list[Taken]:
        """Catalogs of one source, all of them alike in whether they may be sent."""
        verdicts = [self._not_sent(item, master_data=master_data) for item in items]
        refused = [verdict for verdict in verdicts if verdict is not None]
        if refused:
            return refused
        found = [item for item in items if isinstance(item, Found)]
        return [
            Taken(item.place, "catalog", _last(catalog), refused=catalog.refused, catalog=catalog)
            for item, catalog in zip(found, await self._catalogs.take(found, origin, rehearsal), strict=True)
        ]

    def _not_sent(self, item: Item, *, master_data: bool) -> Taken | None:
        """Why an item does not even reach the intake; None when it does."""
        if isinstance(item, Skipped):
            return Taken(item.place, "", skipped=item)
        kind = kind_of(item.document)
        if isinstance(item.document, Member) and not self.push_members:
            return Taken(item.place, kind, skipped=Skipped("member-push-off", _MEMBERS_STAY, item.place))
        if isinstance(item.document, _MASTER_DATA) and not master_data:
            return Taken(item.place, kind, refused=ForbiddenError(_NOT_YOURS))
        return None

    async def _take(self, item: Item, origin: Mapping[str, Any], *, master_data: bool) -> Taken:
        not_sent = self._not_sent(item, master_data=master_data)
        if not_sent is not None or not isinstance(item, Found):
            assert not_sent is not None  # noqa: S101 - only what was found is sent
            return not_sent
        accept: Mapping[Kind, Callable[[Request], Awaitable[Accepted]]] = {
            Kind.SALE: self._intake.sale,
            Kind.REFUND: self._intake.refund,
            Kind.ENROLLMENT: self._intake.enrollment,
            Kind.STORE: self._intake.store,
        }
        try:
            return _answered(item, await accept[_KINDS[type(item.document)]](_request(item, origin)))
        except Refusal as refusal:
            if refusal.retryable:
                raise
            return _answered(item, refusal)


_KINDS: Mapping[type[Canonical], Kind] = {
    Sale: Kind.SALE,
    Refund: Kind.REFUND,
    Enrollment: Kind.ENROLLMENT,
    Member: Kind.ENROLLMENT,
    Store: Kind.STORE,
    Catalog: Kind.CATALOG,
}


def _way(item: Item) -> tuple[type, str]:
    """How an item is taken, and with which of its neighbours: side by side, as one, or one after another."""
    if isinstance(item, Skipped) or isinstance(item.document, Sale):
        return Sale, ""
    if isinstance(item.document, Catalog):
        return Catalog, item.document.source
    if isinstance(item.document, Member | Enrollment):  # two of one person are accepted in the order of their arrival
        return Member, ""
    return Found, ""


def _last(catalog: CatalogTaken) -> Accepted | None:
    return catalog.operations[-1] if catalog.operations and catalog.refused is None else None


def _request(item: Found, origin: Mapping[str, Any]) -> Request:
    metadata = {**item.document.metadata, **origin, "place": item.place}
    document = item.document.model_copy(update={"metadata": metadata})
    return Request({}, found=document, upstream_key=item.key)


def _answered(item: Item, answer: Accepted | Refusal) -> Taken:
    assert isinstance(item, Found)  # noqa: S101 - only what was found is asked
    kind = kind_of(item.document)
    if isinstance(answer, Refusal):
        return Taken(item.place, kind, refused=answer)
    return Taken(item.place, kind, accepted=answer)


def catalog_totals(taken: Sequence[Taken]) -> dict[str, int] | None:
    """How many rows catalogs had, how many were left out as unchanged, and how many operations carry the rest.

    None where there was no catalog.
    """
    catalogs = [each.catalog for each in taken if each.catalog is not None]
    if not catalogs:
        return None
    operations = {accepted.operation.id for catalog in catalogs for accepted in catalog.operations}
    return {
        "rows": sum(catalog.rows for catalog in catalogs),
        "unchanged": sum(catalog.unchanged for catalog in catalogs),
        "operations": len(operations),
    }


def totals(taken: Sequence[Taken]) -> dict[str, int]:
    """How many items came to what, every outcome named."""
    counts = dict.fromkeys(("accepted", "replayed", "skipped", "faulty", "refused"), 0)
    for each in taken:
        counts[each.outcome] += 1
    return counts
