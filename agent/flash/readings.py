"""What Flash's answers mean beyond yes and no: every reading that the contract leaves open, in this one place.

Tolerant: what is not understood is None (or left out of a list), never an error; unknown fields pass through. Pure.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from agent.clock import to_ms
from agent.delivery import RefusedRow
from agent.flash.wire import segment

MAX_ID_CHARS = 128
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters, lone surrogates

# ---- assumed readings of the contract ------------------------------------------------------------------------------
MEMBERS_PATH = "/members"  # documented; GET /members/{id} and the shapes below are assumed
ORDERS_PATH = "/orders"  # documented with `updatedSince`; the fields of its rows are assumed
CHANGES_PAGE = 200
MAX_BALANCE = 10**15
MAX_VALUE = 10**12
_VALUE_DECIMALS = 6
_MOST_ZEROS = 40
_COUPON_ACTIVE = frozenset({"active"})
_ROW_INDEX = ("index", "row")
_ROW_ID = ("externalId", "variantSku", "sku", "id")
_PARENTS = {"content": ("products", ("productIndex",), ("productExternalId",))}  # it stands inside of its product


def member_path(member_id: str, part: str = "") -> str:
    """`GET /members/{id}`, or its `points`, `tier` or `coupons`."""
    return f"{MEMBERS_PATH}/{segment(member_id)}{f'/{part}' if part else ''}"


def points_of(data: Any) -> dict[str, Any] | None:
    """`{"balance": 1820}`, more fields as they are; None for anything without a whole balance."""
    found = data if isinstance(data, dict) else {"balance": data}
    balance = found.get("balance")
    if isinstance(balance, Decimal) and abs(balance) < MAX_BALANCE and balance == balance.to_integral_value():
        balance = int(balance)
    if isinstance(balance, bool) or not isinstance(balance, int):
        return None
    return {**found, "balance": balance}


def tier_of(data: Any) -> dict[str, Any] | None:
    """`{"name": "Gold", …}`, empty for a member without a tier; None for anything else."""
    if data is None:
        return {}
    found = {"name": data} if isinstance(data, str) else data
    return found if isinstance(found, dict) else None


def coupons_of(data: Any) -> list[dict[str, Any]] | None:
    """`[{"id", "status", …}]`; what has no id is left out; None for anything but a list."""
    if not isinstance(data, list):
        return None
    return [coupon for coupon in data if isinstance(coupon, dict) and coupon_id(coupon)]


def coupon_id(coupon: Mapping[str, Any]) -> str:
    """The id that `POST /coupons/{id}/redeem` takes; empty where there is none that is fit for a path."""
    found = coupon.get("id")
    return found if isinstance(found, str) and is_id(found) else ""


def coupon_is_active(coupon: Mapping[str, Any]) -> bool:
    """Whether Flash lists the coupon as one that can be redeemed; its expiry is a question of its own."""
    status = coupon.get("status")
    return isinstance(status, str) and status.casefold() in _COUPON_ACTIVE


def coupon_uses_left(coupon: Mapping[str, Any]) -> int | None:
    """How often it can still be used: `usesLeft`, or `uses` less `used`; None where Flash does not say."""
    left, uses, used = coupon.get("usesLeft"), coupon.get("uses"), coupon.get("used", 0)
    if isinstance(left, int):
        return left
    return uses - used if isinstance(uses, int) and isinstance(used, int) else None


def coupon_expires_at_ms(coupon: Mapping[str, Any]) -> int | None:
    """`expiresAt` in milliseconds; None where it never expires, 0 (long ago) where it cannot be read."""
    expires_at = coupon.get("expiresAt")
    if expires_at is None:
        return None
    moment = read_moment(expires_at)
    return 0 if moment is None else to_ms(moment)


def coupon_value(coupon: Mapping[str, Any]) -> Decimal | None:
    """The money off of a coupon whose `terms` are `{"type": "amount", "value": 5}`; None for any other.

    What is no sum of money (negative, beyond MAX_VALUE, with more than six decimals) is as good as not said.
    """
    terms = coupon.get("terms")
    value = terms.get("value") if isinstance(terms, dict) and terms.get("type") == "amount" else None
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value < MAX_VALUE:
        return None
    return _sum_of_money(Decimal(value))


def refused_rows(data: Mapping[str, Any]) -> list[RefusedRow]:
    """The rows of a catalog that Flash did not take, of the answer to `POST /catalog/import`.

    `errors: [{"entity", "index", "message"}]` beside the entities' counts, or inside of them. `index` counts from 0
    in the entity's list as it was sent. What cannot be told apart is a refused row of which nothing is known.
    """
    found = list(_errors_in(data.get("errors"), ""))
    for entity, counts in data.items():
        if isinstance(counts, Mapping):
            found += _errors_in(counts.get("errors"), entity)
    return found


def _errors_in(errors: Any, inside: str) -> Iterator[RefusedRow]:
    if isinstance(errors, int):
        yield from [RefusedRow(inside, None, "")] * (errors > 0)
    elif errors and not isinstance(errors, list):
        yield RefusedRow(inside, None, "")
    else:
        for error in errors or ():
            yield _refused_row(error, inside)


def _refused_row(error: Any, inside: str) -> RefusedRow:
    if not isinstance(error, Mapping):
        return RefusedRow(inside, None, error if isinstance(error, str) else "")
    message = error.get("message", error.get("error"))
    entity = error.get("entity", inside)
    indexes: tuple[str, ...] = _ROW_INDEX
    ids: tuple[str, ...] = _ROW_ID
    if entity in _PARENTS:
        entity, indexes, ids = _PARENTS[entity]
    index = next((error[name] for name in indexes if type(error.get(name)) is int), None)
    own_id = next((error[name] for name in ids if isinstance(error.get(name), str)), None)
    return RefusedRow(
        entity if isinstance(entity, str) else "",
        own_id if index is None else index,
        message if isinstance(message, str) else "",
    )


def order_of(row: Any) -> dict[str, Any] | None:
    """What a row of the feed of changed orders tells, by our names; None for one without an order id.

    Whom it was sold to is left behind. What the row does not tell, or cannot be read, is None; money is Decimal.
    """
    found = row.get("externalOrderId") if isinstance(row, dict) else None
    if not isinstance(found, str) or not is_id(found):
        return None
    store_id, awarded = row.get("storeId"), row.get("awarded")
    return {
        "upstreamOrderId": found,
        "totalAmount": _money(row.get("totalAmount")),
        "storeId": store_id if isinstance(store_id, str) and is_id(store_id) else None,
        "refunded": _refunded(row),
        "awarded": awarded if isinstance(awarded, int) and not isinstance(awarded, bool) else None,
        "updatedAt": updated_at(row),
    }


def _refunded(row: Mapping[str, Any]) -> Decimal | None:
    """What was refunded in all: `refundedAmount`, or the sum of the `amount`s in `refunds`."""
    if "refundedAmount" in row:
        return _money(row["refundedAmount"])
    refunds = row.get("refunds")
    if not isinstance(refunds, list):
        return None
    amounts = [_money(each.get("amount")) if isinstance(each, dict) else None for each in refunds]
    told = [amount for amount in amounts if amount is not None]
    return sum(told, Decimal(0)) if len(told) == len(amounts) else None


def _money(value: Any) -> Decimal | None:
    """A sum of money, as a JSON number or a decimal string."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    try:
        money = Decimal(value)
    except ArithmeticError:
        return None
    return _sum_of_money(money)


def _sum_of_money(value: Decimal) -> Decimal | None:
    """None for what is none, and for a nought with so many zeros that writing it out takes all memory."""
    if not value.is_finite() or not 0 <= value < MAX_VALUE or value.adjusted() < -_MOST_ZEROS:
        return None
    return value if value == round(value, _VALUE_DECIMALS) else None


def next_cursor(page: Mapping[str, Any]) -> str | None:
    """Where the next page begins; None at the end, or where Flash has no cursors."""
    cursor = page.get("nextCursor")
    return cursor if isinstance(cursor, str) and cursor else None


def parts_in_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a member's row in a list tells of `points` and `tier`, where Flash puts it there."""
    found = {
        "points": points_of(row["points"]) if "points" in row else None,
        "tier": tier_of(row["tier"]) if row.get("tier") is not None else None,
    }
    return {part: value for part, value in found.items() if value is not None}


def updated_at(row: Mapping[str, Any]) -> str | None:
    """When a row of a feed changed, as Flash wrote it; None where it does not say."""
    moment = row.get("updatedAt")
    return moment if isinstance(moment, str) and read_moment(moment) else None


# ------------------------------------------------------------------------------------------------------------------


def is_id(value: str) -> bool:
    """Whether this may be an id in a path: `.` and `..` would be another path."""
    return bool(value.strip()) and value not in {".", ".."} and len(value) <= MAX_ID_CHARS and not _UNFIT.search(value)


def read_moment(value: Any) -> datetime | None:
    """A time as Flash writes it (UTC where no offset is given); None for anything else."""
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
