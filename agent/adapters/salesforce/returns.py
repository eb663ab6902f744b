"""ReturnOrder and CreditMemo as refunds, each of the sale that its ids lead to.

    ReturnOrder ── OrderSummaryId, OrderId ──▶ the sale
    CreditMemo ── ReferenceEntityId ──▶ the sale, or a ReturnOrder or Invoice of the same document, and on from there

A return may have both, and would be given back twice: where a document has return orders, its credit memos count only
if the site says "both".
"""

from collections.abc import Iterable, Mapping

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named
from agent.adapters.salesforce import orders, people
from agent.adapters.salesforce.ids import type_of
from agent.adapters.salesforce.options import SalesforceOptions
from agent.adapters.salesforce.shapes import Entry, reference, text
from agent.model import Refund

STEPS = 5  # credit memo, invoice, return, order; a ring ends too
TOTALS = {"ReturnOrder": ("GrandTotalAmount",), "CreditMemo": ("TotalAmountWithTax",)}
LINKS = {"ReturnOrder": ("OrderSummaryId", "OrderId"), "CreditMemo": ("ReferenceEntityId",)}
OTHER_LINKS = ("ReferenceEntityId", "OrderSummaryId", "OrderId")
SALES = ("Order", "OrderSummary")


def returned_orders(found: Iterable[Entry], options: SalesforceOptions) -> frozenset[str]:
    """The ids of the order summaries of which a return that counts is in the document."""
    counted = (
        entry
        for entry in found
        if entry.kind == "ReturnOrder" and orders.earns(str(entry.record.get("Status")), options.return_order_statuses)
    )
    return frozenset(filter(None, (reference(entry.record, "OrderSummaryId") for entry in counted)))


class Returns:
    """The returns of one document; `known` are all its records by their ids."""

    def __init__(self, options: SalesforceOptions, site: Site, known: Mapping[str, Entry], *, returned: bool) -> None:
        self._options = options
        self._site = site
        self._known = known
        self._returned = returned

    def items(self, entry: Entry) -> list[Item]:
        """One return; raises ValueError naming a field that is unsound."""
        return [self._refusal(entry) or self._refund(entry)]

    def _refusal(self, entry: Entry) -> Skipped | None:
        options = self._options
        is_memo = entry.kind == "CreditMemo"
        if is_memo and (
            options.refunds_from == "return-orders" or (self._returned and options.refunds_from == "either")
        ):
            reason = "Return orders give back here; a credit memo of a return would do it a second time."
            return Skipped("counted-as-return", reason, entry.place)
        if not is_memo and options.refunds_from == "credit-memos":
            return Skipped("counted-as-credit", "Credit memos give back here, not the return orders.", entry.place)
        setting = "credit_memo_statuses" if is_memo else "return_order_statuses"
        statuses: frozenset[str] = getattr(options, setting)
        if not orders.earns(text(entry.record, "Status"), statuses):
            return Skipped("status", f"Its Status is none of {setting}.", entry.place)
        return None

    def _refund(self, entry: Entry) -> Item:
        if entry.id is None:
            return Skipped("no-id", "It lacks an Id, which names it; add it to the query.", entry.place, fault=True)
        sale = self._sale(entry)
        if sale is None or isinstance(sale, Skipped):
            return sale or Skipped("return-without-sale", "It names no order that it is of.", entry.place)
        amount = abs(orders.total(entry.record, TOTALS[str(entry.kind)]))
        if amount == 0:
            return Skipped("nothing-given-back", "It gives no money back.", entry.place)
        fields = {
            "externalOrderId": sale,
            "refundId": f"{self._options.id_prefix}{entry.id}",
            "amount": amount,
            "currency": text(entry.record, "CurrencyIsoCode"),
            "businessDate": named("CreditDate", values.day, entry.record.get("CreditDate")),
            "ifKnown": None if people.customer(entry.record, self._options) else True,
        }
        return make(Refund, fields, entry.place, self._site)

    def _sale(self, entry: Entry) -> str | Skipped | None:
        """The whole id of the sale; None where nothing is named; `Skipped` where the document does not lead there."""
        wanted = {"orders": "Order", "order-summaries": "OrderSummary"}.get(self._options.sales_from)
        at: Entry | None = entry
        for _ in range(STEPS):
            found = self._next(at, wanted) if at is not None else None
            if found is None:
                break
            kind = self._kind(found)
            if kind in SALES and (wanted is None or kind == wanted):
                return self._named(found, entry)
            at = self._known.get(found)
        if at is entry:
            return None
        reason = (
            "The ids in the document do not lead to its order; add the record that it refers to, or "
            "ReferenceEntity.Type, to the query."
        )
        return Skipped("order-not-in-document", reason, entry.place, fault=True)

    def _next(self, at: Entry, wanted: str | None) -> str | None:
        """The id that a record leads to: of the wanted kind, where it names several."""
        links = LINKS.get(str(at.kind), OTHER_LINKS)
        named_ids = [found for field in links if (found := reference(at.record, field)) is not None]
        if at.kind == "OrderSummary":
            named_ids = [found for found in [reference(at.record, "OriginalOrderId")] if found]
        fitting = [found for found in named_ids if wanted is None or self._kind(found) == wanted]
        return next(iter([*fitting, *named_ids]), None)

    def _kind(self, number: str) -> str | None:
        known = self._known.get(number)
        return (known.kind if known is not None else None) or type_of(number)

    def _named(self, number: str, entry: Entry) -> str | Skipped:
        if self._options.order_id == "id":
            return f"{self._options.id_prefix}{number}"
        order = self._known.get(number)
        whole = orders.whole_id(order.record, self._options) if order is not None else None
        if whole is not None:
            return whole
        reason = (
            'Orders are named by their numbers (order_id = "number"), and it gives only the id of its order; add '
            "Order.OrderNumber or OrderSummary.OrderNumber to the query."
        )
        return Skipped("number-not-in-document", reason, entry.place, fault=True)
