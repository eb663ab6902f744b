"""Which transaction it is: of a document and of a link, the same id for the same transaction. Pure.

Sequence numbers begin anew for each store, business day and workstation, so that only all four make an id. What a till
leaves out decides how it is done: a till that writes no BusinessDayDate is known by its TransactionID, in documents and
in links alike; one that writes neither by the date of its times.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from agent.adapters import values
from agent.adapters.base import named
from agent.adapters.poslog.options import PoslogOptions, fields_of
from agent.adapters.xml_documents import attribute, children, content

_TIMES = ("BeginDateTime", "EndDateTime", "ReceiptDateTime", "POSLogDateTime")
_ELEMENTS: Mapping[str, str] = {
    "store": "RetailStoreID or BusinessUnit/UnitID",
    "business_date": "BusinessDayDate",
    "workstation": "WorkstationID",
    "sequence": "SequenceNumber",
    "transaction_id": "TransactionID",
}
MAX_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Identity:
    """What a transaction or a link says of itself; None where it says nothing. `date_of_times` is the calendar's."""

    store: str | None
    business_date: str | None
    workstation: str | None
    sequence: str | None
    transaction_id: str | None
    date_of_times: str | None

    def dated(self) -> "Identity":
        """This one with the date of its times as business date, where it has none."""
        return replace(self, business_date=self.business_date or self.date_of_times)

    def place(self, number: int) -> str:
        """Words that lead a person to it; `number` is its place in the document, from 1."""
        if self.sequence is None:
            return f"transaction number {number} of the document"
        day = self.business_date or self.date_of_times
        words = [f"transaction {_shown(self.sequence)}{f' of {day}' if day else ''}"]
        words += [f"workstation {_shown(self.workstation)}"] if self.workstation else []
        words += [f"store {_shown(self.store)}"] if self.store else []
        return ", ".join(words)


def identity_of(element: Element) -> Identity:
    """What a Transaction or a TransactionLink says; raises ValueError where its business date is none."""
    return Identity(
        store=_store(element),
        business_date=named("BusinessDayDate", values.day, content(element, "BusinessDayDate")),
        workstation=content(element, "WorkstationID"),
        sequence=values.without_leading_zeros(content(element, "SequenceNumber")),
        transaction_id=content(element, "TransactionID"),
        date_of_times=next(filter(None, (_date(content(element, name)) for name in _TIMES)), None),
    )


@dataclass(frozen=True, slots=True)
class Naming:
    """The id of a document's own transaction, and how it was made, which the links in it follow."""

    order_id: str
    by_transaction_id: bool
    own: Identity
    options: PoslogOptions

    def of_link(self, link: Element, *, same_day: bool = False) -> str:
        """The id that the linked transaction's own document gave; raises ValueError where the link says too little.

        A link without a store means this one's; with `same_day`, one without a date this one's day.
        """
        linked, prefix = identity_of(link), self.options.id_prefix
        if self.by_transaction_id:
            if linked.transaction_id:
                return prefix + linked.transaction_id
            raise ValueError("TransactionLink has no TransactionID, by which this till's sales are known")
        linked = replace(linked, store=linked.store or self.own.store).dated()
        if same_day:
            linked = replace(linked, business_date=linked.business_date or self.own.dated().business_date)
        if composed := _composed(linked, self.options):
            return composed
        mend = '; as it has a TransactionID, set order_id = "{transaction_id}"' if linked.transaction_id else ""
        missing = _missing(linked, self.options)
        raise ValueError(f"TransactionLink has no {missing}, which the sale's id is made of{mend}")


def naming_of(own: Identity, options: PoslogOptions) -> Naming:
    """The id of a document's own transaction; raises ValueError where it lacks what makes one."""
    if composed := _composed(own, options):
        return Naming(composed, False, own, options)
    if own.transaction_id:
        return Naming(options.id_prefix + own.transaction_id, True, own, options)
    if composed := _composed(own.dated(), options):
        return Naming(composed, False, own, options)
    raise ValueError(f"{_missing(own, options)} must be there, or a TransactionID, for an order's id is made of it")


def _composed(identity: Identity, options: PoslogOptions) -> str | None:
    parts = {name: getattr(identity, name) for name in fields_of(options.order_id)}
    return options.id_prefix + options.order_id.format_map(parts) if all(parts.values()) else None


def _missing(identity: Identity, options: PoslogOptions) -> str:
    names = [name for name in fields_of(options.order_id) if not getattr(identity, name)]
    return " and ".join(_ELEMENTS[name] for name in names)


def _store(element: Element) -> str | None:
    units = [unit for business in children(element, "BusinessUnit") for unit in children(business, "UnitID")]
    units.sort(key=lambda unit: attribute(unit, "TypeCode") != "RetailStore")
    return content(element, "RetailStoreID") or next(filter(None, map(content, units)), None)


def _date(spelled: str | None) -> str | None:
    try:
        return values.day(spelled)
    except ValueError:
        return None  # a time is the last resort of an id, and not worth a sale


def _shown(number: str) -> str:
    return "".join(filter(str.isprintable, number))[:MAX_SHOWN_CHARS]
