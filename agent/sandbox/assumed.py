"""Every reading of Flash v2 that its published documents leave open, in one place.

Where upstream turns out to differ, the correction is one edit here. Nothing in this module has state or can
fail. Readings that are a rule rather than a name or a shape:

* a customer's keys are tried in the documented order and the first that finds a member wins;
* an e-mail address belongs to one member: an upsert that would give it to a second one is refused (422);
* a refund id that comes again replays its first result, whatever amount it carries this time;
* a refund of an order that never had a member claws back 0 and names no balance;
* payloads are "the same" for an Idempotency-Key when path and body are byte for byte the same;
* a batch with an item that failed for want of a decision (429, 5xx) is not kept for a replay;
* the daily cap counts per member and UTC day, and pays out what is left of it.
"""

from collections.abc import Mapping, Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from agent.sandbox.keys import READ_SCOPES, WRITE_SCOPES, Scope

Json = dict[str, Any]

ORDERS_BATCH_KEY = "orders"
REPLAYED_HEADER = "Idempotency-Replayed"
IDEMPOTENCY_CONFLICT = (409, "IDEMPOTENCY_CONFLICT")
IDEMPOTENCY_IN_FLIGHT = (409, "IDEMPOTENCY_IN_FLIGHT")
RATE_LIMITED = (429, "RATE_LIMITED")
MAX_IDEMPOTENCY_KEY = 255
DEFAULT_PAGE, MAX_PAGE = 100, 200

READ_PRESET: frozenset[Scope] = READ_SCOPES
WRITE_PRESET: frozenset[Scope] = READ_SCOPES | WRITE_SCOPES
"""The write preset reads too: an agent may be given this one key alone."""


def is_remembered(status: int) -> bool:
    """Whether an Idempotency-Key keeps an answer: the endpoint's word yes, refusals at the door no."""
    return status < 500 and status not in {401, 403, 429}


def error_envelope(code: str, message: str) -> Json:
    return {"error": {"code": code, "message": message}}


def batch_item(status: int, payload: Json) -> Json:
    """One item of a 207: its own status beside the `data` or `error` of a single call."""
    return {"status": status, **payload}


def feed_envelope(views: Sequence[Json], total: int, next_cursor: str | None) -> Json:
    page: Json = {"data": list(views), "total": total}
    if next_cursor is not None:
        page["nextCursor"] = next_cursor
    return page


def points_view(balance: int) -> Json:
    return {"balance": balance}


def tier_view(name: str, multiplier: Decimal) -> Json:
    return {"name": name, "multiplier": multiplier}


def import_view(counts: Mapping[str, Mapping[str, int]], errors: Sequence[Json]) -> Json:
    return {**{entity: dict(count) for entity, count in counts.items()}, "errors": list(errors)}


def claw_back_due(awarded: int, total: Decimal, refunded: Decimal) -> int:
    """Points to have taken back in all after refunds of `refunded`: rounded down, whole at the end."""
    return int((awarded * refunded / total).to_integral_value(ROUND_FLOOR))
