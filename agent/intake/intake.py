"""Every document becomes a draft (`drafting.py`), is stored durably, and only then acknowledged.

Every document, whether a register posted it or an adapter parsed it, passes here and nowhere else. What goes upstream
is fixed before the first send, and resent unchanged.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from agent.config import Settings
from agent.coupons import Sightings
from agent.delivery import Kind
from agent.errors import Refusal, TooLargeError
from agent.intake import common_sale
from agent.intake.common_sale import CommonSale
from agent.intake.drafting import Drafting, Request
from agent.outbox.catalog_rows import CatalogRow, Gathering
from agent.outbox.operation import Accepted, Draft
from agent.outbox.store import Store
from agent.storage import Sealer

REHEARSED_AT_ONCE = 50  # the database is theirs for so long: some milliseconds, for registers wait meanwhile
MAX_BEARING = 100


class Intake:
    """Turns documents into stored operations."""

    def __init__(self, store: Store, sealer: Sealer, settings: Settings, sightings: Sightings) -> None:
        self._store = store
        self._sealer = sealer
        self._currency = settings.store.currency
        self._drafting = Drafting(sealer, settings, sightings)
        self._by_kind: Mapping[Kind, Callable[[Request], Draft]] = {
            Kind.SALE: self._drafting.sale,
            Kind.REFUND: self._drafting.refund,
            Kind.ENROLLMENT: self._drafting.enrollment,
            Kind.STORE: self._drafting.store,
            Kind.CATALOG: self._drafting.catalog,
        }

    def common_sale(self, body: bytes) -> CommonSale | None:
        """The sale in a body, where it is an ordinary one; for `Request.common`."""
        return common_sale.read(body, self._currency)

    async def sale(self, request: Request) -> Accepted:
        """Accept a sale, or find the one it repeats."""
        return await self._accept(self._drafting.sale(request))

    async def refund(self, request: Request) -> Accepted:
        """Accept a refund; where its sale is known here, its amount is fixed and checked against what is left."""
        return await self._accept(self._drafting.refund(request))

    async def enrollment(self, request: Request) -> Accepted:
        """Accept a new member, or news of one."""
        return await self._accept(self._drafting.enrollment(request))

    async def store(self, request: Request) -> Accepted:
        """Accept a store of the chain, or news of one."""
        return await self._accept(self._drafting.store(request))

    async def catalog(self, request: Request) -> Accepted:
        """Accept rows of a product catalog as they were posted, whether or not Flash has them already."""
        return await self._accept(self._drafting.catalog(request))

    async def redemption(self, request: Request) -> Accepted:
        """Accept a redemption, or find the one it repeats; the conductor (`redemption/`) sends it while one waits."""
        return await self._accept(await self._drafting.redemption(request))

    def gathering(self, source: str) -> Gathering:
        """Where the rows of a source's catalogs are brought together, to be asked about and accepted by parts."""
        return Gathering(source, self._sealer)

    async def changed(self, rows: Sequence[CatalogRow]) -> list[CatalogRow]:
        """Those of these rows that Flash does not have as they are, and is not about to have."""
        hashes = [row.hash(self._sealer) for row in rows]
        sound = await self._store.catalog_rows.sound(hashes)
        return [row for row, hashed in zip(rows, hashes, strict=True) if hashed not in sound]

    async def catalog_part(
        self, source: str, rows: Sequence[CatalogRow], metadata: Mapping[str, Any], *, rehearsal: bool = False
    ) -> Accepted:
        """Accept rows that were found to be new or changed; in a rehearsal, what accepting them would come to."""
        draft = self._drafting.catalog_part(source, rows, metadata)
        if not rehearsal:
            return await self._accept(draft)
        (rehearsed,) = await self._store.rehearse([draft])
        if isinstance(rehearsed, Refusal):
            raise rehearsed
        return rehearsed

    async def rehearse(self, requests: Sequence[tuple[Kind, Request]]) -> list[Accepted | Refusal]:
        """What accepting these one after another would come to; nothing is stored, whatever the answer.

        Raises TooLargeError where too many depend on each other: each looks at all before it, in one go.
        """
        drafts: list[Draft | Refusal] = []
        for number, (kind, request) in enumerate(requests):
            if number % REHEARSED_AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                drafts.append(self._by_kind[kind](request))
            except Refusal as refusal:
                drafts.append(refusal)
        sound = [draft for draft in drafts if isinstance(draft, Draft)]
        answers: list[Accepted | Refusal] = []
        for start in range(0, len(sound), REHEARSED_AT_ONCE):
            group = sound[start : start + REHEARSED_AT_ONCE]
            before = [draft for draft in sound[:start] if _bears_on(draft, group)]
            if len(before) > MAX_BEARING:
                detail = f"More than {MAX_BEARING} items bear on the same orders or members: rehearse fewer at once."
                raise TooLargeError(detail, code="too-many-items")
            await asyncio.sleep(0)
            answers += (await self._store.rehearse([*before, *group]))[len(before) :]
        rehearsed = iter(answers)
        return [_told_or_refused(next(rehearsed)) if isinstance(draft, Draft) else draft for draft in drafts]

    async def _accept(self, draft: Draft) -> Accepted:
        return _told(await self._store.accept(draft), draft.content.warnings)


def _told(accepted: Accepted, warnings: Sequence[str] = ()) -> Accepted:
    """A replay says which fields differ this time, and what its own document gave cause to warn of."""
    if not accepted.replayed or not (accepted.differs or warnings):
        return accepted
    said = accepted.operation.content.warnings if accepted.operation.content else ()
    differs = [warning for warning in warnings if warning not in said]
    if accepted.differs:
        names = ", ".join(accepted.differs)
        detail = f"This was accepted before; the first one stands. What differs this time was not taken over: {names}."
        differs.insert(0, detail)
    return replace(accepted, differs=differs)


def _bears_on(earlier: Draft, group: Sequence[Draft]) -> bool:
    """Whether what becomes of any in the group depends on an earlier one: the same order, or an enrollment before."""
    if any(earlier.scope == later.scope for later in group):
        return True
    return earlier.kind is Kind.ENROLLMENT and any(set(earlier.subjects) & set(later.subjects) for later in group)


def _told_or_refused(rehearsed: Accepted | Refusal) -> Accepted | Refusal:
    return rehearsed if isinstance(rehearsed, Refusal) else _told(rehearsed)
