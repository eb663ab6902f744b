"""TikTok Shop: orders and returns, in today's shape (202309 and later) and in the legacy one, and notifications.

An order earns on `payment.total_amount` once it is delivered. A cancelled order keeps its total, so nothing is ever
inferred from an amount: the status alone decides. Buyers are known by `user_id`; their e-mail is an alias of TikTok's.

Traps, and what is done about each:
- Samples, replacements and free prizes (`ZERO_LOTTERY`) are orders as any other but for a flag; they earn nothing.
- A return of type REPLACEMENT pays nothing back; a return counts when it has succeeded, and once although it is then
  also completed, for it keeps its number.
- Legacy documents have numbers for statuses (130), milliseconds as text for times, and other names.
- Of an order of which a part was cancelled nobody says what its total is: it is for a person, until the site says.
- A notification says that something changed, and no amount: it says which order to fetch.

Options: `native_connector`, `id_prefix`, `customer_prefix`, `anonymous_customers`, `award_statuses`, `return_statuses`,
`totals_without_cancelled`.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO, ClassVar

from agent.adapters import json_documents
from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, guarded
from agent.adapters.channels import ChannelOptions, not_a_document
from agent.adapters.json_documents import Record, inner, listed
from agent.adapters.tiktok.orders import is_number, order_item
from agent.adapters.tiktok.returns import return_item


class TikTokOptions(ChannelOptions):
    """`[adapters.tiktok]`.

    `customer_prefix` stands before TikTok's number of a buyer in the member's external id.
    `award_statuses`, `return_statuses`: the statuses that earn, and that take back; the numbers are the legacy API's.
    `totals_without_cancelled`: whether the total of an order of which a part was cancelled is that of what is left.
    """

    adapter: ClassVar[str] = "tiktok"
    system: ClassVar[str] = "TikTok Shop"

    id_prefix: str = "tiktok-"
    customer_prefix: str = "tiktok-"
    award_statuses: tuple[str, ...] = ("DELIVERED", "COMPLETED", "122", "130")
    return_statuses: tuple[str, ...] = (
        "RETURN_OR_REFUND_REQUEST_SUCCESS", "RETURN_OR_REFUND_REQUEST_COMPLETE", "50", "100",
    )  # fmt: skip
    totals_without_cancelled: bool = False


_LISTS = {
    "orders": "order",
    "order_list": "order",
    "return_orders": "return",
    "reverse_list": "return",
    "cancellations": "cancellation",
}
_SIGNS = {"return_id": "return", "reverse_order_id": "return", "cancel_id": "cancellation"}
_MAKE = {"order": order_item, "return": return_item}
_ALONE = {
    "notification": "It is a notification without amounts; fetch the order or return that it names, and send that.",
    "cancellation": "What is cancelled was not delivered and has earned nothing.",
}


def read(source: BinaryIO, options: TikTokOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    value = json_documents.load(source, site.max_whole_bytes)
    if failed := not_a_document(value, "TikTok Shop"):
        yield failed
        return
    for number, (kind, record) in enumerate(_records(value), 1):
        place = _place(kind, record, number)
        if kind in _ALONE:
            yield Skipped(kind, _ALONE[kind], place)
        elif kind in _MAKE:
            yield from guarded(place, partial(_MAKE[kind], record, place, options, site))
        else:
            yield Skipped("unknown-record", "It is neither an order nor a return.", place, fault=True)
    if inner(value, "data", "next_page_token") or inner(value, "data", "more") is True:
        yield json_documents.MORE_PAGES


def _records(value: Any) -> Iterator[tuple[str, Record]]:
    """Kind and record of everything in an answer, or in a notification."""
    if isinstance(value, Mapping) and "type" in value and "data" in value and "code" not in value:
        yield "notification", value
        return
    if isinstance(value, Mapping) and isinstance(value.get("data"), Mapping):
        value = value["data"]
    if not isinstance(value, Mapping):
        for record in value if isinstance(value, list) else [value]:
            yield (_kind(record), record) if isinstance(record, Mapping) else ("", {})
        return
    found = [(kind, value[name]) for name, kind in _LISTS.items() if name in value]
    if not found and value and "total_count" not in value:
        yield _kind(value), value
    for kind, content in found:
        for record in listed(content):
            yield (kind, record) if isinstance(record, Mapping) else ("", {})


def _place(kind: str, record: Record, number: int) -> str:
    fields = ("id", "order_id") if kind == "order" else ("return_id", "reverse_order_id", "cancel_id")
    own = next((record[name] for name in fields if is_number(record.get(name))), None)
    if not kind or kind == "notification" or own is None:
        return f"record {number}"
    of_order = f" of order {record['order_id']}" if kind != "order" and is_number(record.get("order_id")) else ""
    return f"{kind} {own}{of_order}"


def _kind(record: Record) -> str:
    if "type" in record and "data" in record:
        return "notification"
    kind = next((kind for sign, kind in _SIGNS.items() if sign in record), None)
    return kind or ("order" if "status" in record or "order_status" in record else "")


ADAPTER = Adapter(
    name="tiktok",
    title="TikTok Shop",
    read=read,
    media=("application/json",),
    suffixes=(".json",),
    covers=Coverage("order", "return"),
    validated="public samples: one order and one return from production, the portal's order and notification. "
    "Legacy: documentation",
    options=TikTokOptions,
)
