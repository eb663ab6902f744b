"""Amazon's orders, of either API: which earn, and on what."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named
from agent.adapters.json_documents import Record, inner, listed
from agent.model import Sale

if TYPE_CHECKING:
    from agent.adapters.amazon import AmazonOptions

ORDER_ID = re.compile(r"[A-Za-z0-9-]{1,40}", re.ASCII)
_REASONS = {
    "canceled": ("cancelled", "It was cancelled and earns nothing."),
    "cancelled": ("cancelled", "It was cancelled and earns nothing."),
    "unfulfillable": ("unfulfillable", "It cannot be shipped and earns nothing."),
}
_NOT_SHIPPED = ("not-shipped", "It has not shipped as a whole yet; send it again when it has.")


class Order(NamedTuple):
    """What matters of an order, whichever API it came from."""

    number: str
    status: str
    total: Decimal | None
    currency: str | None
    placed_at: Any
    marketplace: str | None
    channel: str
    is_replacement: bool


def folded(name: str) -> str:
    """A status or type without what the APIs spell differently: `PartiallyShipped` is `PARTIALLY_SHIPPED`."""
    return re.sub(r"[\s_-]", "", name).casefold()


def order_id(value: Any, field: str) -> str:
    """An order's number; raises ValueError naming the field."""
    found = named(field, values.text, value)
    if found is None or not ORDER_ID.fullmatch(found):
        raise ValueError(f"{field} must be Amazon's order number")
    return found


def order_item(record: Record, place: str, options: "AmazonOptions", site: Site) -> Iterator[Item]:
    """The sale, or why it is not sent; raises ValueError naming a field that is unsound."""
    order = _v0(record) if "AmazonOrderId" in record else _of_2026(record)
    closed = _closed(order, options)
    if closed is not None:
        yield Skipped(*closed, place)
        return
    external_id = options.somebody(_member(record, options.customer_field))
    if external_id is None:
        reason = (
            "Amazon tells no customer. Where your software adds the member's number, name its field: customer_field."
        )
        yield Skipped("no-customer", reason, place)
        return
    if order.total is None:
        raise ValueError("the order's total is missing (OrderTotal, proceeds.grandTotal)")
    fields = {
        "externalOrderId": options.id_prefix + order.number,
        "customer": {"externalId": external_id},
        "totalAmount": order.total,
        "currency": order.currency,
        "occurredAt": named("PurchaseDate", values.moment, order.placed_at),
    }
    yield make(Sale, fields, place, site, sold_at=(order.marketplace,))


def _v0(record: Record) -> Order:
    return Order(
        order_id(record.get("AmazonOrderId"), "AmazonOrderId"),
        named("OrderStatus", values.text, record.get("OrderStatus")) or "",
        named("OrderTotal", values.amount, inner(record, "OrderTotal", "Amount")),
        named("OrderTotal", values.text, inner(record, "OrderTotal", "CurrencyCode")),
        record.get("PurchaseDate"),
        named("MarketplaceId", values.text, record.get("MarketplaceId")),
        named("SalesChannel", values.text, record.get("SalesChannel")) or "",
        named("IsReplacementOrder", values.flag, record.get("IsReplacementOrder")),
    )


def _of_2026(record: Record) -> Order:
    related = [inner(each, "associationType") for each in listed(record.get("associatedOrders"))]
    total, channel = inner(record, "proceeds", "grandTotal"), record.get("salesChannel")
    return Order(
        order_id(record.get("orderId"), "orderId"),
        named("fulfillmentStatus", values.text, inner(record, "fulfillment", "fulfillmentStatus")) or "",
        named("proceeds.grandTotal", values.amount, inner(total, "amount")),
        named("proceeds.grandTotal", values.text, inner(total, "currencyCode")),
        record.get("createdTime"),
        named("marketplaceId", values.text, inner(channel, "marketplaceId")),
        named("channelName", values.text, inner(channel, "channelName")) or "",
        any(each in ("REPLACEMENT_ORIGINAL_ID", "EXCHANGE_ORIGINAL_ID") for each in related),
    )


def _closed(order: Order, options: "AmazonOptions") -> tuple[str, str] | None:
    """Why an order earns nothing; None where it does."""
    if order.is_replacement:
        return "replacement", "It replaces another order and earns nothing."
    if folded(order.channel).startswith("nonamazon"):
        return "other-channel", "Amazon only ships it; the shop that sold it awards it."
    if not order.status:
        raise ValueError("its status is missing (OrderStatus, fulfillment.fulfillmentStatus)")
    if folded(order.status) in {folded(status) for status in options.award_statuses}:
        return None
    return _REASONS.get(folded(order.status), _NOT_SHIPPED)


def _member(record: Record, field: str) -> str | None:
    return named(field, values.text, inner(record, *field.split("."))) if field else None
