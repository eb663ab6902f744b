"""TikTok Shop's returns and refunds: which paid something back, for which order."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named, nothing_refunded
from agent.adapters.json_documents import Record, inner
from agent.adapters.tiktok.orders import number_of, status_of
from agent.model import Refund

if TYPE_CHECKING:
    from agent.adapters.tiktok import TikTokOptions

# Legacy types: 1 and 4 are cancellations before delivery, 2 a refund alone, 3 a return and refund.
_CANCELLATIONS = ("1", "4")


def return_item(record: Record, place: str, options: "TikTokOptions", site: Site) -> Iterator[Item]:
    """The refund, `ifKnown` (a return names no buyer), or why it is not sent; raises ValueError naming a field."""
    number = number_of(record, "return_id", "reverse_order_id")
    if record.get("order_id") is None:
        yield Skipped("return-without-sale", "It does not name its order.", place)
        return
    order = number_of(record, "order_id")
    if reason := _pays_nothing(record, options):
        yield Skipped(*reason, place)
        return
    given = record.get("refund_amount")
    total = inner(given, "refund_total") if given is not None else record.get("refund_total")
    currency = inner(given, "currency") if given is not None else record.get("currency")
    amount = named("refund_total", values.needed_amount, total)
    if amount == 0:
        yield nothing_refunded(place)
        return
    fields = {
        "externalOrderId": options.id_prefix + order,
        "refundId": f"{options.id_prefix}return-{number}",
        "amount": amount,
        "currency": named("currency", values.text, currency),
        "ifKnown": True,
    }
    yield make(Refund, fields, place, site)


def _pays_nothing(record: Record, options: "TikTokOptions") -> tuple[str, str] | None:
    kinds = (record.get("return_type"), record.get("reverse_type"))
    kind = next((found for each in kinds if (found := named("return_type", values.text, each))), None)
    if kind == "REPLACEMENT":
        return "replacement", "The goods are replaced, and no money goes back."
    if kind in _CANCELLATIONS:
        return "cancellation", "What is cancelled was not delivered and has earned nothing."
    status = status_of(record, "return_status", "reverse_status_value")
    if not values.is_among(status, options.return_statuses):
        return "return-open", "It has not succeeded, or not yet; send it again when it has."
    return None
