"""Rows of the outbox as values: what a register's request became, and how to read it back.

`Draft` goes in, `Operation` comes out. `Content` and `Verdict` are the two sealed columns.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from agent import jsons
from agent.delivery import Kind, Parcel
from agent.outbox.state import Status

_CHANCE_BYTES = 10
_chance = bytearray()  # fetched in larger pieces: a system call a sale would be felt


def new_id() -> str:
    """`op_` and 32 hex digits: 48 bits of time, 80 of chance, so that ids sort by time and need no coordination."""
    if len(_chance) < _CHANCE_BYTES:
        _chance.extend(os.urandom(_CHANCE_BYTES * 400))
    mine = bytes(_chance[-_CHANCE_BYTES:])
    del _chance[-_CHANCE_BYTES:]
    milliseconds = time.time_ns() // 1_000_000 & (2**48 - 1)
    return f"op_{milliseconds:012x}{mine.hex()}"


@dataclass(frozen=True, slots=True)
class Content:
    """What was asked and the bytes that answer it upstream, fixed when the operation is accepted.

    `request` holds the known fields as the register sent them; `key` is the upstream Idempotency-Key of the first
    generation.
    """

    request: Mapping[str, Any] = field(repr=False)
    path: str = field(repr=False)
    body: str = field(repr=False)
    key: str
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    warnings: Sequence[str] = ()
    upstream_order_id: str | None = None
    if_known: bool = False

    def to_bytes(self) -> bytes:
        return jsons.encode(
            [
                self.request,
                self.path,
                self.body,
                self.key,
                self.metadata,
                self.warnings,
                self.upstream_order_id,
                self.if_known,
            ]
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Content":
        return cls(*jsons.loads_own(data))


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last word on an operation: Flash's data, or the error, or who discarded it and why."""

    result: Mapping[str, Any] = field(default_factory=dict, repr=False)
    code: str = ""
    detail: str = ""
    http_status: int | None = None
    definitive: bool = False
    by: str = ""
    reason: str = ""

    def to_bytes(self) -> bytes:
        return jsons.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Verdict":
        return cls(**jsons.loads_own(data))


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """What this till knows of an order when a refund of it comes: its amount and what was refunded before.

    `total` is None when the sale is not known here; amounts of earlier refunds are None where Flash decides them.
    """

    total: Decimal | None
    refunded: Sequence[Decimal | None] = ()


@dataclass(frozen=True, slots=True)
class Draft:
    """An operation to be accepted. `scope`, `item`, `subjects`, … are plain here; the store hashes them.

    `fingerprint` is what makes a second request with the same natural key the same one; None matches any.
    `decide` is given for refunds: it fixes content and fingerprint once the order's history has been read.
    """

    kind: Kind
    scope: str = field(repr=False)
    content: Content
    fingerprint: str | None = field(repr=False)
    item: str = field(default="", repr=False)
    subjects: Sequence[str] = field(default=(), repr=False)
    request_key: str | None = None
    external_order: str | None = None
    basket: str | None = None
    business_date: str | None = None
    conflict_code: str = "order-conflict"
    decide: Callable[[KnownOrder], tuple[Content, str]] | None = None


@dataclass(slots=True)
class Operation:
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

    @property
    def upstream_key(self) -> str:
        """The upstream Idempotency-Key of the current generation."""
        return key_of_generation(self.content.key, self.generation) if self.content else ""

    def parcel(self) -> Parcel:
        """What the sender needs; only operations with content are sent."""
        content = self.content
        if content is None:
            raise ValueError(f"{self.id} has no content any more")
        return Parcel(
            id=self.id,
            kind=self.kind,
            path=content.path,
            body=content.body.encode(),
            key=self.upstream_key,
            attempts=self.attempts,
            if_known=content.if_known,
        )


@dataclass(frozen=True, slots=True)
class Accepted:
    """The store's answer to a draft: a new operation, or the one that was there, with what differs this time."""

    operation: Operation
    replayed: bool
    differs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Settlement:
    """One row's next state after an attempt; `settled_at` is None while it goes on pending."""

    operation: Operation
    status: Status
    verdict: Verdict
    settled_at: int | None
    next_attempt_at: int | None = None
    new_generation: bool = False
    strikes: int = 0
    unsent: bool = False


def key_of_generation(key: str, generation: int) -> str:
    """`sale-90871`, then `sale-90871.2`, …"""
    return key if generation == 1 else f"{key}.{generation}"


def order_scope(upstream_order_id: str) -> str:
    """The natural key's scope of a sale and its refunds."""
    return f"order:{upstream_order_id}"
