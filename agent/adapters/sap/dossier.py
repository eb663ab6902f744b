"""One document of SAP's OData services, sorted: the business documents in it, by number, and their items.

A document is an answer of one service (`{"d": {"results": […]}}`, `{"d": {…}}`, `{"value": […]}`), what a reader
wrapped around one (`{"message": …}`), or a list of such answers, so that a credit memo request, its return and its
invoice can lie side by side. Items are where `$expand` put them, or records of their own in the same document.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from agent.adapters import values
from agent.adapters.base import Site, named
from agent.adapters.json_documents import Record, inner, listed
from agent.adapters.sap.options import SapOptions

_ENVELOPES = ("d", "results", "message", "value")
# The business documents, by the field of their number; of each, the field that only its items have.
HEADS: Mapping[str, tuple[str, str]] = {
    "BillingDocument": ("billing document", "BillingDocumentItem"),
    "SalesOrder": ("sales order", "SalesOrderItem"),
    "CustomerReturn": ("customer return", "CustomerReturnItem"),
    "CreditMemoRequest": ("credit memo request", "CreditMemoRequestItem"),
}
# Records that say something about another one and are nothing alone, by a field that only they have.
_FRAGMENTS: Mapping[str, str] = {
    "PartnerFunction": "a partner",
    "ConditionType": "a price element",
    "ScheduleLine": "a schedule line",
    "RetsMgmtProcessStep": "a step of a return's handling",
    "BusinessPartnerRole": "a role of a business partner",
    "AddressID": "an address of a business partner",
}
_CUSTOMER_FRAGMENTS: Mapping[str, str] = {
    "SalesOrganization": "a customer's sales area",
    "CompanyCode": "a customer's company code",
}

# What OData v4 calls the lists that v2's services have.
_LISTS_OF_V4: Mapping[str, str] = {
    "to_Item": "_Item",
    "to_PricingElement": "_PricingElement",
    "to_Description": "_ProductDescription",
}

_MASTER_DATA = (
    ("BusinessPartner", "partner", "business partner"),
    ("Customer", "customer", "customer"),
    ("Product", "product", "product"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record and what it is.

    `kind` is a field of HEADS, `item`, `partner`, `customer`, `product`, `fragment` or `unknown`; `words` say what an
    item, a fragment or an unknown record is.
    """

    kind: str
    record: Record
    place: str
    words: str = ""


@dataclass
class Dossier:
    """All that one document holds, and how the site is set. `invoiced` remembers what an order was billed by."""

    options: SapOptions
    site: Site
    entries: list[Entry] = field(default_factory=list)
    heads: dict[tuple[str, str], Record] = field(default_factory=dict)
    loose: dict[tuple[str, str], list[Record]] = field(default_factory=dict)
    invoiced: dict[str, str] = field(default_factory=dict)

    def items_of(self, head: str, record: Record) -> list[Record]:
        """The items of a business document: expanded in it, else those that lie beside it; empty: none are here.

        Rejected items are left out, as they are in the document's total.
        """
        items = expanded(record, "to_Item") or self.loose.get((head, number(record, head) or ""), [])
        return [item for item in items if item.get("SalesDocumentRjcnReason") in (None, "")]


def sorted_out(value: Any, options: SapOptions, site: Site) -> Dossier:
    """A document's records, each told what it is."""
    dossier = Dossier(options, site)
    for position, found in enumerate(_opened(value), 1):
        entry = _entry(found, position)
        dossier.entries.append(entry)
        head = next((name for name in HEADS if name in entry.record), "")
        if entry.kind in HEADS and (own := _number_or_none(entry.record, head)):
            dossier.heads.setdefault((head, own), entry.record)
        if entry.kind == "item" and (own := _number_or_none(entry.record, head)):
            dossier.loose.setdefault((head, own), []).append(entry.record)
    return dossier


def _opened(value: Any) -> Iterator[Any]:
    """The records in whatever is wrapped around them."""
    if isinstance(value, list):
        for each in value:
            yield from _opened(each)
        return
    if isinstance(value, Mapping):
        for name in _ENVELOPES:
            if isinstance(value.get(name), Mapping | list):
                yield from _opened(value[name])
                return
    yield value


def goes_on(value: Any) -> bool:
    """Whether an answer says that it is one page of several."""
    if isinstance(value, list):
        return any(map(goes_on, value))
    return bool(inner(value, "d", "__next") or inner(value, "@odata.nextLink"))


def _entry(found: Any, position: int) -> Entry:
    if not isinstance(found, Mapping):
        return Entry("unknown", {}, f"record {position}", "no object")
    head = next((name for name in HEADS if name in found), None)
    fragment = next((words for name, words in _FRAGMENTS.items() if name in found), "")
    if head is None:
        return _master_data(found, f"record {position}", fragment)
    words, item_field = HEADS[head]
    own = _number_or_none(found, head)
    place = f"{words} {own}" if own and shown(own) == own else f"record {position}, {words}"
    if fragment:
        return Entry("fragment", found, place, f"{fragment} of a {words}")
    return Entry("item", found, place, f"an item of a {words}") if item_field in found else Entry(head, found, place)


def _master_data(found: Record, place: str, fragment: str) -> Entry:
    """What a record is that is no business document; its place tells no number of a customer."""
    if "Customer" in found and "BusinessPartner" not in found and not fragment:
        fragment = next((words for name, words in _CUSTOMER_FRAGMENTS.items() if name in found), "")
    if fragment:
        return Entry("fragment", found, place, fragment)
    for name, kind, words in _MASTER_DATA:
        if name in found:
            return Entry(kind, found, f"{place}, {words}")
    return Entry("unknown", found, place, "an error that SAP answered" if "error" in found else "")


def expanded(record: Record, name: str) -> list[Record]:
    """The objects of a list that belongs to a record; empty where it was not expanded and is only an address.

    `name` is v2's; a record of v4 has its own.
    """
    found = record.get(name, record.get(_LISTS_OF_V4.get(name, name)))
    if not isinstance(found, Mapping | list):
        return []
    return [each for each in listed(found) if isinstance(each, Mapping)]


def number(record: Record, name: str) -> str | None:
    """A number of SAP's without leading zeros; raises ValueError naming the field."""
    return values.without_leading_zeros(named(name, values.text, record.get(name)))


def shown(found: str) -> str:
    """A number as it may stand in a reason: what does not look like one stays out of it."""
    return found if values.may_be_shown(found) else "?"


def amount(record: Record, name: str) -> Decimal | None:
    """An amount; raises ValueError naming the field."""
    return named(name, values.amount, record.get(name))


def _number_or_none(record: Record, name: str) -> str | None:
    try:
        return number(record, name)
    except ValueError:
        return None
