"""Customer returns and credit memo requests as refunds of the sales order that they go back to.

A return and the credit memo request for it give the same money back: they are one refund, under the return's number.
Where only one of the two kinds counts (`refund`), each has its own number, and a return may be credited in parts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from agent.adapters import values
from agent.adapters.base import Item, NotSentError, Skipped, make, named, nothing_refunded
from agent.adapters.json_documents import Record
from agent.adapters.sap import terms
from agent.adapters.sap.dossier import Dossier, Entry, amount, number, shown
from agent.adapters.sap.options import SapOptions
from agent.adapters.sap.sales import orders_in
from agent.model import Refund

# Of a reference: what it refers to, by SAP's document category.
ORDER, RETURN, INVOICE = "C", "H", "M"
_DATES: Mapping[str, str] = {"CustomerReturn": "CustomerReturnDate", "CreditMemoRequest": "CreditMemoRequestDate"}
_KINDS: Mapping[str, str] = {"CustomerReturn": "return", "CreditMemoRequest": "credit"}
_NO_SALE = "It refers to no sales order, so that it is unknown which sale is given back."
_NO_ITEMS = (
    "It refers to no sales order itself, and its items, which may, are not in it. Read it with $expand=to_Item "
    "(in OData v4: _Item)."
)
Reference = tuple[str, str]  # number and category


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a reference leads: the sales order, and the return on the way, if there is one."""

    order: str
    passed: str | None = None


def of_return(entry: Entry, dossier: Dossier) -> Iterator[Item]:
    """The refunds of a customer return or a credit memo request: one for each order that it goes back to."""
    record, head, options = entry.record, entry.kind, dossier.options
    if options.award == "receipts":
        raise options.other_kind("Tills' receipts earn here, and their returns take back (award = receipts).")
    if options.refund not in {"either", _KINDS[head]}:
        other = "credit memo request" if options.refund == "credit" else "customer return"
        raise NotSentError("not-the-refunding-kind", f"The {other} takes the points back (refund = {options.refund}).")
    terms.check_settled(record, options)
    own = number(record, head)
    if own is None:
        raise ValueError(f"{head} is missing")
    items = dossier.items_of(head, record)
    parts = _parts(record, items)
    origins = {reference: _origin(reference, dossier, own, head) for reference in parts if reference is not None}
    if None in parts and not items:
        raise NotSentError("items-not-here", _NO_ITEMS, fault=True)
    if None in parts:
        reason = _NO_SALE if not origins else f"Of some of its items this holds: {_NO_SALE}"
        yield Skipped("return-without-sale", reason, entry.place)
    for order in dict.fromkeys(origin.order for origin in origins.values()):
        theirs = [reference for reference, origin in origins.items() if origin.order == order]
        total = terms.total_of(record, items, options) if len(parts) == 1 else _sum(theirs, parts, options)
        passed = own if options.refund != "either" else _passed(origins.values(), order, own)
        several = len({origin.order for origin in origins.values()}) > 1
        refund_id = f"{passed}-{order}" if several else passed
        yield _refund(entry, dossier, order, refund_id, total)


def _passed(origins: Iterable[_Origin], order: str, own: str) -> str:
    """The number of the return that leads to the order, so that its credit is the same refund; else its own."""
    return next((origin.passed for origin in origins if origin.order == order and origin.passed), own)


def _refund(entry: Entry, dossier: Dossier, order: str, refund_id: str, total: Decimal) -> Item:
    if total == 0:
        return nothing_refunded(entry.place)
    date, prefix = _DATES[entry.kind], dossier.options.id_prefix
    fields = {
        "externalOrderId": f"{prefix}{order}",
        "refundId": f"{prefix}{refund_id}",
        "currency": terms.currency_of(entry.record),
        "amount": total,
        "businessDate": named(date, values.day, entry.record.get(date)),
        "ifKnown": True if terms.customer_of(entry.record, dossier.options) is None else None,
    }
    return make(Refund, fields, entry.place, dossier.site)


def _parts(record: Record, items: Sequence[Record]) -> dict[Reference | None, list[Record]]:
    """The items by what they refer to; None: nothing. The header's reference counts where no item has one.

    A sub-item of zero need not refer to anything: nothing is given back for it.
    """
    of_header, category = _reference(record, ""), _category(record)
    found: dict[Reference | None, list[Record]] = {}
    for item in items:
        reference = _reference(item, category)
        if reference is not None or amount(item, "NetAmount") != 0:
            found.setdefault(reference, []).append(item)
    return found if found and set(found) != {None} else {of_header: list(items)}


def _reference(record: Record, category: str) -> Reference | None:
    """What a header or an item refers to; `category` is the header's, for items that do not say theirs."""
    referred = number(record, "ReferenceSDDocument")
    return None if referred is None else (referred, _category(record) or category)


def _category(record: Record) -> str:
    return named("ReferenceSDDocumentCategory", values.text, record.get("ReferenceSDDocumentCategory")) or ""


def _sum(
    references: Sequence[Reference], parts: Mapping[Reference | None, list[Record]], options: SapOptions
) -> Decimal:
    return sum((terms.item_total(item, options) for each in references for item in parts[each]), Decimal(0))


def _origin(reference: Reference, dossier: Dossier, own: str, head: str) -> _Origin:
    """Walk a reference to its sales order, through the documents that are here; raises NotSentError where it ends."""
    referred, category = reference
    if category == ORDER:
        return _Origin(referred)
    if category == INVOICE:
        return _Origin(_billed_order(referred, dossier))
    if category != RETURN or (head == "CustomerReturn" and referred == own):
        reason = "It refers to a document that is neither a sales order nor a return nor an invoice."
        raise NotSentError("reference-unknown", reason, fault=True)
    returned = dossier.heads.get(("CustomerReturn", referred))
    if returned is None:
        reason = (
            f"It credits customer return {shown(referred)}, and only that one names the sales order. Put both into one "
            "document: a list of the two services' answers."
        )
        raise NotSentError("return-not-here", reason, fault=True)
    parts = _parts(returned, dossier.items_of("CustomerReturn", returned))
    onward = [part for part in parts if part is not None and part[1] != RETURN]
    if len(onward) != 1:
        reason = f"Customer return {shown(referred)} goes back to no order or to several: what is credited is unknown."
        raise NotSentError("return-without-sale" if not onward else "shares-unknown", reason, fault=True)
    return _Origin(_origin(onward[0], dossier, own, head).order, passed=referred)


def _billed_order(invoice: str, dossier: Dossier) -> str:
    record = dossier.heads.get(("BillingDocument", invoice))
    found = orders_in(dossier.items_of("BillingDocument", record)) if record is not None else {}
    if len(found) != 1:
        reason = (
            f"It refers to billing document {shown(invoice)}, and only the items of that one name the sales order. Put "
            "both into one document, the billing document with $expand=to_Item; it must bill one order alone."
        )
        raise NotSentError("invoice-not-here", reason, fault=True)
    return next(iter(found))
