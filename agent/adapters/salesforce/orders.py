"""Order and OrderSummary as sales.

An org with Order Management has both for one purchase, each in answers of its own: the summary is what the order has
become. They are one sale, under the id of the order (`links`), so that the second is a replay, or a conflict that is
seen. Orders that amend another (change orders, reduction orders) are rows of Order like any, and earn nothing.

A summary's own total shrinks with each return, which would then be given back a second time: a summary is imported when
it is fulfilled, before any return, or by a total that stays (`OriginalOrder.GrandTotalAmount`).
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named
from agent.adapters.json_documents import Record, inner
from agent.adapters.salesforce import people
from agent.adapters.salesforce.links import AMENDED, Links
from agent.adapters.salesforce.options import SalesforceOptions
from agent.adapters.salesforce.shapes import Entry, reference, text
from agent.model import Sale


class Orders:
    """The orders of one document. `summarized` are the ids of the orders whose summaries are in it."""

    def __init__(self, options: SalesforceOptions, site: Site, links: Links, found: Iterable[Entry]) -> None:
        found = list(found)
        self._options = options
        self._site = site
        self._links = links
        summarized = (links.order_of(entry) for entry in found if entry.kind == "OrderSummary")
        self._summarized = frozenset(filter(None, summarized))
        self._returned = returned_orders(found, options)

    def items(self, entry: Entry) -> list[Item]:
        """What one order comes to; raises ValueError naming a field that is unsound."""
        return [self._refusal(entry) or self._sale(entry)]

    def _sale(self, entry: Entry) -> Item:
        record, options = entry.record, self._options
        customer = people.customer(record, options)
        if not customer:
            return Skipped("no-customer", "It shows no customer.", entry.place)
        number = self._links.whole_id(entry)
        if number is None:
            return self._unnamed(entry)
        is_summary = entry.kind == "OrderSummary"
        fields: dict[str, Any] = {
            "externalOrderId": number,
            "customer": customer,
            "currency": text(record, "CurrencyIsoCode"),
            "totalAmount": total(record, options.order_summary_totals if is_summary else options.order_totals),
            "businessDate": named("EffectiveDate", values.day, record.get("EffectiveDate")),
            "occurredAt": _moment(record, "OrderedDate") or _moment(record, "CreatedDate"),
        }
        return make(Sale, fields, entry.place, self._site, sold_at=(_store(record, options, self._site),))

    def _unnamed(self, entry: Entry) -> Skipped:
        if self._options.order_id == "id" and entry.kind == "OrderSummary":
            reason = (
                "It does not say which order it was made from, and that order's Id names the sale, so that the two "
                "never earn twice; add OriginalOrderId to the query."
            )
            return Skipped("no-original-order", reason, entry.place, fault=True)
        field = "an Id" if self._options.order_id == "id" else "an OrderNumber"
        return Skipped("no-id", f"It lacks {field}, which names it; add it to the query.", entry.place, fault=True)

    def _refusal(self, entry: Entry) -> Skipped | None:
        record, place = entry.record, entry.place
        if (other := self._other_kind(entry)) is not None:
            return other
        if entry.kind == "Order" and _amends(record, self._options):
            return Skipped("change-order", "It amends another order, and is no sale of its own.", place)
        setting = "order_summary_statuses" if entry.kind == "OrderSummary" else "order_statuses"
        if not values.is_among(text(record, "Status"), getattr(self._options, setting)):
            return Skipped("status", f"Its Status is none of {setting}.", place)
        if self._was_returned(entry) and "." not in _chosen(record, self._options.order_summary_totals):
            reason = (
                "A return of it is in the document too, and its total may be what the return left. Add "
                "OriginalOrder.GrandTotalAmount to the query, and name it first in order_summary_totals."
            )
            return Skipped("total-after-return", reason, place, fault=True)
        return None

    def _was_returned(self, entry: Entry) -> bool:
        return entry.kind == "OrderSummary" and not self._returned.isdisjoint({entry.id, self._links.order_of(entry)})

    def _other_kind(self, entry: Entry) -> Skipped | None:
        """Why it does not earn where the other kind of record does."""
        chosen = self._options.sales_from
        if entry.kind == "OrderSummary" and chosen == "orders":
            return Skipped("counted-as-order", 'Orders earn here (sales_from = "orders"), not summaries.', entry.place)
        if entry.kind == "Order" and (
            chosen == "order-summaries" or (chosen == "either" and entry.id in self._summarized)
        ):
            return Skipped("counted-as-summary", "The summary of an order earns, not the order beside it.", entry.place)
        return None


def returned_orders(found: Iterable[Entry], options: SalesforceOptions) -> frozenset[str]:
    """The ids of the orders and summaries of which a return or credit memo that is settled is in the document."""
    settled = {"ReturnOrder": options.return_order_statuses, "CreditMemo": options.credit_memo_statuses}
    returns = [
        entry.record
        for entry in found
        if entry.kind in settled and values.is_among(str(entry.record.get("Status")), settled[entry.kind])
    ]
    fields = ("OrderSummaryId", "OrderId", "ReferenceEntityId")
    return frozenset(filter(None, (reference(record, field) for record in returns for field in fields)))


def total(record: Record, fields: tuple[str, ...]) -> Decimal:
    """The first of these totals that is there."""
    chosen = _chosen(record, fields)
    found = named(chosen, values.amount, inner(record, *chosen.split(".")))
    if found is None:
        raise ValueError(f"{' or '.join(fields)} is missing; add it to the query")
    return found


def _chosen(record: Record, fields: tuple[str, ...]) -> str:
    """The name of the first of these fields that is there; where none is, of the first."""
    return next((field for field in fields if inner(record, *field.split(".")) is not None), fields[0])


def _amends(record: Record, options: SalesforceOptions) -> bool:
    """Whether an order changes another: it says so, or takes away, which no order of its own does."""
    kinds = (text(record, "Type"), text(record, "RecordType", "Name"))
    return (
        any(reference(record, field) for field in AMENDED)
        or named("IsReductionOrder", values.flag, record.get("IsReductionOrder"))
        or any(values.is_among(kind, options.change_order_types) for kind in kinds)
        or any((named(field, values.amount, record.get(field)) or 0) < 0 for field in options.order_totals)
    )


def _store(record: Record, options: SalesforceOptions, site: Site) -> str | None:
    """A store's code; a reference has a long and a short form, and a site may have written either."""
    code = reference(record, options.store_field)
    if code is None:
        return text(record, options.store_field)
    return code if code in site.stores else code[:15]


def _moment(record: Record, field: str) -> str | None:
    return named(field, values.moment, record.get(field))
