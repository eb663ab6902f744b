"""Calls that change nothing at Flash whatever it answers, by which a key shows what it may do; and its list of stores.

A read; a batch of nothing; something about an order, a coupon or a member whose id nobody has. Asked before a key comes
into force (`keycheck.py`), by setup (`setup/examine.py`) and when a fault is looked for (`service/diagnosis.py`).
"""

from typing import Any, NamedTuple

from agent import jsons
from agent.clock import rfc3339
from agent.delivery import Kind
from agent.flash import wire

MAX_STORE_PAGES = 50


class Question(NamedTuple):
    """One such call. `shown` is how people are told of it."""

    method: str
    path: str
    shown: str
    body: bytes | None = None


STORES = Question("GET", wire.STORES_PATH, "GET /stores")
NO_SALES = Question("POST", wire.BATCH_PATHS[Kind.SALE], "POST /orders", wire.batch_body(Kind.SALE, []))
NO_MEMBERS = Question("POST", wire.BATCH_PATHS[Kind.ENROLLMENT], "POST /members", wire.batch_body(Kind.ENROLLMENT, []))


def member(nobody: str) -> Question:
    """A look-up of somebody who is not there."""
    return Question("GET", f"/members?externalId={nobody}", "GET /members")


def orders_since(at_ms: int) -> Question:
    """The feed of changed orders from a moment on, in milliseconds."""
    return Question("GET", f"/orders?updatedSince={rfc3339(at_ms)}&limit=1", "GET /orders")


def refund(nothing: str, reason: str) -> Question:
    """A refund of an order that is not there."""
    body = jsons.encode({"refundId": nothing, "reason": reason})
    return Question("POST", wire.refund_path(nothing), "POST /orders/{id}/refund", body)


def redemption(nothing: str) -> Question:
    """A redemption of a coupon that is not there."""
    return Question("POST", wire.redeem_path(nothing), "POST /coupons/{id}/redeem")


class StorePage(NamedTuple):
    """Flash's stores (None: the answer holds no list), and the path of the next page where there is one."""

    stores: list[Any] | None
    next_path: str | None


def read_stores(answer: Any) -> StorePage:
    """The page in an answer to STORES, parsed."""
    fields = answer if isinstance(answer, dict) else {}
    stores, cursor = fields.get("data"), fields.get("nextCursor")
    goes_on = isinstance(cursor, str) and cursor != ""
    next_path = f"{wire.STORES_PATH}?cursor={wire.segment(str(cursor))}" if goes_on else None
    return StorePage(stores if isinstance(stores, list) else None, next_path)


def is_called(store: Any, name: str) -> bool:
    """Whether a store of a page is this one, by Flash's id or by the chain's own."""
    return isinstance(store, dict) and any(store.get(of_it) == name for of_it in ("id", "externalId"))
