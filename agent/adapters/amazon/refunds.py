"""Refunds in Amazon's Finances API v0: what went back to the buyer.

The charges of an event are negative where the buyer got money, promotions positive where a discount was taken back;
both together, turned round, are the buyer's. Fees and withheld taxes are between Amazon and the seller and left out.

A refund has no number. Its first adjustment's stands in: it is in both Finances APIs, so that a refund that is read
from both counts once. Where there is none, the order and the time of posting.
"""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.adapters import values
from agent.adapters.amazon.orders import order_id
from agent.adapters.base import Item, Site, Skipped, make, named, nothing_refunded
from agent.adapters.json_documents import Record, inner, listed
from agent.model import Refund

if TYPE_CHECKING:
    from agent.adapters.amazon import AmazonOptions

_CHARGES = (("ItemChargeAdjustmentList", "ChargeAmount"), ("PromotionAdjustmentList", "PromotionAmount"))
_NUMBER = re.compile(r"[A-Za-z0-9_-]{1,60}", re.ASCII)


class PaidBack(NamedTuple):
    """What went back to a buyer: of which order, under which number, and how much."""

    order: str
    number: str
    amount: Decimal
    currency: str | None


def refund_item(record: Record, place: str, options: "AmazonOptions", site: Site) -> Iterator[Item]:
    """The refund, or why it is not sent; raises ValueError naming a field that is unsound."""
    if record.get("AmazonOrderId") is None:
        yield without_sale(place)
        return
    order = order_id(record["AmazonOrderId"], "AmazonOrderId")
    items = listed(record.get("ShipmentItemAdjustmentList"))
    charges = [inner(each, amount) for item in items for name, amount in _CHARGES for each in listed(inner(item, name))]
    charges += [inner(each, "ChargeAmount") for each in listed(record.get("OrderChargeAdjustmentList"))]
    paid = -sum(
        (named("ChargeAmount", values.needed_amount, inner(each, "CurrencyAmount")) for each in charges), Decimal(0)
    )
    at = named("PostedDate", values.moment, record.get("PostedDate"))
    number = adjustment(inner(each, "OrderAdjustmentItemId") for each in items)
    if number is None and at is None:
        raise ValueError(
            "OrderAdjustmentItemId and PostedDate are missing; one of them must tell this refund from others"
        )
    currency = one_currency(inner(each, "CurrencyCode") for each in charges)
    yield refund_of(PaidBack(order, number or f"{order}-{at}", paid, currency), place, options, site)


def refund_of(back: PaidBack, place: str, options: "AmazonOptions", site: Site) -> Item:
    """The refund, `ifKnown`, for Amazon tells no customer; or that nothing went back."""
    if back.amount <= 0:
        return nothing_refunded(place)
    fields = {
        "externalOrderId": options.id_prefix + back.order,
        "refundId": f"{options.id_prefix}refund-{back.number}",
        "amount": back.amount,
        "currency": back.currency,
        "ifKnown": True,
    }
    return make(Refund, fields, place, site)


def without_sale(place: str) -> Skipped:
    """That nobody can tell which order's points are to be taken back."""
    return Skipped("return-without-sale", "It does not name its order.", place)


def adjustment(found: Iterable[Any]) -> str | None:
    """The first, by spelling, of the adjustments' numbers: the same whatever order they are listed in."""
    numbers = [number for each in found if (number := named("OrderAdjustmentItemId", values.text, each)) is not None]
    if not all(map(_NUMBER.fullmatch, numbers)):
        raise ValueError("OrderAdjustmentItemId must be Amazon's number")
    return min(numbers, default=None)


def one_currency(found: Iterable[Any]) -> str | None:
    """The currency of some amounts; raises ValueError where they have more than one."""
    codes = {code for each in found if (code := named("CurrencyCode", values.text, each)) is not None}
    if len(codes) > 1:
        raise ValueError("CurrencyCode must be the same in all amounts")
    return next(iter(codes), None)
