"""Refunds in Amazon's Finances API 2024-06-19: transactions whose amounts are broken down by what they are for.

`totalAmount` is what it came to for the seller, fees and all. What the buyer got is the sum of the outermost breakdowns
that are the buyer's; Amazon documents their names by example only, so both sides are options, and a name that is in
neither is for a person rather than a guess.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from agent.adapters import values
from agent.adapters.amazon.orders import folded, order_id
from agent.adapters.amazon.refunds import PaidBack, adjustment, one_currency, refund_of, without_sale
from agent.adapters.base import Item, Site, Skipped, named
from agent.adapters.json_documents import Record, inner, listed

if TYPE_CHECKING:
    from agent.adapters.amazon import AmazonOptions


def transaction_item(record: Record, place: str, options: "AmazonOptions", site: Site) -> Iterator[Item]:
    """The refund, or why nothing is sent; raises ValueError naming a field that is unsound."""
    kind = folded(named("transactionType", values.text, record.get("transactionType")) or "")
    if kind != "refund":
        yield Skipped("not-a-refund", "It is a transaction of another type; orders earn, by the orders API.", place)
        return
    if folded(named("transactionStatus", values.text, record.get("transactionStatus")) or "") == "deferred":
        yield Skipped("refund-deferred", "It is deferred; send it again when it is released.", place)
        return
    identifiers = _identifiers(record, "relatedIdentifier")
    if "ORDER_ID" not in identifiers:
        yield without_sale(place)
        return
    order = order_id(identifiers["ORDER_ID"], "ORDER_ID")
    place = f"refund of order {order}"
    broken_down = _breakdowns(record)
    strange = [name for name, _ in broken_down if folded(name) not in _known(options)]
    if strange or not broken_down:
        yield _unclear(strange, place)
        return
    buyers = {folded(name) for name in options.buyer_breakdowns}
    amounts = [amount for name, amount in broken_down if folded(name) in buyers]
    paid = -sum(
        (named("currencyAmount", values.needed_amount, inner(each, "currencyAmount")) for each in amounts), Decimal(0)
    )
    currency = one_currency(inner(each, "currencyCode") for each in amounts)
    yield refund_of(PaidBack(order, _number(record, identifiers), paid, currency), place, options, site)


def _unclear(strange: list[str], place: str) -> Skipped:
    name = f" ({strange[0]})" if strange and strange[0].isalnum() and len(strange[0]) <= 40 else ""
    reason = (
        f"How much the buyer got cannot be told: it has no breakdown, or one{name} that is neither among the "
        "buyer_breakdowns nor among the seller_breakdowns of [adapters.amazon]."
    )
    return Skipped("amount-unclear", reason, place, fault=True)


def _known(options: "AmazonOptions") -> set[str]:
    return {folded(name) for name in (*options.buyer_breakdowns, *options.seller_breakdowns)}


def _breakdowns(record: Record) -> list[tuple[str, Any]]:
    """Name and amount of the outermost breakdowns, of the transaction, else of its items."""
    own = record.get("breakdowns")
    own = inner(own, "breakdowns") if isinstance(own, dict) else own  # Amazon's own example has one more level
    items = [each for item in listed(record.get("items")) for each in listed(inner(item, "breakdowns"))]
    return [
        (named("breakdownType", values.text, inner(each, "breakdownType")) or "", inner(each, "breakdownAmount"))
        for each in listed(own) or items
    ]


def _number(record: Record, identifiers: dict[str, str]) -> str:
    found = [_identifiers(item, "itemRelatedIdentifier") for item in listed(record.get("items"))]
    number = adjustment(each.get("ORDER_ADJUSTMENT_ITEM_ID") for each in found)
    number = number or identifiers.get("REFUND_ID") or named("transactionId", values.text, record.get("transactionId"))
    if number is None:
        raise ValueError("transactionId is missing")
    return number


def _identifiers(record: Any, name: str) -> dict[str, str]:
    """What is named in `relatedIdentifiers`."""
    found = {}
    for each in listed(inner(record, "relatedIdentifiers")):
        key = named(f"{name}Name", values.text, inner(each, f"{name}Name"))
        value = named(f"{name}Value", values.text, inner(each, f"{name}Value"))
        if key and value:
            found[key] = value
    return found
