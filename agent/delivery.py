"""What the outbox and a transport agree on: a parcel goes out, an outcome comes back.

The outbox knows no transport and the Flash client knows no queue; both know these types. Every expected result is a
value, not an exception.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

MayLeave = Callable[[], bool]


class Kind(StrEnum):
    """What an operation is about; one collection of the local API each."""

    SALE = "sale"
    REFUND = "refund"
    ENROLLMENT = "enrollment"
    REDEMPTION = "redemption"
    STORE = "store"
    CATALOG = "catalog"


class Fate(StrEnum):
    """What becomes of the operation after one attempt."""

    SUCCEEDED = "succeeded"
    DECLINED = "declined"
    FAILED = "failed"
    RETRY = "retry"
    HOLD = "hold"


class Contact(StrEnum):
    """What the attempt says about the line to Flash, whatever it says about the operation."""

    ANSWERED = "answered"  # Flash itself spoke
    TROUBLED = "troubled"  # a server answered 5xx or 408: reachable, not well
    UNREACHABLE = "unreachable"  # no connection, no whole answer, or an answer that is not Flash's
    THROTTLED = "throttled"  # 429
    KEY_REFUSED = "key-refused"  # 401
    ENDPOINT_REFUSED = "endpoint-refused"  # 403


class RefusedRow(NamedTuple):
    """A row of a catalog that Flash did not take, and why, in Flash's words.

    `at` is its place in the entity's list (from 0), or its own id; None where Flash does not say.
    """

    entity: str
    at: int | str | None
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The word on one attempt.

    `definitive`: Flash refused under this idempotency key and may replay that refusal, so a later attempt needs the
    next generation of the key. `unsent`: the connection was never made, or the call was turned away at the door (401,
    403, 429), so nothing can have had an effect. `refused_rows`: of a catalog that was taken, what of it was not.
    """

    fate: Fate
    contact: Contact
    code: str = ""
    detail: str = ""
    http_status: int | None = None
    result: Mapping[str, Any] = field(default_factory=dict, repr=False)
    retry_after_s: float | None = None
    definitive: bool = False
    unsent: bool = False
    refused_rows: Sequence[RefusedRow] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One operation ready to be sent: path, body and key as they were fixed when it was accepted.

    `path` is relative to the base URL and percent-encoded; `key` is the upstream Idempotency-Key of the current
    generation. The kind also names the endpoint that a 403 holds. `may_leave` is asked once the connection is made,
    just before the first byte: where it says no, nothing leaves (`NOT_LEFT`).
    """

    kind: Kind
    path: str = field(repr=False)
    body: bytes = field(repr=False)
    key: str
    if_known: bool = False
    till: str = ""  # in whose name it goes; empty: this till's own
    may_leave: MayLeave | None = field(default=None, repr=False, compare=False)


NOT_LEFT = Outcome(
    Fate.RETRY, Contact.ANSWERED, "not-sent", "Nobody waited for it any more when it was to leave.", unsent=True
)


class Sender(Protocol):
    """A way to Flash. Methods never raise for what a network or a server does: they return an Outcome."""

    async def send(self, parcel: Parcel) -> Outcome:
        """One attempt for one operation, within the total time limit."""
        ...

    async def send_batch(self, parcels: Sequence[Parcel]) -> Sequence[Outcome] | Outcome:
        """One attempt for several of one batchable kind: an outcome each, or the one that befell the whole call.

        A whole-call outcome with `code` `batch-refused` says that nothing was settled and the items should go singly.
        """
        ...

    async def probe(self, *, write_key: bool) -> Outcome:
        """A harmless read, to learn whether the line works; with the write key, whether that is taken as well."""
        ...

    async def shows_store(self, store_id: str) -> bool | Outcome | None:
        """Whether the write key's tenant has this store; None when that cannot be read.

        The Outcome where Flash asked for a pause instead.
        """
        ...


BATCHABLE = frozenset({Kind.SALE, Kind.ENROLLMENT})
ORDER_UNKNOWN = "order-unknown"  # of a refund: Flash does not know its sale (yet)
BATCH_REFUSED = "batch-refused"
