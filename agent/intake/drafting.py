"""Drafts: a document is read, every fault is named, and what goes upstream (path, body, key) is fixed for good.

A draft depends on the document, the settings and the keyed hash alone, but for what its operation inherits from what
is there (`decide`, `inherit`). Called by the intake; raises InvalidError with all faults.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace
from pydantic import ValidationError

from agent import jsons
from agent.config import Settings
from agent.coupons import Sightings
from agent.delivery import Kind
from agent.errors import Fault, InvalidError, TooLargeError
from agent.fields import plain
from agent.flash import wire
from agent.intake.common_sale import CommonSale
from agent.intake.upstream_ids import UpstreamIds
from agent.masterdata import ENTITIES, Catalog, Member
from agent.masterdata import Store as StoreRecord
from agent.model import Document, Enrollment, Redemption, Refund, Sale, faults_of, unknown_faults, warnings_of
from agent.outbox.catalog_rows import CatalogRow, Gathering
from agent.outbox.operation import (
    Content,
    Draft,
    KnownOrder,
    catalog_scope,
    coupon_scope,
    order_scope,
    redemption_item,
    refund_item,
    store_scope,
)
from agent.storage import Sealer

D = TypeVar("D", bound=Document)
_CONSENT = ("marketingConsent", "marketingConsentAt")
MAX_POSTED_ROWS = 10_000  # of a catalog; they are written at once, and registers wait for that


class Request(msgspec.Struct, frozen=True):
    """How a document came: its fields, the register's own key (scoped to token and kind), and how strict to be."""

    fields: Mapping[str, Any]
    request_key: str | None = None
    strict: bool = False
    common: CommonSale | None = None  # a sale that was read by the shortcut; `fields` is empty then
    found: Document | None = None  # by an adapter: it is validated, and its ids are whole
    upstream_key: str | None = None  # of a found one: the key that the platforms have agreed on

    def __repr__(self) -> str:
        return "<Request>"


class Drafting:
    """Turns documents into drafts."""

    def __init__(self, sealer: Sealer, settings: Settings, sightings: Sightings) -> None:
        self._sightings = sightings
        self._sealer = sealer
        self._settings = settings
        self._context = {"currency": settings.store.currency}
        self._sale_defaults = {**self._context, "storeId": settings.store.store_id}
        self._refund_defaults = {**self._context, "ifKnown": False}
        self._store_id = settings.store.store_id
        self._extended = settings.flash.extended_orders
        self._ids = UpstreamIds(settings)

    def sale(self, request: Request) -> Draft:
        """A sale."""
        sale: Sale | CommonSale
        warnings: Sequence[str] = ()
        if request.common is not None:
            sale, sent = request.common, request.common.sent()
        else:
            sale, warnings = self._read(Sale, request)
            sent = _without_metadata(sale.sent())
        if request.found is not None:
            order_id = sale.external_order_id
        else:
            order_id = self._ids.of_order(sale.external_order_id, sale.store_id, sale.business_date)
        scope = order_scope(order_id)
        body = wire.order_body(order_id, sent, sale.store_id or self._store_id, extended=self._extended)
        content = Content(
            request=sent,
            path="/orders",
            body=wire.encode(body),
            key=request.upstream_key or wire.readable_key(Kind.SALE, order_id),
            metadata=sale.metadata or {},
            warnings=warnings,
            upstream_order_id=order_id,
        )
        return Draft(
            kind=Kind.SALE,
            scope=scope,
            content=content,
            fingerprint=plain(sale.total_amount),
            subjects=sale.customer.subjects(),
            request_key=request.request_key,
            external_order=_if_other(sale.external_order_id, order_id),
            basket=sale.transaction_id,
            business_date=sale.business_date,
            defaults=self._sale_defaults,
        )

    def refund(self, request: Request) -> Draft:
        """A refund; its amount is fixed when what is left of its sale is known."""
        refund, warnings = self._read(Refund, request)
        if request.found is not None:
            order_id, refund_id = refund.external_order_id, refund.refund_id
        else:
            order_id, refund_id = self._ids.of_refunded_order(refund), self._ids.of_refund(refund)
        sent = _without_metadata(refund.sent())
        content = Content(
            request=sent,
            path=wire.refund_path(order_id),
            body=wire.encode(wire.refund_body(refund_id, sent)),
            key=request.upstream_key or wire.readable_key(Kind.REFUND, order_id, refund_id),
            metadata=refund.metadata,
            warnings=warnings,
            upstream_order_id=order_id,
            if_known=refund.if_known,
        )

        def decide(order: KnownOrder) -> tuple[Content, str]:
            amount = _amount_of(refund, order)
            if amount is None:
                return replace(content, if_known=refund.if_known and order.total is None), "rest"
            fixed = {**sent, "amount": amount}
            body = wire.encode(wire.refund_body(refund_id, fixed))
            known = refund.if_known and order.total is None
            return replace(content, request=fixed, body=body, if_known=known), plain(amount)

        return Draft(
            kind=Kind.REFUND,
            scope=order_scope(order_id),
            item=refund_item(refund_id),
            content=content,
            fingerprint=None if refund.amount is None else plain(refund.amount),
            request_key=request.request_key,
            external_order=_if_other(refund.external_order_id, order_id),
            business_date=refund.business_date,
            conflict_code="refund-conflict",
            decide=decide,
            defaults=self._refund_defaults,
        )

    def enrollment(self, request: Request) -> Draft:
        """A new member, or news of one."""
        enrollment, warnings = self._read(Enrollment, request)
        sent = _without_metadata(enrollment.sent())
        body = wire.encode(wire.member_body(sent))
        scope = enrollment.subjects()[0]
        content = Content(
            request=sent,
            path="/members",
            body=body,
            key=self._upsert_key(Kind.ENROLLMENT, scope),
            metadata=enrollment.metadata,
            warnings=warnings,
        )

        def inherit(older: Mapping[str, Any]) -> Content:
            """A consent that was given at the counter goes along, or it would be lost with what is replaced."""
            consent = {name: older[name] for name in _CONSENT if name in older}
            if older.get("marketingConsent") is not True:
                return content
            with_it = {**sent, **consent}
            return replace(content, request=with_it, body=wire.encode(wire.member_body(with_it)))

        return Draft(
            kind=Kind.ENROLLMENT,
            scope=scope,
            content=content,
            fingerprint=wire.member_fingerprint(sent),
            subjects=enrollment.subjects(),
            request_key=request.request_key,
            inherit=inherit if isinstance(enrollment, Member) else None,
        )

    def store(self, request: Request) -> Draft:
        """A store of the chain, or news of one."""
        record, warnings = self._read(StoreRecord, request)
        sent = _without_metadata(record.sent())
        body = wire.encode(wire.store_body(sent))
        scope = store_scope(record.external_id)
        content = Content(
            request=sent,
            path=wire.STORES_PATH,
            body=body,
            key=self._upsert_key(Kind.STORE, scope),
            metadata=record.metadata,
            warnings=warnings,
        )
        return Draft(
            kind=Kind.STORE,
            scope=scope,
            content=content,
            fingerprint=bytes(body).decode(),
            request_key=request.request_key,
        )

    def catalog(self, request: Request) -> Draft:
        """Rows of a product catalog as they were posted."""
        catalog, warnings = self._read(Catalog, request)
        if sum(len(getattr(catalog, entity)) for entity in ENTITIES) > MAX_POSTED_ROWS:
            mend = "post it in pieces, or as a document: POST /v1/documents/canonical cuts it"
            raise TooLargeError(f"A catalog may have at most {MAX_POSTED_ROWS:,} rows; {mend}.", code="too-many-rows")
        gathering, bodies = Gathering(catalog.source, self._sealer), {}
        for entity in ENTITIES:
            rows: list[Any] = getattr(catalog, entity)
            bodies[entity] = [jsons.encode_sorted(row) for row in rows]  # in the order in which they came
            for row in rows:
                gathering.add(entity, row)
        draft = self._catalog_draft(catalog.source, bodies, gathering.rows, catalog.metadata, by_rows=False)
        content = replace(draft.content, warnings=warnings)
        return replace(draft, content=content, request_key=request.request_key)

    def catalog_part(self, source: str, rows: Sequence[CatalogRow], metadata: Mapping[str, Any]) -> Draft:
        """Rows that were found to be new or changed."""
        bodies = {entity: [body for row in rows if row.entity == entity for body in row.bodies] for entity in ENTITIES}
        return self._catalog_draft(source, bodies, rows, metadata, by_rows=True)

    def _catalog_draft(
        self,
        source: str,
        bodies: Mapping[str, Sequence[bytes]],
        rows: Sequence[CatalogRow],
        metadata: Mapping[str, Any],
        *,
        by_rows: bool,
    ) -> Draft:
        scope = catalog_scope(source)
        body = wire.catalog_body(source, bodies)
        content = Content(
            request={"source": source, "rows": {entity: len(own) for entity, own in bodies.items() if own}},
            path=wire.CATALOG_PATH,
            body=body,
            key=self._upsert_key(Kind.CATALOG, scope),
            metadata=metadata,
        )
        return Draft(
            kind=Kind.CATALOG,
            scope=scope,
            content=content,
            fingerprint=bytes(body).decode(),
            rows=[row.hash(self._sealer) for row in rows],
            by_rows=by_rows,
        )

    async def redemption(self, request: Request) -> Draft:
        """A redemption; with the coupon as this till saw it, where it did."""
        redemption, warnings = self._read(Redemption, request)
        sent = _without_metadata(redemption.sent())
        store = self._settings.store
        basket: dict[str, Any] = {
            "store_id": store.store_id or "",
            "till_id": store.till_id,
            "business_date": redemption.business_date,
            "transaction_id": redemption.transaction_id,
        }
        parts = (redemption.coupon_id, *basket.values(), str(redemption.attempt))
        subjects = redemption.customer.subjects() if redemption.customer else []
        seen = await self._sightings.sighting(redemption.coupon_id, subjects)
        content = Content(
            request=sent,
            path=wire.redeem_path(redemption.coupon_id),
            body=jsons.raw({}),
            key=wire.readable_key(Kind.REDEMPTION, *(part or "-" for part in parts)),
            metadata=redemption.metadata,
            warnings=warnings,
            coupon=seen.coupon if seen else {},
        )
        return Draft(
            kind=Kind.REDEMPTION,
            scope=coupon_scope(redemption.coupon_id),
            item=redemption_item(**basket, attempt=redemption.attempt),
            content=content,
            fingerprint=None,
            subjects=subjects,
            request_key=request.request_key,
            basket=redemption.transaction_id,
            business_date=redemption.business_date,
            defaults={"attempt": 1},
        )

    def _upsert_key(self, kind: Kind, scope: str) -> str:
        """A keyed digest: it holds no personal data, and differs by till, as two tills' upserts may."""
        return f"{kind}~{self._sealer.hash(f'upsert:{scope}').hex()}"

    def _read(self, model: type[D], request: Request) -> tuple[D, Sequence[str]]:
        if request.found is not None:
            return cast("D", request.found), ()
        try:
            document = model.model_validate(request.fields, context=self._context)
        except ValidationError as error:
            faults = faults_of(error)
            if request.strict:
                known = _known_names(model)
                faults += unknown_faults([name for name in request.fields if name not in known])
            raise InvalidError("The document has faults; nothing was stored.", faults=faults) from None
        unknown = document.unknown_fields()
        if not unknown:
            return document, ()
        if request.strict:
            raise InvalidError("The document has unknown fields.", faults=unknown_faults(unknown))
        return document, warnings_of(unknown)


def _amount_of(refund: Refund, order: KnownOrder) -> Decimal | None:
    """The refund's amount, fixed where the sale is known here; raises InvalidError when nothing, or less, is left."""
    if order.total is None or None in order.refunded:
        return refund.amount
    left = order.total - sum((amount for amount in order.refunded if amount is not None), Decimal(0))
    if left <= 0:
        fault = Fault("amount", "nothing is left of this sale to refund")
    elif refund.amount is not None and refund.amount > left:
        fault = Fault("amount", f"must be at most {left}, which is left of this sale")
    else:
        return refund.amount if refund.amount is not None else left
    raise InvalidError("More cannot be refunded than was sold; nothing was stored.", faults=[fault])


def _without_metadata(sent: dict[str, Any]) -> dict[str, Any]:
    sent.pop("metadata", None)
    return sent


def _if_other(external: str, upstream: str) -> str | None:
    return external if external != upstream else None


def _known_names(model: type[Document]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}
