"""Change stamps and the paging of "what changed" feeds.

Invariant: every change gives its record a revision higher than all before it, and a page is cut by revision.
A record that changes while somebody pages moves to the end: it may be seen twice, it is never missed,
whatever the clock does.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from agent.sandbox.refusals import invalid

Clock = Callable[[], datetime]
_CURSOR_PREFIX = "r"


@dataclass(slots=True)
class Stamp:
    created_at: datetime
    updated_at: datetime
    revision: int


class Stamped(Protocol):
    @property
    def stamp(self) -> Stamp: ...


Record = TypeVar("Record", bound=Stamped)


class Stamper:
    """Hands out stamps; one per tenant, so that revisions say nothing about another tenant."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._revision = 0

    def fresh(self) -> Stamp:
        now = self._clock()
        return Stamp(created_at=now, updated_at=now, revision=self._next())

    def touch(self, stamp: Stamp) -> None:
        stamp.updated_at = self._clock()
        stamp.revision = self._next()

    def _next(self) -> int:
        self._revision += 1
        return self._revision


def iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def page(
    records: Iterable[Record], *, since: datetime | None, cursor: str | None, limit: int
) -> tuple[list[Record], int, str | None]:
    """One page, the number of all matches, and the cursor of the next page (None at the end)."""
    after = _revision_of(cursor)
    matches = [record for record in records if since is None or record.stamp.updated_at >= since]
    rest = sorted((record for record in matches if record.stamp.revision > after), key=lambda r: r.stamp.revision)
    shown = rest[:limit]
    following = f"{_CURSOR_PREFIX}{shown[-1].stamp.revision}" if len(rest) > limit else None
    return shown, len(matches), following


def _revision_of(cursor: str | None) -> int:
    if cursor is None:
        return 0
    digits = cursor.removeprefix(_CURSOR_PREFIX)
    if digits == cursor or not (digits.isascii() and digits.isdigit()):
        raise invalid("cursor", "is not one that this feed gave")
    return int(digits)
