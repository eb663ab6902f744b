"""Shopify's orders: which earn, on what, and whose they are.

| `financial_status` | sale | its refunds |
|---|---|---|
| paid, partially_refunded | original total | each |
| refunded, or `cancelled_at` is set | nothing | each, if the sale is known: it may have earned when it was paid |
| pending, authorized, partially_paid, voided, expired | nothing | wait for a document in which it is paid |
"""

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, guarded, make, named
from agent.adapters.json_documents import Record, inner, listed
from agent.adapters.shopify.money import Money, currency_of, money
from agent.adapters.shopify.refunds import ORDER_PREFIX, is_test, local_day, refund_items
from agent.adapters.shopify.shapes import id_of, place_of
from agent.model import Sale

if TYPE_CHECKING:
    from agent.adapters.shopify import ShopifyOptions

EARNS = frozenset({"paid", "partially_refunded"})
ONLINE = "shopify"  # the store code of an order that was placed at no location


def order_items(order: Record, place: str, options: "ShopifyOptions", site: Site) -> Iterator[Item]:
    """The sale and its refunds, or why they are not sent; raises ValueError naming a field that is unsound."""
    if named("test", values.flag, order.get("test")) or is_test(order):
        yield Skipped("test", "It was paid with a test payment.", place)
        return
    status = named("financial_status", values.text, order.get("financial_status"))
    if status is None:
        raise ValueError("financial_status is missing")
    customer = customer_of(order, options)
    closed = _closed(status, cancelled=bool(order.get("cancelled_at")))
    if closed is not None:
        yield Skipped(*closed, place)
    elif customer is None:
        yield Skipped("no-customer", "It shows no customer by whom a member could be found.", place)
    else:
        yield _sale(order, customer, place, site)
    if closed is not None and closed[0] == "not-paid":
        return
    if_known = closed is not None or customer is None
    for number, refund in enumerate(listed(order.get("refunds")), 1):
        if isinstance(refund, dict):
            where = place_of("refund", {**refund, "order_id": order.get("id")}, number)
            yield from guarded(where, partial(refund_items, refund, where, site, order=order, if_known=if_known))


def customer_of(order: Record, options: "ShopifyOptions") -> dict[str, str] | None:
    """The buyer's keys; None for a guest without any."""
    named_by = (order.get("email"), order.get("contact_email"), inner(order, "customer", "email"))
    graphql = inner(order, "customer", "default_email_address", "email_address")
    emails = (options.somebody(named("email", values.text, value)) for value in (*named_by, graphql))
    keys = {"email": next(filter(None, emails), None)}
    if options.customer_key == "id" and inner(order, "customer", "id") is not None:
        number = options.somebody(id_of(order["customer"], "id"))
        keys["externalId"] = number and options.customer_prefix + number
    return {name: value for name, value in keys.items() if value} or None


def _closed(status: str, *, cancelled: bool) -> tuple[str, str] | None:
    if cancelled:
        return "cancelled", "It was cancelled and earns nothing; money that went back is taken from what it had earned."
    if status == "refunded":
        return "refunded", "It was refunded in full and earns nothing; what it had earned is taken back by its refunds."
    if status not in EARNS:
        return "not-paid", "It is not paid; send it again when it is."
    return None


def _sale(order: Record, customer: dict[str, str], place: str, site: Site) -> Item:
    number = id_of(order, "id")
    total = money(order, "total_price")
    if total is None:
        raise ValueError("total_price is missing")
    paid = Money(total.amount, total.currency or currency_of(order.get("currency")))
    location = named("location_id", values.text, order.get("location_id"))
    fields = {
        "externalOrderId": ORDER_PREFIX + number,
        "customer": customer,
        "totalAmount": paid.amount,
        "currency": paid.currency,
        "storeId": None if location else site.stores.get(ONLINE),
        "businessDate": local_day(order),
        "occurredAt": named("processed_at", values.moment, order.get("processed_at") or order.get("created_at")),
    }
    key = f"{ORDER_PREFIX}gid://shopify/Order/{number}"
    return make(Sale, fields, place, site, key=key, sold_at=(location,))
