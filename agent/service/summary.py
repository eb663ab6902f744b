"""A day in numbers: what a store compares with its Z report. Pure; no number here names a person.

A figure is a count and, by currency, what it sums to (Decimal, from the wire to the wire). Amounts are those that were
reported as earning; points are those that Flash said. Once retention has stripped an operation of the day, sums would
be wrong: they are None then, and the counts stay. What is told of redemptions outlives their contents.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from agent.delivery import Kind
from agent.fields import minor_units
from agent.outbox.day import DayRedemption
from agent.outbox.operation import Operation
from agent.outbox.rows import DAMAGED
from agent.outbox.state import Status

_MONEY = {Kind.SALE: "totalAmount", Kind.REFUND: "amount"}
_POINTS = {Kind.SALE: "awarded", Kind.REFUND: "clawedBack"}
MAX_NAMED = 50
_NOT_A_MEMBER = "notAMember"


def local_day(business_date: str) -> tuple[datetime, datetime]:
    """When that date begins and ends by the till's local time; raises ValueError where no clock can say."""
    try:
        day = date.fromisoformat(business_date)
        begin, end = (datetime.combine(each, time.min).astimezone() for each in (day, day + timedelta(days=1)))
    except (OverflowError, OSError):
        raise ValueError("no clock knows that day") from None
    if begin.timestamp() < 0:
        raise ValueError("no till is that old")
    return begin, end


class _Figure:
    """How many, and what they sum to by currency."""

    def __init__(self) -> None:
        self.count = 0
        self._sums: dict[str, Decimal] = {}

    def add(self, amount: Decimal | None, currency: str) -> None:
        self.count += 1
        if amount is not None:
            self._sums[currency] = self._sums.get(currency, Decimal(0)) + amount

    def as_json(self, *, summed: bool) -> dict[str, Any]:
        amounts = {currency: spelt(self._sums[currency], currency) for currency in sorted(self._sums)}
        return {"count": self.count, "amounts": amounts if summed else None}


class DaySummary:
    """Takes the day's operations one by one; `currency` is the till's own, for those that name none.

    `kept_since_ms`: what was settled before may have been stripped by retention; what is stripped and younger was
    forgotten with its member. `redemptions` are the numbers (seq) of those that were seen.
    """

    def __init__(self, business_date: str, currency: str, kept_since_ms: int = 0) -> None:
        self._business_date = business_date
        self._currency = currency
        self._figures = {kind: {name: _Figure() for name in ("all", _NOT_A_MEMBER, *Status)} for kind in _MONEY}
        self._enrollments: Counter[str] = Counter()
        self._points: Counter[Kind] = Counter()
        self._kept_since_ms = kept_since_ms
        self._undated = self._stripped = self._forgotten = self._unreadable = self._without_amount = 0
        self.redemptions: list[int] = []

    def add(self, operation: Operation) -> None:
        """Count one operation."""
        kind = operation.kind
        if kind is Kind.ENROLLMENT:
            self._enrollments[operation.status] += 1
        if kind is Kind.REDEMPTION:
            self._undated += operation.business_date is None
            self.redemptions.append(operation.seq)
        if kind not in _MONEY:
            return
        self._undated += operation.business_date is None
        self._note_loss(operation)
        self._add_money(operation)
        if operation.status is Status.SUCCEEDED:
            points = operation.verdict.result.get(_POINTS[kind])
            self._points[kind] += points if isinstance(points, int) else 0

    def _note_loss(self, operation: Operation) -> None:
        if operation.verdict.code == DAMAGED.code:
            self._unreadable += 1
        elif operation.content is None and (operation.settled_at or 0) < self._kept_since_ms:
            self._stripped += 1
        elif operation.content is None:
            self._forgotten += 1

    def _add_money(self, operation: Operation) -> None:
        kind, status = operation.kind, operation.status
        request: Mapping[str, Any] = operation.content.request if operation.content else {}
        amount = request.get(_MONEY[kind])
        self._without_amount += amount is None and operation.content is not None and status is not Status.DISCARDED
        names: list[str] = [status]
        if status is not Status.DISCARDED:
            names.append("all")
        if status is Status.SUCCEEDED and operation.verdict.result.get("reason") == "not-a-member":
            names.append(_NOT_A_MEMBER)
        for name in names:
            currency = request.get("currency") or self._currency
            self._figures[kind][name].add(None if amount is None else Decimal(str(amount)), currency)

    def as_json(self) -> dict[str, Any]:
        """The fields of SummaryView that come from the operations."""
        summed = self._stripped == 0
        points = {"awarded": self._points[Kind.SALE], "clawedBack": self._points[Kind.REFUND]}
        return {
            "businessDate": self._business_date,
            "complete": summed and self._unreadable + self._forgotten == 0,
            "stripped": self._stripped,
            "forgotten": self._forgotten,
            "unreadable": self._unreadable,
            "undated": self._undated,
            "sales": self._of(Kind.SALE, summed=summed),
            "refunds": {**self._of(Kind.REFUND, summed=summed), "withoutAmount": self._without_amount},
            "points": points if summed else None,
            "enrollments": {
                "count": self._enrollments.total() - self._enrollments[Status.DISCARDED],
                **{status.value: self._enrollments[status] for status in Status},
            },
        }

    def _of(self, kind: Kind, *, summed: bool) -> dict[str, Any]:
        figures = self._figures[kind]
        shown = {**figures["all"].as_json(summed=summed)}
        shown |= {status.value: figures[status].as_json(summed=summed) for status in Status}
        if kind is Kind.SALE:
            shown[_NOT_A_MEMBER] = figures[_NOT_A_MEMBER].as_json(summed=True) if summed else None
        return shown


class _Worth:
    """How many coupons, and what they are worth as far as they say."""

    def __init__(self) -> None:
        self.count = self.unvalued = 0
        self.value = Decimal(0)

    def add(self, value: Decimal | None) -> None:
        self.count += 1
        self.unvalued += value is None
        self.value += value or 0


class RedemptionSummary:
    """Takes the day's redemptions one by one."""

    def __init__(self, currency: str) -> None:
        self._currency = currency
        self._told: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._credits: Counter[str] = Counter()
        self._offline, self._lost = _Worth(), _Worth()
        self._unconfirmed = 0
        self._without_sale: list[str] = []

    def add(self, redemption: DayRedemption) -> None:
        """Count one redemption; a discount that was given counts even where an operator has discarded it since."""
        if not redemption.discarded or redemption.honor:
            self._told[redemption.honor][redemption.basis] += 1
        if redemption.credit:
            self._credits[redemption.credit] += 1
        if redemption.offline:
            self._offline.add(redemption.value)
            if redemption.lost:
                self._lost.add(redemption.value)
        self._unconfirmed += redemption.unconfirmed
        if redemption.honor and not redemption.has_sale:
            self._without_sale.append(redemption.operation_id)

    def as_json(self, open_in_all: int) -> dict[str, Any]:
        """The fields of RedemptionsView; `open_in_all` are the credits that are open, of whatever day."""
        offline, lost = self._offline, self._lost
        return {
            "honored": self._told[True].total(),
            "honoredByBasis": dict(sorted(self._told[True].items())),
            "notHonored": self._told[False].total(),
            "notHonoredByBasis": dict(sorted(self._told[False].items())),
            "unconfirmed": self._unconfirmed,
            "offline": {
                "count": offline.count,
                "value": spelt(offline.value, self._currency),
                "unvalued": offline.unvalued,
                "lost": lost.count,
                "lostValue": spelt(lost.value, self._currency),
                "lostUnvalued": lost.unvalued,
                "currency": self._currency,
            },
            "credits": {
                **{state: self._credits[state] for state in ("open", "used", "closed")},
                "openInAll": open_in_all,
            },
            "withoutSale": {"count": len(self._without_sale), "operations": self._without_sale[:MAX_NAMED]},
        }


def spelt(amount: Decimal, currency: str) -> str:
    """A decimal string with the decimals of the currency, or more where there are more."""
    places = max(minor_units(currency), len(f"{amount:f}".rstrip("0").partition(".")[2]))
    return f"{amount:.{places}f}"
