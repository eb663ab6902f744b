"""Amazon (Selling Partner API): orders, of the API v0 and of 2026-01-01, and refunds from Finances, v0 and 2024-06-19.

An order earns on its grand total once it has shipped. Amazon tells sellers nobody's e-mail (what it shows is an alias
of its own) and no customer number; so an order is skipped as `no-customer`, unless the site's own software has put a
member's number into the record and `customer_field` says where.

Traps, and what is done about each:
- `OrderTotal` is absent while an order is pending; items have amounts, but are no order.
- `Non-Amazon` orders are only shipped by Amazon: the shop that sold them awards them.
- Replacements cost nothing and earn nothing, and say so as the *string* "true", or by `associatedOrders`.
- A notification (`ORDER_CHANGE`) has no amounts: it says which order to fetch.
- What a refund gave the buyer is not what it cost the seller: fees are left out (`refunds.py`, `transactions.py`).

Options: `native_connector`, `id_prefix`, `award_statuses`, `customer_field`, `anonymous_customers`, `buyer_breakdowns`,
`seller_breakdowns`.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, ClassVar

from agent.adapters import json_documents
from agent.adapters.amazon.orders import ORDER_ID, order_item
from agent.adapters.amazon.refunds import refund_item
from agent.adapters.amazon.transactions import transaction_item
from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, guarded
from agent.adapters.channels import ChannelOptions, not_a_document
from agent.adapters.json_documents import Record, inner, listed


class AmazonOptions(ChannelOptions):
    """`[adapters.amazon]`.

    `award_statuses`: the statuses that earn, in either API's spelling.
    `customer_field`: where in an order the site's own software has put the member's external id, such as
    `loyaltyNumber` or `BuyerInfo.MemberNumber`; empty: nowhere.
    `buyer_breakdowns`, `seller_breakdowns`: of a transaction (Finances 2024-06-19), which amounts went to the buyer and
    which are between Amazon and the seller.
    """

    adapter: ClassVar[str] = "amazon"
    system: ClassVar[str] = "Amazon"

    id_prefix: str = "amazon-"
    award_statuses: tuple[str, ...] = ("Shipped", "InvoiceUnconfirmed")
    customer_field: str = ""
    buyer_breakdowns: tuple[str, ...] = (
        "Sales", "ProductCharges", "Shipping", "ShippingCharges", "GiftWrap", "Tax", "Promotions", "PromotionalRebates",
    )  # fmt: skip
    seller_breakdowns: tuple[str, ...] = ("Expenses", "AmazonFees", "Fees", "TaxWithheld", "MarketplaceWithheldTax")


# Money that went back to the buyer, whoever decided it; all three have the shape of a refund.
REFUND_LISTS = ("RefundEventList", "GuaranteeClaimEventList", "ChargebackEventList")
# Orders v0 and Finances v0, orders 2026-01-01, Finances 2024-06-19.
_NEXT_PAGES = (("payload", "NextToken"), ("pagination", "nextToken"), ("payload", "nextToken"), ("nextToken",))
_MAKE = {"order": order_item, "refund": refund_item, "transaction": transaction_item}
_ALONE = {
    "notification": "It is a notification without amounts; fetch the order that it names, and send that.",
    "order-items-alone": "Items alone are no order: send the answer of getOrder or getOrders.",
}


def read(source: BinaryIO, options: AmazonOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    value = json_documents.load(source, site.max_whole_bytes)
    if failed := not_a_document(value, "Amazon"):
        yield failed
        return
    for number, (kind, record) in enumerate(_records(value), 1):
        place = _place(kind, record, number)
        if kind in _ALONE:
            yield Skipped(kind, _ALONE[kind], place)
        elif kind in _MAKE:
            yield from guarded(place, partial(_MAKE[kind], record, place, options, site))
        else:
            yield Skipped("unknown-record", "It is neither an order nor a refund.", place, fault=True)
    if any(inner(value, *path) for path in _NEXT_PAGES):
        yield json_documents.MORE_PAGES


def _records(value: Any) -> Iterator[tuple[str, Record]]:
    """Kind and record of everything in an answer."""
    if isinstance(value, Mapping) and isinstance(value.get("payload"), Mapping):
        value = value["payload"]
    if not isinstance(value, Mapping):
        for record in value if isinstance(value, list) else [value]:
            yield (_kind(record), record) if isinstance(record, Mapping) else ("", {})
        return
    financial = value.get("FinancialEvents")
    lists: list[tuple[str, Any]] = [("refund", inner(financial, name)) for name in REFUND_LISTS]
    lists += [("transaction", value.get("transactions"))]
    lists += [("order", value.get(name)) for name in ("Orders", "orders", "order")]
    if value and financial is None and all(content is None for _, content in lists):
        yield _kind(value), value
    for kind, content in lists:
        for record in listed(content):
            yield (kind, record) if isinstance(record, Mapping) else ("", {})


def _place(kind: str, record: Record, number: int) -> str:
    named_by = record.get("AmazonOrderId") or record.get("orderId")
    if kind in {"order", "refund"} and isinstance(named_by, str) and ORDER_ID.fullmatch(named_by):
        return f"order {named_by}" if kind == "order" else f"refund of order {named_by}"
    return f"record {number}"


def _kind(record: Record) -> str:
    if "NotificationType" in record or "notificationType" in record:
        return "notification"
    if "OrderItems" in record and "OrderStatus" not in record:
        return "order-items-alone"
    signs = {
        "ShipmentItemAdjustmentList": "refund",
        "transactionType": "transaction",
        "AmazonOrderId": "order",
        "fulfillment": "order",
    }
    return next((kind for sign, kind in signs.items() if sign in record), "")


ADAPTER = Adapter(
    name="amazon",
    title="Amazon (Selling Partner API)",
    read=read,
    media=("application/json",),
    suffixes=(".json",),
    covers=Coverage("order (v0, 2026-01-01)", "refund (Finances v0, 2024-06-19)"),
    validated="Amazon's own examples: orders, notification. Refunds: documentation",
    options=AmazonOptions,
)
