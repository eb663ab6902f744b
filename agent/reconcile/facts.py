"""One order on both sides: what this till sent of it, what Flash shows of it, and how the two differ. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from agent.reconcile.differences import Code, Difference

_LANDED = {
    "pending": Code.LANDED_PENDING,
    "failed": Code.LANDED_FAILED,
    "discarded": Code.LANDED_DISCARDED,
}


class Sent(NamedTuple):
    """A sale or a refund as this till has it. `amount` None: of a refund, all that was left."""

    id: str
    status: str
    amount: Decimal | None
    accepted_at: str
    settled_at: str | None
    awarded: int | None
    is_member: bool
    attempts: int

    def is_due(self, read_at: str) -> bool:
        """Whether a reading of the feed that began then must show it."""
        return self.status == "succeeded" and (self.settled_at or "") < read_at


class There(NamedTuple):
    """An order as Flash has it, and when the reading that showed it began."""

    amount: Decimal | None
    refunded: Decimal | None
    awarded: int | None
    updated_at: str | None
    read_at: str


@dataclass(slots=True)
class Facts:
    """What this till has of one order: the sale that holds its number (the newest that is not discarded), refunds."""

    sale: Sent | None = None
    refunds: list[Sent] = field(default_factory=list)
    stripped: bool = False

    def add(self, operation: Mapping[str, Any]) -> None:
        """Take one operation of this order; newest first."""
        sent = _sent(operation)
        if operation["kind"] == "refund":
            self.refunds.append(sent)
        elif self.sale is None or (self.sale.status == "discarded" and sent.status != "discarded"):
            self.sale = sent

    @property
    def newest(self) -> str:
        """When the newest of it was accepted."""
        return max((sent.accepted_at for sent in self._all()), default="")

    def landed(self, read_at: str) -> str:
        """When the newest of it was accepted that a reading must show: Flash's row cannot be older."""
        return max((sent.accepted_at for sent in self._all() if sent.is_due(read_at)), default="")

    def _all(self) -> Iterator[Sent]:
        yield from self.refunds
        if self.sale is not None:
            yield self.sale


def of_sale(order_id: str, facts: Facts, sale: Sent, there: There) -> Iterator[Difference]:
    """The sale that holds the number, against Flash's order."""

    def differs(code: Code, here: Any, flash: Any) -> Difference:
        return Difference(code, order_id, here, flash, sale.id, there.updated_at)

    amounts_differ = None not in {sale.amount, there.amount} and sale.amount != there.amount
    if amounts_differ and sale.status == "discarded":
        return  # the number was another order's: an operator has seen to it
    if amounts_differ:
        yield differs(Code.AMOUNT, money(sale.amount), money(there.amount))
    elif sale.status in _LANDED:
        yield differs(_LANDED[sale.status], money(sale.amount), money(there.amount))
    elif _points_differ(facts, sale, there):
        yield differs(Code.POINTS, f"{sale.awarded} points", f"{there.awarded} points")


def _points_differ(facts: Facts, sale: Sent, there: There) -> bool:
    """Asked of sales without refunds alone: of others Flash may show the points less those taken back."""
    told = None not in {sale.awarded, there.awarded} and not facts.refunds and not there.refunded
    return told and sale.awarded != there.awarded


def of_refunds(order_id: str, facts: Facts, there: There) -> Iterator[Difference]:
    """The feed's sum of refunds against this till's: less is a loss, more may be another till's."""
    done = [each for each in facts.refunds if each.is_due(there.read_at)]
    total = there.amount if there.amount is not None else facts.sale.amount if facts.sale else None
    least = total if any(each.amount is None for each in done) else total_of(done)
    if there.refunded is None or least is None:
        return
    if there.refunded < least:
        shown = (money(least), money(there.refunded))
        yield Difference(Code.REFUND_MISSING, order_id, *shown, done[0].id, there.updated_at)
    elif there.refunded > least:
        yield from _more_refunded(order_id, facts, there, least)


def _more_refunded(order_id: str, facts: Facts, there: There, least: Decimal) -> Iterator[Difference]:
    extra = (there.refunded or least) - least
    late = [each for each in facts.refunds if each.status == "succeeded" and not each.is_due(there.read_at)]
    open_ones = [each for each in facts.refunds if each.status in _LANDED and each.attempts]
    shown = (money(least), money(there.refunded))
    if _explain(late, extra):
        return  # it was settled while the feed was read
    if _explain(open_ones, extra):
        is_fault = any(each.status != "pending" for each in open_ones)
        code = Code.REFUND_LANDED if is_fault else Code.REFUND_LANDED_PENDING
        yield Difference(code, order_id, *shown, open_ones[0].id, there.updated_at)
    elif facts.sale is not None:
        yield Difference(Code.REFUNDED_ELSEWHERE, order_id, *shown, facts.sale.id, there.updated_at)


def _explain(refunds: list[Sent], extra: Decimal) -> bool:
    """Whether these refunds may be what more was refunded."""
    return bool(refunds) and (any(each.amount is None for each in refunds) or extra <= total_of(refunds))


def _sent(operation: Mapping[str, Any]) -> Sent:
    request, result = operation["request"], operation["result"]
    amount = request.get("amount" if operation["kind"] == "refund" else "totalAmount")
    awarded = result.get("awarded")
    return Sent(
        operation["id"],
        operation["status"],
        decimal(amount),
        operation["acceptedAt"],
        operation["settledAt"],
        awarded if isinstance(awarded, int) else None,
        result.get("reason") != "not-a-member",
        operation["attempts"],
    )


def decimal(amount: Any) -> Decimal | None:
    """Money as the local API spells it: a number or a decimal string."""
    return None if amount is None else Decimal(str(amount))


def total_of(refunds: Iterable[Sent]) -> Decimal:
    """The sum of those that say their amount."""
    return sum((each.amount for each in refunds if each.amount is not None), Decimal(0))


def money(amount: Decimal | None) -> str | None:
    """Money as a report spells it: without zeros at the end, for either side has its own."""
    return None if amount is None else f"{amount.normalize():f}"
