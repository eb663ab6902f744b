"""Manhattan Active Omni: orders, and the returns and exchanges in them, as the order API and its events write them.

Takes one order, a list, or `{"data": …}`. An order earns its OrderTotal once every line that is left is fulfilled and
the payment is settled; a cancelled order keeps its paid payments and earns nothing. Lines with IsReturn give back to
the order that their ParentOrderId names. In an exchange both happen, and the header is the difference of the two: what
the new lines earn is told by the lines, and only where they and the header agree. An even exchange moves no money.

Ids are `{id_prefix}{OrgId}-{OrderId}`, for two organizations of a tenant may count alike. Times have no zone and are
not sent; only BusinessDate is. "undefined" as an e-mail is a spelled-out nothing. An order without its lines is for a
person: a return and an exchange have the header of a sale.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, BinaryIO, Literal

from agent.adapters import values
from agent.adapters.base import (
    Adapter,
    Coverage,
    CustomerOptions,
    Item,
    Site,
    Skipped,
    guarded,
    make,
    named,
    nothing_refunded,
)
from agent.adapters.json_documents import Record, called, inner, listed, load, records
from agent.model import Refund, Sale

ENVELOPES = (("data",), ("Data",))
UNDONE = frozenset({"cancelled", "post-voided"})

# Flag, code, reason. In this order: the first that is set is said.
REFUSALS = (
    ("IsCancelled", "cancelled", "The order is cancelled; a cancelled order may well keep a payment that says paid."),
    ("IsPostVoided", "post-voided", "The order was voided after it was completed."),
    ("IsOnHold", "on-hold", "The order is on hold."),
)


class ManhattanOptions(CustomerOptions):
    """`[adapters.manhattan]`. Statuses are compared without trailing zeros: `5000.000` is `5000`."""

    id_prefix: str = "manhattan-"
    with_org: bool = True
    earning_statuses: frozenset[str] = frozenset({"5000", "6000", "7000", "8000"})
    cancelled_statuses: frozenset[str] = frozenset({"9000"})
    paid_statuses: frozenset[str] = frozenset({"5000"})
    refunded_statuses: frozenset[str] = frozenset({"7000"})
    return_statuses: frozenset[str] = frozenset({"12000", "13000", "14000"})
    document_types: frozenset[str] = frozenset({"CustomerOrder"})
    give_back_undone: bool = False
    customer_keys: tuple[Literal["CustomerId", "LoyaltyNumber"], ...] = ("CustomerId", "LoyaltyNumber")


def read(source: BinaryIO, options: ManhattanOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    for number, record in records(load(source, site.max_whole_bytes), ENVELOPES):
        place = called("order", record.get("OrderId"), number)
        yield from guarded(place, partial(_Order(record, place, options, site).items))


class _Order:
    """One order document, and what it comes to."""

    def __init__(self, record: Record, place: str, options: ManhattanOptions, site: Site) -> None:
        self._record = record
        self._place = place
        self._options = options
        self._site = site

    def items(self) -> Iterable[Item]:
        """What the order comes to; raises ValueError naming a field that is unsound."""
        lines = [line for line in listed(self._record.get("OrderLine")) if isinstance(line, Mapping)]
        if (refusal := self._refusal()) is not None:
            sold = not any(_flag(line, "IsReturn") for line in lines)
            undone = self._options.give_back_undone and refusal.code in UNDONE and sold
            return [self._undone() if undone else refusal]
        if not lines:
            reason = (
                "It has no OrderLine, and only lines tell a return or an exchange from a sale; send the whole order."
            )
            return [Skipped("no-lines", reason, self._place, fault=True)]
        lines = [line for line in lines if not _flag(line, "IsCancelled")]
        back = [line for line in lines if _flag(line, "IsReturn")]
        new = [line for line in lines if not _flag(line, "IsReturn")]
        if any(_flag(line, "IsEvenExchange") for line in lines):
            return [self._even_exchange(new, back)]
        if not back:
            return [self._sale(named("OrderTotal", values.needed_amount, self._record.get("OrderTotal")), new, back)]
        found = [self._sale(self._earned(new, back), new, back)] if new else []
        return [*found, *self._refunds(new, back)]

    def _refusal(self) -> Skipped | None:
        for missing, code, reason in self._faults():
            if missing:
                return Skipped(code, reason, self._place, fault=True)
        for field, code, reason in REFUSALS:
            if _flag(self._record, field):
                return Skipped(code, reason, self._place)
        kind = named("DocTypeId", values.text, inner(self._record, "DocType", "DocTypeId"))
        if self._text("SuspendedOrderId") is not None:
            return Skipped("suspended", "The order was suspended; what it became earns.", self._place)
        if self._record.get("IsConfirmed") is not None and not _flag(self._record, "IsConfirmed"):
            return Skipped("not-confirmed", "The order is not confirmed.", self._place)
        if kind is not None and kind not in self._options.document_types:
            return Skipped("not-a-sale", "The type of the document is none of document_types.", self._place)
        return None

    def _faults(self) -> Iterator[tuple[bool, str, str]]:
        yield self._text("OrderId") is None, "not-an-order", "It has no OrderId, as each order of this system has."
        mend = "It has no OrgId, which is part of the id; where one organization alone counts, set with_org = false."
        yield self._options.with_org and self._text("OrgId") is None, "no-org", mend

    def _even_exchange(self, new: Sequence[Record], back: Sequence[Record]) -> Skipped:
        swapped = all(_flag(line, "IsEvenExchange") for line in new)
        if swapped and (all(_flag(line, "IsEvenExchange") for line in back) or _total(new) == _total(back)):
            return Skipped("even-exchange", "An even exchange: no money moved.", self._place)
        reason = "Some of its lines are an even exchange and others are not; what was earned cannot be told apart."
        return Skipped("unclear-exchange", reason, self._place, fault=True)

    def _earned(self, new: Sequence[Record], back: Sequence[Record]) -> Decimal:
        """What the new lines of an exchange earn; raises ValueError where header and lines disagree."""
        total = named("OrderTotal", values.needed_amount, self._record.get("OrderTotal"))
        bought, returned = _total(new), _total(back)
        if total not in {bought, bought - returned}:
            raise ValueError("OrderTotal is neither the new lines' total nor that less the returned lines'")
        return bought

    def _sale(self, total: Decimal, new: Sequence[Record], back: Sequence[Record]) -> Item:
        if not self._fulfilled(new, back):
            reason = "Its fulfilment status is none of earning_statuses, or not yet the same for all of it."
            return Skipped("not-fulfilled", reason, self._place)
        if not self._paid(back):
            return Skipped("not-paid", "Its payment status is none of paid_statuses.", self._place)
        customer = self._customer()
        if not customer:
            return Skipped("no-customer", "It shows no customer.", self._place)
        fields = {
            "externalOrderId": self._whole("OrderId"),
            "customer": customer,
            "totalAmount": total,
        }
        sold_at = (self._text("SellingLocationId"),)
        return make(Sale, {**fields, **self._common()}, self._place, self._site, sold_at=sold_at)

    def _refunds(self, new: Sequence[Record], back: Sequence[Record]) -> Iterator[Item]:
        if not self._statuses(self._record, "ReturnStatusId") <= self._options.return_statuses:
            yield Skipped("not-returned", "Its return status is none of return_statuses.", self._place)
            return
        by_sale: dict[str | None, list[Record]] = {}
        for line in back:
            parent = named("ParentOrderId", values.text, line.get("ParentOrderId"))
            by_sale.setdefault(parent, []).append(line)
        for parent, lines in by_sale.items():
            if parent is None:
                yield Skipped("return-without-sale", "Its returned lines name no ParentOrderId.", self._place)
                continue
            amount = _total(lines)
            if not new and len(by_sale) == 1:  # then the header is the refund, fees of the return taken off
                header = named("OrderTotal", values.amount, self._record.get("OrderTotal"))
                amount = abs(header) if header else amount
            if amount == 0:
                yield nothing_refunded(self._place)
                continue
            fields = {
                "externalOrderId": self._whole_id(parent),
                "refundId": self._whole("OrderId"),
                "amount": amount,
                "ifKnown": None if self._customer() else True,
            }
            yield make(Refund, {**fields, **self._common()}, self._place, self._site)

    def _undone(self) -> Item:
        """All of what the order earned, given back, if it earned anything before it was undone."""
        whole = self._whole("OrderId")
        fields = {"externalOrderId": whole, "refundId": f"{whole}-undone", "ifKnown": True}
        return make(Refund, fields, self._place, self._site)

    def _common(self) -> dict[str, Any]:
        return {
            "currency": self._text("CurrencyCode"),
            "businessDate": named("BusinessDate", values.day, self._record.get("BusinessDate")),
        }

    def _fulfilled(self, new: Sequence[Record], back: Sequence[Record]) -> bool:
        """Whether all of it has one earning status. Cancelled lines raise the header's maximum: then its lines say."""
        found = self._statuses(self._record, "FulfillmentStatusId")
        if back or (len(found) > 1 and found & self._options.cancelled_statuses):
            found = set().union(*(self._statuses(line, "FulfillmentStatusId") for line in new))
        return len(found) == 1 and found <= self._options.earning_statuses

    def _paid(self, back: Sequence[Record]) -> bool:
        """Whether every payment that counts is settled. An exchange that gave money back is settled as refunded."""
        found = [inner(self._record, "PaymentStatus", "StatusId")]
        payments = [payment for payment in listed(self._record.get("Payment")) if isinstance(payment, Mapping)]
        found += [inner(payment, "Status", "StatusId") for payment in payments if not _flag(payment, "IsCancelled")]
        spelled = {_status("payment status", value) for value in found} - {None}
        settled = self._options.paid_statuses | (self._options.refunded_statuses if back else frozenset())
        return bool(spelled) and spelled <= settled

    def _customer(self) -> dict[str, str]:
        found: dict[str, str] = {}
        somebody = self._options.somebody
        keys = (somebody(self._text(key)) for key in self._options.customer_keys)
        if (key := next(filter(None, keys), None)) is not None:
            found["externalId"] = key
        if (email := somebody(self._text("CustomerEmail"))) is not None:
            found["email"] = email
        return found

    def _statuses(self, record: Record, name: str) -> set[str]:
        found = {_status(bound + name, record.get(bound + name)) for bound in ("Min", "Max")}
        return {status for status in found if status is not None}

    def _text(self, field: str) -> str | None:
        return named(field, values.text, self._record.get(field))

    def _whole(self, field: str) -> str:
        return self._whole_id(self._text(field) or "")

    def _whole_id(self, order_id: str) -> str:
        org = f"{self._text('OrgId')}-" if self._options.with_org else ""
        return f"{self._options.id_prefix}{org}{order_id}"


def _flag(record: Record, field: str) -> bool:
    return named(field, values.flag, record.get(field))


def _total(lines: Sequence[Record]) -> Decimal:
    """What lines come to; a returned line is written with a minus, or without."""
    amounts = (named("OrderLineTotal", values.needed_amount, line.get("OrderLineTotal")) for line in lines)
    return sum((abs(amount) for amount in amounts), Decimal(0))


def _status(field: str, value: Any) -> str | None:
    """A status as the options spell it: `5000.000` is `5000`, `5000.100` is `5000.1`."""
    status = named(field, values.text, str(value) if isinstance(value, Decimal) else value)
    if status is not None and "." in status:
        status = status.rstrip("0").rstrip(".")
    return status


ADAPTER = Adapter(
    name="manhattan",
    title="Manhattan Active Omni",
    read=read,
    media=("application/json",),
    suffixes=(".json",),
    covers=Coverage(orders="order", returns="returned lines, exchanges"),
    validated="public samples: one cancelled order, illustrative; the rest is hand-made from documentation",
    options=ManhattanOptions,
)
