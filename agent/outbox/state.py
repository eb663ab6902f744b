"""States of an operation and the moves between them; pure, and mirrored by the CHECKs of `schema.sql`.

                    ┌────────────── retry (operator) ──────────────┐
                    ▼                                              │
    accepted ─▶ pending ──▶ succeeded                              │
                 │  │  └──▶ declined                               │
                 │  └─────▶ failed ────────────────────────────────┘
                 │             │
                 └─────────────┴──▶ discarded   (an operator with a reason; or superseded by a newer upsert)

`pending` may be discarded only while nothing can have been sent. Nothing leaves succeeded, declined or discarded. A
failed redemption may also be closed by an operator, who says that the coupon was burned (succeeded) or not (declined).
"""

from enum import StrEnum

from agent.delivery import Kind


class Status(StrEnum):
    """What became of an operation."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    FAILED = "failed"
    DISCARDED = "discarded"


FINAL = frozenset({Status.SUCCEEDED, Status.DECLINED, Status.DISCARDED})
UNSETTLED = frozenset({Status.PENDING, Status.FAILED})

# An operation waits for earlier unsettled ones of these kinds with a common subject; nothing else waits for anything.
PREDECESSORS = {
    Kind.SALE: frozenset({Kind.ENROLLMENT}),
    Kind.ENROLLMENT: frozenset({Kind.ENROLLMENT}),
    Kind.REFUND: frozenset({Kind.SALE}),
    Kind.STORE: frozenset({Kind.STORE}),
    Kind.CATALOG: frozenset({Kind.CATALOG}),
    Kind.REDEMPTION: frozenset[Kind](),
}

# Upserts: the same key with another payload is a new operation that follows the first.
UPSERTS = frozenset({Kind.ENROLLMENT, Kind.STORE, Kind.CATALOG})


def may_retry(status: Status) -> bool:
    """An operator may retry only what failed."""
    return status is Status.FAILED


def may_discard(status: Status, *, maybe_sent: bool) -> bool:
    """An operator may discard what failed, or what is pending and cannot have reached Flash."""
    return status is Status.FAILED or (status is Status.PENDING and not maybe_sent)
