"""By what any till knows an operation: its natural key, its members and what makes two of it the same, in plain.

Made from what was stored, as intake makes them of what registers send; a dead till's own hashes prove that they are the
same. Also the check that content from outside is what it says: a path or a key of somebody's own choosing goes nowhere.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent import jsons
from agent.delivery import Kind
from agent.fields import plain
from agent.flash import wire
from agent.model import member_subjects
from agent.outbox.left import Left, Natural
from agent.outbox.operation import (
    Content,
    basket_key,
    catalog_scope,
    coupon_scope,
    order_scope,
    redemption_item,
    refund_item,
    store_scope,
)
from agent.outbox.state import UNSETTLED, Status
from agent.outbox.till import Till

UNSOUND = (ValueError, KeyError, TypeError, ArithmeticError, AttributeError, IndexError)  # content not of its kind
_TILL = re.compile(r"[A-Za-z0-9._\-]{1,64}")
MAX_STORE_CHARS = 128
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def till_of(left: Left, till: Till) -> Till:
    """Whose it is: the till's where it lay, unless that had it from another one."""
    came_from = left.content.rescued_from
    return Till(came_from["storeId"], came_from["tillId"]) if came_from else till


def natural_of(left: Left, till: Till) -> Natural:
    """Raises one of UNSOUND where the content is not of its kind; see `Natural`."""
    content, request = left.content, left.content.request
    match left.kind:
        case Kind.SALE:
            order_id = _text(content.upstream_order_id)
            amount = plain(Decimal(str(request["totalAmount"])))
            subjects = _members(request["customer"])
            return Natural(order_scope(order_id), "", amount, subjects, _other(request, order_id))
        case Kind.REFUND:
            order_id, refund_id = _text(content.upstream_order_id), _text(_body(content)["refundId"])
            amount = plain(Decimal(str(request["amount"]))) if "amount" in request else "rest"
            return Natural(order_scope(order_id), refund_item(refund_id), amount, (), _other(request, order_id))
        case Kind.ENROLLMENT:
            subjects = member_subjects(None, request.get("externalId"), request.get("email"))
            return Natural(subjects[0], "", wire.member_fingerprint(request), subjects)
        case Kind.STORE:
            return Natural(store_scope(_text(request["externalId"])), "", bytes(content.body).decode())
        case Kind.CATALOG:
            return Natural(catalog_scope(_text(request["source"])), "", bytes(content.body).decode())
        case Kind.REDEMPTION:
            return _redemption(request, till)


def _redemption(request: Mapping[str, Any], till: Till) -> Natural:
    coupon_id = _text(request["couponId"])
    basket: dict[str, Any] = {
        "store_id": till.store_id,
        "till_id": till.till_id,
        "business_date": request.get("businessDate"),
        "transaction_id": _text(request["transactionId"]),
    }
    item = redemption_item(**basket, attempt=request.get("attempt", 1))
    subjects = _members(request["customer"]) if request.get("customer") else []
    return Natural(coupon_scope(coupon_id), item, "", subjects, basket=basket_key(coupon_id=coupon_id, **basket))


def check(left: Left) -> None:
    """Raise ValueError where an operation would do something else upstream than its kind does."""
    content = left.content
    if not _KEY.fullmatch(content.key):
        raise ValueError("its key is none")
    if content.rescued_from:
        check_till(till_of(left, Till("", "")))
    _check_state(left)
    try:
        if content.path != _path(left):
            raise ValueError("its path is another one")
        body = _body(content)
        if left.kind is Kind.SALE and body["externalOrderId"] != content.upstream_order_id:
            raise ValueError("its order is another one")
    except (KeyError, TypeError, AttributeError):  # a ValueError says more
        raise ValueError("its content is not of its kind") from None


def check_till(till: Till) -> None:
    """Raise ValueError where it is no till's identity: it goes into a header, and into ids."""
    if not _TILL.fullmatch(till.till_id) or len(till.store_id) > MAX_STORE_CHARS or not till.store_id.isprintable():
        raise ValueError("it names no till")


def _check_state(left: Left) -> None:
    was = left.redemption
    if (left.kind is Kind.REDEMPTION) != (was is not None):
        raise ValueError("it is half a redemption")
    owes = was is not None and was.credit == "open" and left.status is Status.SUCCEEDED
    if left.status not in UNSETTLED and not owes:
        raise ValueError("nothing is left to do for it")
    if (left.status is Status.PENDING) != (left.settled_at is None):
        raise ValueError("its state contradicts itself")


def _path(left: Left) -> str:
    content = left.content
    match left.kind:
        case Kind.SALE:
            return "/orders"
        case Kind.REFUND:
            return wire.refund_path(_text(content.upstream_order_id))
        case Kind.ENROLLMENT:
            return "/members"
        case Kind.STORE:
            return wire.STORES_PATH
        case Kind.CATALOG:
            return wire.CATALOG_PATH
        case Kind.REDEMPTION:
            return wire.redeem_path(_text(content.request["couponId"]))


def _body(content: Content) -> Mapping[str, Any]:
    body = jsons.loads(bytes(content.body))
    if not isinstance(body, dict):
        raise ValueError("its body is no object")  # noqa: TRY004 - content that is not of its kind
    return body


def _members(customer: Mapping[str, Any]) -> list[str]:
    return member_subjects(customer.get("memberId"), customer.get("externalId"), customer.get("email"))


def _other(request: Mapping[str, Any], order_id: str) -> str | None:
    external = _text(request["externalOrderId"])
    return external if external != order_id else None


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("an id is missing")
    return value
