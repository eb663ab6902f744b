"""TikTok Shop's orders: which earn, and on what."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, make, named
from agent.adapters.json_documents import Record, inner, listed
from agent.model import Sale

if TYPE_CHECKING:
    from agent.adapters.tiktok import TikTokOptions

STORE = "tiktok"  # the store code of all that is sold there
_NUMBER = re.compile(r"\d{1,25}", re.ASCII)
_MILLISECONDS = 10**11  # as seconds, this is the year 5138
_CANCELLED = ("CANCELLED", "140")
_PARTLY_CANCELLED = (
    "A part of it was cancelled, and whether its total is that of what is left TikTok does not say: a cancelled order "
    "keeps its whole total. Compare it with what the buyer paid; where totals are of what is left, set "
    "totals_without_cancelled = true, else enter its sale by hand."
)
_NOT_DELIVERED = ("not-delivered", "It is not delivered; send it again when it is.")


def order_item(record: Record, place: str, options: "TikTokOptions", site: Site) -> Iterator[Item]:
    """The sale, or why it is not sent; raises ValueError naming a field that is unsound."""
    number = number_of(record, "id", "order_id")
    if reason := _earns_nothing(record, options):
        yield Skipped(*reason, place)
        return
    if not options.totals_without_cancelled and _partly_cancelled(record):
        yield Skipped("partly-cancelled", _PARTLY_CANCELLED, place, fault=True)
        return
    buyer = options.somebody(named("user_id", values.text, record.get("user_id") or record.get("buyer_uid")))
    if buyer is None:
        yield Skipped("no-customer", "It shows no user_id by which a member could be found.", place)
        return
    payment = record.get("payment") or record.get("payment_info")
    fields = {
        "externalOrderId": options.id_prefix + number,
        "customer": {"externalId": options.customer_prefix + buyer},
        "totalAmount": named("payment.total_amount", values.needed_amount, inner(payment, "total_amount")),
        "currency": named("payment.currency", values.text, inner(payment, "currency")),
        "storeId": site.stores.get(STORE),
        "occurredAt": named("create_time", _moment, record.get("create_time")),
    }
    yield make(Sale, fields, place, site)


def is_number(value: Any) -> bool:
    """Whether it is a number as TikTok gives them."""
    return isinstance(value, str | int) and bool(_NUMBER.fullmatch(str(value)))


def number_of(record: Record, *fields: str) -> str:
    """TikTok's number in the first of some fields that is there; raises ValueError naming it."""
    field = next((name for name in fields if record.get(name) is not None), fields[0])
    found = named(field, values.text, record.get(field))
    if found is None:
        raise ValueError(f"{field} is missing")
    if not _NUMBER.fullmatch(found):
        raise ValueError(f"{field} must be TikTok's number")
    return found


def status_of(record: Record, *fields: str) -> str:
    """A status in upper case; legacy ones are numbers. Raises ValueError where there is none."""
    found = next((record[name] for name in fields if record.get(name) is not None), None)
    status = named(fields[0], values.text, found)
    if status is None:
        raise ValueError(f"{fields[0]} is missing")
    return status.upper()


def _earns_nothing(record: Record, options: "TikTokOptions") -> tuple[str, str] | None:
    if named("is_sample_order", values.flag, record.get("is_sample_order")):
        return "sample", "It is a sample and earns nothing."
    if named("is_replacement_order", values.flag, record.get("is_replacement_order")):
        return "replacement", "It replaces another order and earns nothing."
    kinds = [record.get("order_type"), *(inner(line, "sku_type") for line in listed(record.get("line_items")))]
    if kinds[0] == "ZERO_LOTTERY" or (kinds[1:] and all(kind == "ZERO_LOTTERY" for kind in kinds[1:])):
        return "lottery", "It is a prize and earns nothing."
    status = status_of(record, "status", "order_status")
    if values.is_among(status, options.award_statuses):
        return None
    return ("cancelled", "It was cancelled and earns nothing.") if status in _CANCELLED else _NOT_DELIVERED


def _partly_cancelled(record: Record) -> bool:
    """Whether some of its lines were cancelled; all of them are no part, and are told by the order's status."""
    statuses = [inner(line, "display_status") for line in listed(record.get("line_items"))]
    cancelled = [status in _CANCELLED for status in statuses]
    return any(cancelled) and not all(cancelled)


def _moment(value: Any) -> str | None:
    """Seconds since 1970, or milliseconds, as legacy documents have; a number or the text of one."""
    spelled = values.text(value)
    if spelled is None:
        return None
    if not (spelled.isascii() and spelled.isdigit() and len(spelled) <= 16):
        raise ValueError("must be a time in seconds since 1970")
    number = int(spelled)
    return values.from_epoch(number // 1000 if number >= _MILLISECONDS else number)
