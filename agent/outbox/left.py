"""What is left in the outbox of a till that died: read row by row, as it travels to another till.

Loaded when a rescue is made; `rescued.py` is the other end.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from agent.delivery import Kind
from agent.outbox.operation import Content, Operation, Verdict
from agent.outbox.rows import READ, Rows
from agent.outbox.state import Status
from agent.storage import Database
from agent.storage.statements import placeholders

_SLICE = 100
_MORE = "scope, item, current, fingerprint, EXISTS (SELECT 1 FROM forgotten WHERE forgotten.seq = operation.seq)"
# Twice asked for the status, so that the index of unsettled ones serves. A credit that is open is a debt to a customer.
_LEFT = f"""
SELECT {READ}, {_MORE} FROM operation
WHERE seq > ?1 AND (
  status IN ('pending', 'failed') OR seq IN (SELECT seq FROM redemption WHERE credit = 'open')
)
ORDER BY seq LIMIT ?2
"""  # noqa: S608
_REDEMPTIONS = """
SELECT seq, basket, phase, honor, basis, credit, first_asked_at, last_asked_at, value, lost
FROM redemption WHERE seq IN ({rows})
"""


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # or milliseconds since the epoch


class RedemptionLeft(msgspec.Struct, frozen=True, rename="camel"):
    """What a redemption was beyond its operation; times in milliseconds, `value` money."""

    phase: Literal["posting", "unknown", "owed", "settled"]
    honor: bool
    basis: str
    credit: Literal["open", "used", "closed"] | None = None
    first_asked_at: _Count | None = None
    last_asked_at: _Count | None = None
    value: str | None = None
    lost: bool = False


class Left(msgspec.Struct, frozen=True, rename="camel"):
    """One operation of a dead till as it travels. `content` and `verdict` are what was sealed in its row."""

    id: Annotated[str, msgspec.Meta(pattern="^op_[0-9a-f]{32}$")]
    kind: Kind
    status: Status
    content: Content
    verdict: Verdict
    generation: Annotated[int, msgspec.Meta(ge=1, le=2**31)]
    current: bool
    attempts: _Count
    maybe_sent: _Count
    strikes: _Count
    accepted_at: _Count
    settled_at: _Count | None = None
    business_date: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\d$")] | None = None
    redemption: RedemptionLeft | None = None
    forgotten: bool = False  # its member asked to be

    def __repr__(self) -> str:
        return "<Left>"


class Hashes(NamedTuple):
    """By what the dead till knew an operation: keyed hashes, which its own key alone can make."""

    scope: bytes
    item: bytes
    fingerprint: bytes
    basket: bytes | None


class Natural(NamedTuple):
    """By what any till knows it, in plain: see `Draft`. `basket` is a redemption's."""

    scope: str
    item: str
    fingerprint: str
    subjects: Sequence[str] = ()
    external_order: str | None = None
    basket: str | None = None


async def unsettled(database: Database, rows: Rows) -> AsyncIterator[tuple[Left, Hashes] | str]:
    """What is left in an outbox, in the order of acceptance; of what cannot be read any more its id."""
    after = 0
    while found := await database.fetch(_LEFT, [after, _SLICE]):
        after = found[-1][0]
        sql = _REDEMPTIONS.format(rows=placeholders(len(found)))
        redeemed = {row[0]: row[1:] for row in await database.fetch(sql, [row[0] for row in found])}
        for row in found:
            *_, scope, item, current, fingerprint, forgotten = row
            operation = rows.operation(row)
            marks = redeemed.get(operation.seq)
            if operation.content is None:
                yield operation.id
                continue
            left = _left(operation, marks, current=bool(current), forgotten=bool(forgotten))
            yield left, Hashes(scope, item, fingerprint, marks[0] if marks else None)


def _left(operation: Operation, marks: Sequence[Any] | None, *, current: bool, forgotten: bool) -> Left:
    assert operation.content is not None  # noqa: S101 - looked at before
    redemption = None
    if operation.kind is Kind.REDEMPTION:
        redemption = RedemptionLeft("posting", honor=False, basis="unconfirmed")
        if marks:
            _, phase, honor, basis, credit, first, last, value, lost = marks
            redemption = RedemptionLeft(phase, bool(honor), basis, credit, first, last, value, bool(lost))
    return Left(
        id=operation.id,
        kind=operation.kind,
        status=operation.status,
        content=operation.content,
        verdict=operation.verdict,
        generation=operation.generation,
        current=current,
        attempts=operation.attempts,
        maybe_sent=operation.maybe_sent,
        strikes=operation.strikes,
        accepted_at=operation.accepted_at,
        settled_at=operation.settled_at,
        business_date=operation.business_date,
        redemption=redemption,
        forgotten=forgotten,
    )
