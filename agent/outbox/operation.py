"""Rows of the outbox as values: what a register's request became, and how to read it back.

`Draft` goes in, `Operation` comes out. `Content` and `Verdict` are the two sealed columns.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from agent import jsons
from agent.delivery import Kind, MayLeave, Parcel, RefusedRow
from agent.outbox.state import Status

_CHANCE_BYTES = 10
_chance = bytearray()  # fetched in larger pieces: a system call a sale would be felt


def new_id(accepted_at: int) -> str:
    """`op_` and 32 hex digits: 48 bits of time (milliseconds), 80 of chance.

    Ids sort by the time of acceptance, whatever order the rows are in, and need no coordination.
    """
    if len(_chance) < _CHANCE_BYTES:
        _chance.extend(os.urandom(_CHANCE_BYTES * 400))
    mine = bytes(_chance[-_CHANCE_BYTES:])
    del _chance[-_CHANCE_BYTES:]
    return f"{first_id(accepted_at)}{mine.hex()}"


def first_id(accepted_at: int) -> str:
    """What ids of that millisecond begin with: it sorts before all of them."""
    return f"op_{accepted_at & (2**48 - 1):012x}"


class _Private(msgspec.Struct, frozen=True):
    """A frozen record, made in a tenth of a dataclass's time, whose text shows nothing of what it holds."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Content(_Private, frozen=True, array_like=True):
    """What was asked and the bytes that answer it upstream, fixed when the operation is accepted.

    `request` holds the known fields as the register sent them; `key` is the upstream Idempotency-Key of the first
    generation. `body` is JSON, and lies in the stored JSON as it is, byte for byte.
    """

    request: Mapping[str, Any]
    path: str
    body: jsons.Raw
    key: str
    metadata: Mapping[str, Any] = {}
    warnings: Sequence[str] = ()
    upstream_order_id: str | None = None
    if_known: bool = False
    coupon: Mapping[str, Any] = {}  # of a redemption: the coupon's fields as this till had seen them
    rescued_from: Mapping[str, str] = {}  # of another till's operation: that till's storeId and tillId

    def to_bytes(self) -> bytes:
        return jsons.encode(self)

    @staticmethod
    def from_bytes(data: bytes) -> "Content":
        return _read_content(data)


class Verdict(_Private, frozen=True, omit_defaults=True):
    """The last word on an operation: Flash's data, or the error, or who discarded it and why."""

    result: Mapping[str, Any] = {}
    code: str = ""
    detail: str = ""
    http_status: int | None = None
    definitive: bool = False
    by: str = ""
    reason: str = ""
    unknown_since: int | None = None  # of a refund: when Flash first did not know its order; milliseconds
    warnings: Sequence[str] = ()  # of a catalog: which rows Flash did not take

    def to_bytes(self) -> bytes:
        return jsons.encode(self)

    @staticmethod
    def from_bytes(data: bytes) -> "Verdict":
        return _read_verdict(data)


_read_content = jsons.reader(Content)
_read_verdict = jsons.reader(Verdict)


class KnownOrder(msgspec.Struct, frozen=True):
    """What this till knows of an order when a refund of it comes: its amount and what was refunded before.

    `total` is None when the sale is not known here; amounts of earlier refunds are None where Flash decides them.
    """

    total: Decimal | None
    refunded: Sequence[Decimal | None] = ()


class RowHash(NamedTuple):
    """One row of a catalog: the keyed hash of what it is about (source, entity, its own id), and of what it says."""

    key: bytes
    content: bytes


class Draft(_Private, frozen=True):
    """An operation to be accepted. `scope`, `item`, `subjects`, … are plain here; the store hashes them.

    `fingerprint` is what makes a second request with the same natural key the same one; None matches any.
    `decide` is given for refunds: it fixes content and fingerprint once the order's history has been read.
    `inherit` makes the content of an upsert from what the one that it replaces asked for and has not brought to Flash.
    `defaults` says what fields that were left out mean: one that is written out is no other request.
    `rows` is what a catalog says, row by row. `by_rows`: these were found to be new, so that an operation with the same
    rows that came before is no reason to keep these back, but for those that Flash has, or will have, by now.
    """

    kind: Kind
    scope: str
    content: Content
    fingerprint: str | None
    item: str = ""
    subjects: Sequence[str] = ()
    request_key: str | None = None
    external_order: str | None = None
    basket: str | None = None
    business_date: str | None = None
    conflict_code: str = "order-conflict"
    decide: Callable[[KnownOrder], tuple[Content, str]] | None = None
    inherit: Callable[[Mapping[str, Any]], Content] | None = None
    defaults: Mapping[str, Any] = {}
    rows: Sequence[RowHash] = ()
    by_rows: bool = False


class Redeemed(msgspec.Struct, frozen=True):
    """What a redemption is beyond its operation; `redemptions.py` says what the phases mean. Times in milliseconds."""

    phase: str
    honor: bool
    basis: str
    credit: str | None
    first_asked_at: int | None = None
    last_asked_at: int | None = None


class Operation(msgspec.Struct):
    """One operation as stored. `content` is None once retention has stripped it. Times in milliseconds."""

    seq: int
    id: str
    kind: Kind
    status: Status
    generation: int
    blocked: bool
    attempts: int
    maybe_sent: int
    strikes: int
    accepted_at: int
    next_attempt_at: int | None
    settled_at: int | None
    business_date: str | None
    content: Content | None
    verdict: Verdict
    waiting_for: Sequence[str] = ()
    redeemed: Redeemed | None = None

    @property
    def upstream_key(self) -> str:
        """The upstream Idempotency-Key of the current generation."""
        return key_of_generation(self.content.key, self.generation) if self.content else ""

    def parcel(self, may_leave: MayLeave | None = None) -> Parcel:
        """What the sender needs; only operations with content are sent."""
        content = self.content
        if content is None:
            raise ValueError(f"{self.id} has no content any more")
        return Parcel(
            kind=self.kind,
            path=content.path,
            body=bytes(content.body),
            key=self.upstream_key,
            if_known=content.if_known,
            till=content.rescued_from.get("tillId", ""),
            may_leave=may_leave,
        )


class Accepted(msgspec.Struct, frozen=True):
    """The store's answer to a draft: a new operation, or the one that was there, with what differs this time."""

    operation: Operation
    replayed: bool
    differs: Sequence[str] = ()


class Settlement(msgspec.Struct, frozen=True):
    """One row's next state after an attempt; `settled_at` is None while it goes on pending."""

    operation: Operation
    status: Status
    verdict: Verdict
    settled_at: int | None
    next_attempt_at: int | None = None
    new_generation: bool = False
    strikes: int = 0
    unsent: bool = False
    refused_rows: Sequence[RefusedRow] = ()


def key_of_generation(key: str, generation: int) -> str:
    """`sale-90871`, then `sale-90871.2`, …"""
    return key if generation == 1 else f"{key}.{generation}"


def redeemed_of(operation: Operation) -> Redeemed:
    """What a redemption is; of one that no register has been answered for yet nothing is known."""
    return operation.redeemed or Redeemed("posting", honor=False, basis="unconfirmed", credit=None)


def coupon_scope(coupon_id: str) -> str:
    """The natural key's scope of all redemptions of a coupon."""
    return f"coupon:{coupon_id}"


def basket_key(*, coupon_id: str, store_id: str, till_id: str, business_date: str | None, transaction_id: str) -> str:
    """One coupon in one basket, all attempts: what a void names."""
    return jsons.dumps(["basket", coupon_id, store_id, till_id, business_date or "", transaction_id])


def order_scope(upstream_order_id: str) -> str:
    """The natural key's scope of a sale and its refunds."""
    return f"order:{upstream_order_id}"


def refund_item(upstream_refund_id: str) -> str:
    """What tells a refund from others of its sale."""
    return f"refund:{upstream_refund_id}"


def redemption_item(
    *, store_id: str, till_id: str, business_date: str | None, transaction_id: str, attempt: int | str
) -> str:
    """What tells a redemption from others of its coupon: the basket, and the attempt."""
    return jsons.dumps(["redemption", store_id, till_id, business_date or "", transaction_id, str(attempt)])


def store_scope(external_id: str) -> str:
    """The natural key of a store of the chain."""
    return f"store:{external_id}"


def catalog_scope(source: str) -> str:
    """The natural key's scope of all catalogs of a source."""
    return f"catalog:{source}"
