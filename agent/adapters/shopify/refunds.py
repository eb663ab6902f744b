"""Shopify's refunds: how much money went back, in the shop's currency, and for which order.

**What went back** is the sum of the transactions of kind `refund` with status `success`; lines alone are no money (an
edited order has refunds of lines and none of money). A refund to store credit or to a gift card has such a transaction
too and is a refund as any other: the purchase is undone, and what is bought with the credit earns again.

**In the shop's currency**: transactions are in the customer's. Where the two differ, the parts (lines, adjustments,
duties, fees) are added up on both sides; the side of the customer must come to what the transactions say, and then the
shop's side is the amount. Adjustments are negative where they gave money. Shipping stands twice, as an adjustment
`shipping_refund` and as a shipping line, and is counted once. Where prices include tax, `subtotal` holds it already: of
the two sums, with tax and without, the one that agrees is right.

**Not yet, or never**: one pending transaction and the refund waits for its next document, for one id has one amount.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named, nothing_refunded
from agent.adapters.json_documents import Record, inner, listed
from agent.adapters.shopify.money import NOTHING, PRESENTMENT, SHOP, Money, added, currency_of, money, shop_currency
from agent.adapters.shopify.shapes import id_of
from agent.model import Refund

ORDER_PREFIX = "shopify-order:"
REFUND_PREFIX = "shopify-refund:"
UNDER_WAY = ("pending", "awaiting_response")
ROUNDING = Decimal("0.05")  # of the customer's currency: parts are rounded one by one


def refund_items(
    refund: Record, place: str, site: Site, *, order: Record | None = None, if_known: bool = True
) -> Iterator[Item]:
    """The refund, or why nothing is sent for it. `order` is the one it stands in; else it must name its own.

    Raises ValueError naming a field that is unsound.
    """
    paid = _paid_back(refund, place, order or {})
    if isinstance(paid, Skipped):
        yield paid
        return
    order_id = order.get("id") if order else None
    if order_id is None and refund.get("order_id") is None:
        reason = "It does not name its order; send it with its order_id."
        yield Skipped("return-without-sale", reason, place)
        return
    fields = {
        "externalOrderId": ORDER_PREFIX + id_of(order or refund, "id" if order else "order_id"),
        "refundId": REFUND_PREFIX + id_of(refund, "id"),
        "amount": paid.amount,
        "currency": paid.currency,
        "businessDate": local_day(refund),
        "ifKnown": True if if_known else None,
    }
    yield make(Refund, fields, place, site)


def is_test(record: Record) -> bool:
    """Whether any transaction in an order or a refund is a test's."""
    inside = (inner(each, "transactions") for each in (record, *listed(record.get("refunds"))))
    return any(named("test", values.flag, inner(each, "test")) for found in inside for each in listed(found))


def local_day(record: Record) -> str | None:
    """The day on the shop's own clock; None where the time is told in UTC, as GraphQL does."""
    at = record.get("processed_at") or record.get("created_at")
    return None if isinstance(at, str) and at.endswith("Z") else named("processed_at", values.day, at)


def _paid_back(refund: Record, place: str, order: Record) -> Money | Skipped:
    if is_test(refund):
        return Skipped("test", "It was made with a test payment.", place)
    transactions = [each for each in listed(refund.get("transactions")) if inner(each, "kind") == "refund"]
    if any(inner(each, "status") in UNDER_WAY for each in transactions):
        return Skipped(
            "refund-pending", "The money is still on its way; send the refund again when it is there.", place
        )
    succeeded = [each for each in transactions if inner(each, "status") == "success"]
    if refund.get("transactions") is None:
        paid = money(refund, "total_refunded")
        if paid is None:
            return _unclear("It has no transactions; send it with them.", place)
    else:
        paid = _in_shop_currency(refund, succeeded, order)
    if paid is None:
        return _unclear("Its parts do not come to what its transactions paid in the customer's currency.", place)
    if paid.amount <= 0:
        return nothing_refunded(place)
    return paid


def _unclear(reason: str, place: str) -> Skipped:
    return Skipped("amount-unclear", f"How much went back cannot be told. {reason}", place, fault=True)


def _in_shop_currency(refund: Record, succeeded: list[Any], order: Record) -> Money | None:
    if not succeeded:
        return Money(NOTHING, None)
    sets = [money(each, "amount") for each in succeeded if inner(each, "amount_set")]
    if len(sets) == len(succeeded):
        return Money(sum((each.amount for each in sets if each), NOTHING), sets[0].currency if sets[0] else None)
    paid = sum((named("amount", values.needed_amount, inner(each, "amount")) for each in succeeded), NOTHING)
    spent = {currency_of(inner(each, "currency")) for each in succeeded}
    shop = _shop_currency_of(refund) or currency_of(order.get("currency"))
    if spent <= {shop, None} or (shop is None and len(spent) == 1):
        return Money(paid, shop or spent.pop())
    for taxed in (True, False):
        if abs(_parts(refund, PRESENTMENT, taxed=taxed) - paid) <= ROUNDING:
            return Money(_parts(refund, SHOP, taxed=taxed), shop)
    return None


def _shop_currency_of(refund: Record) -> str | None:
    parts = (*listed(refund.get("refund_line_items")), *listed(refund.get("order_adjustments")), refund)
    return shop_currency(parts, "subtotal", "amount", "total_duties")


def _parts(refund: Record, side: str, *, taxed: bool) -> Decimal:
    """What the parts come to on one side, with the lines' tax added or held to be in their subtotals."""
    adjustments = listed(refund.get("order_adjustments"))
    shipping = NOTHING
    if not any(inner(each, "kind") == "shipping_refund" for each in adjustments):
        shipping = added(listed(refund.get("refund_shipping_lines")), side, "subtotal_amount")
    fields = ("subtotal", "total_tax") if taxed else ("subtotal",)
    return (
        added(listed(refund.get("refund_line_items")), side, *fields)
        - added(adjustments, side, "amount", "tax_amount")
        + shipping
        + added([refund], side, "total_duties", "total_additional_fees")
    )
