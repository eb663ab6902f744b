"""ReturnOrder and CreditMemo as refunds, each of the sale that its ids lead to (`links`).

A return may have both, in answers of their own, and nothing in them tells that they are one: a return order names no
credit memo, and a credit memo only what it is of. A simple return has a credit memo alone, an org without Order
Management return orders alone. So one kind gives back, return orders, and a credit memo is left to a person until the
site has said which (`refunds_from`).
"""

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named, nothing_refunded
from agent.adapters.salesforce import orders, people
from agent.adapters.salesforce.links import Links
from agent.adapters.salesforce.options import SalesforceOptions
from agent.adapters.salesforce.shapes import Entry, text
from agent.model import Refund

TOTALS = {"ReturnOrder": ("GrandTotalAmount",), "CreditMemo": ("TotalAmountWithTax",)}


class Returns:
    """The returns of one document."""

    def __init__(self, options: SalesforceOptions, site: Site, links: Links) -> None:
        self._options = options
        self._site = site
        self._links = links

    def items(self, entry: Entry) -> list[Item]:
        """One return; raises ValueError naming a field that is unsound."""
        return [self._refusal(entry) or self._refund(entry)]

    def _refusal(self, entry: Entry) -> Skipped | None:
        is_memo = entry.kind == "CreditMemo"
        setting = "credit_memo_statuses" if is_memo else "return_order_statuses"
        statuses: frozenset[str] = getattr(self._options, setting)
        if not values.is_among(text(entry.record, "Status"), statuses):
            return Skipped("status", f"Its Status is none of {setting}.", entry.place)
        return self._other_kind(entry, is_memo=is_memo)

    def _other_kind(self, entry: Entry, *, is_memo: bool) -> Skipped | None:
        """Why it does not give back where the other kind of record does."""
        chosen = self._options.refunds_from
        if is_memo and chosen is None:
            reason = (
                "Return orders give back here, and this credit memo may be of one of them: it would give back a second "
                'time. Say which counts: refunds_from = "return-orders" where each return has a return order, '
                '"credit-memos" where some are credited without one.'
            )
            return Skipped("credit-undecided", reason, entry.place, fault=True)
        if is_memo and chosen == "return-orders":
            reason = "Return orders give back here; a credit memo of a return would do it a second time."
            return Skipped("counted-as-return", reason, entry.place)
        if not is_memo and chosen == "credit-memos":
            return Skipped("counted-as-credit", "Credit memos give back here, not the return orders.", entry.place)
        return None

    def _refund(self, entry: Entry) -> Item:
        if entry.id is None:
            return Skipped("no-id", "It lacks an Id, which names it; add it to the query.", entry.place, fault=True)
        sale = self._sale(entry)
        if sale is None or isinstance(sale, Skipped):
            return sale or Skipped("return-without-sale", "It names no order that it is of.", entry.place)
        amount = abs(orders.total(entry.record, TOTALS[str(entry.kind)]))
        if amount == 0:
            return nothing_refunded(entry.place)
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
        order = self._links.order_of(entry)
        if order is None and not self._links.are_given(entry):
            return None
        if order is None:
            reason = (
                "The ids in the document do not lead to its order. Add OrderId or OrderSummary.OriginalOrderId to the "
                "query, of a credit memo TYPEOF ReferenceEntity WHEN OrderSummary THEN OriginalOrderId END; or send "
                "what it refers to in the same document."
            )
            return Skipped("order-not-in-document", reason, entry.place, fault=True)
        if self._options.order_id == "id":
            return f"{self._options.id_prefix}{order}"
        number = self._links.number_of(order)
        if number is not None:
            return f"{self._options.id_prefix}{number}"
        reason = (
            'Orders are named by their numbers (order_id = "number"), and it gives only the id of its order; add '
            "Order.OrderNumber or OrderSummary.OrderNumber to the query."
        )
        return Skipped("number-not-in-document", reason, entry.place, fault=True)
