"""The exposure ledger: what was honored without Flash's word, by day, till and member, and what became of it.

The rows are those of the redemptions themselves, so the ledger cannot differ from what was told. Called by the API and
the metrics; amounts are Decimal, and None where no coupon of the sum says what it is worth.
"""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from agent.outbox.state import UNSETTLED, Status
from agent.storage import Database

FORGOTTEN = "forgotten"
MEMBER_CHARS = 12  # of a keyed hash: enough to tell a day's members apart, and no way back to them

_DAY = """
SELECT operation.id, operation.status, redemption.till, COALESCE(lower(hex(redemption.member)), ''),
  redemption.value, redemption.lost
FROM redemption CROSS JOIN operation USING (seq)
WHERE redemption.day IS NOT NULL AND redemption.day = ? ORDER BY seq
"""


class Entry(msgspec.Struct, frozen=True):
    """One coupon honored without Flash's word. `member` is a piece of a keyed hash."""

    operation_id: str
    status: Status
    till: str
    member: str
    value: Decimal | None
    lost: bool


class Sum(msgspec.Struct, frozen=True):
    """Several entries: how many, confirmed or open or lost, and what they are worth as far as the coupons say."""

    count: int
    value: Decimal | None
    unvalued: int
    confirmed: int
    open: int
    lost: int
    lost_value: Decimal | None


class ExposureLedger:
    """Reads one till's ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def day(self, day: str) -> list[Entry]:
        """A day's entries, in the order in which they were accepted."""
        return [
            Entry(
                operation_id=operation_id,
                status=Status(status),
                till=till,
                member=member[:MEMBER_CHARS] or FORGOTTEN,
                value=None if value is None else Decimal(value),
                lost=bool(lost),
            )
            for operation_id, status, till, member, value, lost in await self._database.fetch(_DAY, [day])
        ]


def add_up(entries: Iterable[Entry]) -> Sum:
    """Entries as one figure."""
    found = list(entries)
    lost = [entry for entry in found if entry.lost]
    return Sum(
        count=len(found),
        value=_worth(found),
        unvalued=sum(entry.value is None for entry in found),
        confirmed=sum(entry.status is Status.SUCCEEDED for entry in found),
        open=sum(entry.status in UNSETTLED and not entry.lost for entry in found),
        lost=len(lost),
        lost_value=_worth(lost),
    )


def _worth(entries: Iterable[Entry]) -> Decimal | None:
    values = [entry.value for entry in entries if entry.value is not None]
    return sum(values, Decimal(0)) if values else None
