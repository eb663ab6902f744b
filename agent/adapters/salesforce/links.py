"""Which order a record is of: the way through the ids of a document to the Order that it all began with. Pure.

    ReturnOrder ── OrderSummaryId ──▶ OrderSummary ── OriginalOrderId ──▶ Order
         └──────── OrderId ───────────────────────────────────────────────▶ Order
    CreditMemo ── ReferenceEntityId ──▶ Order, OrderSummary, or a ReturnOrder or Invoice, and on from there

An order summary is made from one order, its original, and each is shown alone as well: so a purchase has the id of that
order, whichever of them shows it. With `order_id = "number"` it has the number of the kind that earns.
"""

from collections.abc import Mapping

from agent.adapters.salesforce.ids import type_of
from agent.adapters.salesforce.options import SalesforceOptions
from agent.adapters.salesforce.shapes import Entry, record_id, reference, text

STEPS = 5  # credit memo, invoice, return, summary, order; a ring ends too
AMENDED = ("OriginalOrderId", "RelatedOrderId")
LINKS = {
    "Order": AMENDED,
    "OrderSummary": ("OriginalOrderId",),
    "ReturnOrder": ("OrderSummaryId", "OrderId"),
    "CreditMemo": ("ReferenceEntityId",),
}
OTHER_LINKS = ("ReferenceEntityId", "OrderSummaryId", "OrderId")


class Links:
    """The links of one document; `known` are all its records by their ids."""

    def __init__(self, known: Mapping[str, Entry], options: SalesforceOptions) -> None:
        self._known = known
        self._options = options
        by_summary = options.order_id == "number" and options.sales_from == "order-summaries"
        self._wanted = "OrderSummary" if by_summary else "Order"

    def whole_id(self, entry: Entry) -> str | None:
        """The id of an Order or OrderSummary as a sale, Flash's; None where the document does not tell it."""
        if self._options.order_id == "number":
            own = text(entry.record, "OrderNumber")
        else:
            own = entry.id if entry.kind == "Order" else self.order_of(entry)
        return f"{self._options.id_prefix}{own}" if own else None

    def order_of(self, entry: Entry) -> str | None:
        """The id of the order that a record is of; None where the ids in the document do not lead to it."""
        return self._onward(entry, STEPS)

    def number_of(self, number: str) -> str | None:
        """The OrderNumber of a record of the document."""
        known = self._known.get(number)
        return text(known.record, "OrderNumber") if known is not None else None

    def are_given(self, entry: Entry) -> bool:
        """Whether a record names anything that it is of."""
        return any(reference(entry.record, field) for field in LINKS.get(str(entry.kind), OTHER_LINKS))

    def _onward(self, entry: Entry, steps: int) -> str | None:
        whole = self._known.get(record_id(entry.record) or "", entry)  # elsewhere in the document it may show more
        named = (reference(whole.record, field) for field in LINKS.get(str(entry.kind), OTHER_LINKS))
        ends = (self._end(number, steps) for number in named if number is not None)
        return next((end for end in ends if end is not None), None)

    def _end(self, number: str, steps: int) -> str | None:
        known = self._known.get(number)
        kind = (known.kind if known is not None else None) or type_of(number)
        amends = kind == "Order" and known is not None and self.are_given(known)
        if kind == self._wanted and not amends:
            return number
        return self._onward(Entry(kind, known.record, ""), steps - 1) if known is not None and steps > 0 else None
