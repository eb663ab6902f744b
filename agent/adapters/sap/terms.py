"""What sales and refunds of SAP have in common: whose, how much, where, and whether a document is settled."""

from collections.abc import Sequence
from decimal import Decimal

from agent.adapters import values
from agent.adapters.base import NotSentError, named
from agent.adapters.json_documents import Record
from agent.adapters.sap.dossier import amount, expanded, number, shown
from agent.adapters.sap.options import SapOptions

CENT = Decimal("0.01")
_TAX = "D"  # of a price element: it is a tax


def customer_of(record: Record, options: SapOptions) -> str | None:
    """The customer's number; None for nobody in particular."""
    return options.somebody(number(record, "SoldToParty"))


def member_key(customer: str, options: SapOptions) -> str:
    """The external id by which Flash knows a customer."""
    return f"{options.customer_prefix}{customer}"


def needed_amount(record: Record, name: str) -> Decimal:
    """An amount that must be there; raises ValueError naming the field."""
    return named(name, values.needed_amount, record.get(name))


def total_of(record: Record, items: Sequence[Record], options: SapOptions) -> Decimal:
    """A document's total on the basis that earns, where its header knows only the net: tax stands with the items."""
    net = needed_amount(record, "TotalNetAmount")
    return net if options.basis == "net" else net + sum(map(tax_of, _some(items)))


def item_total(item: Record, options: SapOptions) -> Decimal:
    """An item's share of the total, on the basis that earns. GrossAmount is not asked: it may be zero."""
    net = needed_amount(item, "NetAmount")
    return net if options.basis == "net" else net + tax_of(item)


def tax_of(item: Record) -> Decimal:
    """An item's tax: its TaxAmount, else the sum of its price elements that are taxes; a sub-item of zero has none."""
    if (tax := amount(item, "TaxAmount")) is not None:
        return tax
    elements = expanded(item, "to_PricingElement")
    if not elements and amount(item, "NetAmount") == 0:
        return Decimal(0)
    if not elements:
        raise _tax_unknown()
    taxes = [element for element in elements if element.get("ConditionCategory") == _TAX and _counts(element)]
    return sum((needed_amount(element, "ConditionAmount") for element in taxes), Decimal(0))


def _counts(element: Record) -> bool:
    """Whether a price element is part of the price: an inactive one has a reason, a statistical one a mark."""
    inactive = named("ConditionInactiveReason", values.text, element.get("ConditionInactiveReason"))
    return inactive is None and not named(
        "ConditionIsForStatistics", values.flag, element.get("ConditionIsForStatistics")
    )


def _some(items: Sequence[Record]) -> Sequence[Record]:
    if not items:
        raise _tax_unknown()
    return items


def _tax_unknown() -> NotSentError:
    reason = (
        "Its total is without tax, and what was sold earned with tax. Read it with its items "
        "($expand=to_Item, for returns to_Item/to_PricingElement), or set basis = net, so that all counts without."
    )
    return NotSentError("tax-unknown", reason, fault=True)


def check_settled(record: Record, options: SapOptions) -> None:
    """Raise NotSentError where a document is still in work, or (partly) rejected."""
    status = _status(record, "OverallSDProcessStatus", options.complete_statuses)
    if status not in options.complete_statuses:
        raise NotSentError("not-complete", f"It is not complete: OverallSDProcessStatus is {shown(status)}.")
    rejection = _status(record, "OverallSDDocumentRejectionSts", options.rejection_statuses)
    if rejection not in options.rejection_statuses:
        reason = f"It was rejected in part or whole: OverallSDDocumentRejectionSts is {shown(rejection)}."
        raise NotSentError("rejected", reason)


def _status(record: Record, name: str, wanted: frozenset[str]) -> str:
    """A status; raises NotSentError where there is none and none is not wanted."""
    status = named(name, values.text, record.get(name)) or ""
    if not status and not wanted & {""}:
        reason = f"It says no {name}, so that it is unknown whether it counts. Read it with that field."
        raise NotSentError("status-unknown", reason, fault=True)
    return status


def store_codes(record: Record, items: Sequence[Record], plant: str) -> list[str | None]:
    """What may name the store: the plant of all items, the sales office, the sales organization."""
    plants = {named(plant, values.text, item.get(plant)) for item in items}
    codes = [plants.pop()] if len(plants) == 1 else []
    return codes + [named(name, values.text, record.get(name)) for name in ("SalesOffice", "SalesOrganization")]


def currency_of(record: Record) -> str | None:
    """The document's currency."""
    return named("TransactionCurrency", values.text, record.get("TransactionCurrency"))
