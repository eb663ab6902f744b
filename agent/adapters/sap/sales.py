"""Billing documents and sales orders as sales. Both are the sale of the sales order, under its number."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from agent.adapters import values
from agent.adapters.base import Item, NotSentError, Skipped, make, named
from agent.adapters.json_documents import Record
from agent.adapters.sap import terms
from agent.adapters.sap.dossier import Dossier, Entry, amount, number, shown
from agent.adapters.sap.options import SapOptions
from agent.model import Sale

_EARNS: Mapping[str, str] = {
    "billing": "billing document earns (award = billing)",
    "order": "order earns (award = order)",
    "receipts": "tills' receipts earn (award = receipts)",
}


def of_order(entry: Entry, dossier: Dossier) -> Iterator[Item]:
    """The sale of a sales order that is complete."""
    options, site = dossier.options, dossier.site
    if options.award != "order":
        raise NotSentError("not-the-awarding-kind", f"The {_EARNS[options.award]}, not the order.")
    record = entry.record
    terms.check_settled(record, options)
    customer = _needed_customer(record, options)
    items = dossier.items_of("SalesOrder", record)
    fields = {
        "externalOrderId": _order_id(_needed_number(record, "SalesOrder"), options),
        "customer": {"externalId": terms.member_key(customer, options)},
        "currency": terms.currency_of(record),
        "totalAmount": terms.total_of(record, items, options),
        "businessDate": named("SalesOrderDate", values.day, record.get("SalesOrderDate")),
    }
    yield make(Sale, fields, entry.place, site, sold_at=terms.store_codes(record, items, "ProductionPlant"))


def of_billing(entry: Entry, dossier: Dossier) -> Iterator[Item]:
    """The sale of an invoice, or one for each of the orders that it bills."""
    options, site = dossier.options, dossier.site
    if options.award != "billing":
        raise NotSentError("not-the-awarding-kind", f"The {_EARNS[options.award]}, not the billing document.")
    record = entry.record
    _check_invoice(record, options)
    customer = _needed_customer(record, options)
    items = dossier.items_of("BillingDocument", record)
    for order, total in _orders(record, items, options).items():
        if reason := _billed_before(order, _needed_number(record, "BillingDocument"), dossier):
            yield Skipped("second-invoice", reason, entry.place, fault=True)
            continue
        fields = {
            "externalOrderId": _order_id(order, options),
            "customer": {"externalId": terms.member_key(customer, options)},
            "currency": terms.currency_of(record),
            "totalAmount": total,
            "businessDate": named("BillingDocumentDate", values.day, record.get("BillingDocumentDate")),
        }
        yield make(Sale, fields, entry.place, site, sold_at=terms.store_codes(record, items, "Plant"))


def _check_invoice(record: Record, options: SapOptions) -> None:
    """Raise NotSentError where a billing document is no invoice that stands."""
    kind = named("BillingDocumentType", values.text, record.get("BillingDocumentType"))
    category = named("SDDocumentCategory", values.text, record.get("SDDocumentCategory"))
    if category == "N" or named("CancelledBillingDocument", values.text, record.get("CancelledBillingDocument")):
        reason = (
            "It cancels an invoice. If that one has earned and is not billed anew, refund its order by hand; "
            "an order that is billed anew has its points."
        )
        raise NotSentError("invoice-cancellation", reason, fault=True)
    if category in {"O", "S"}:
        raise NotSentError("credit-memo", "Its customer return or credit memo request takes the points back.")
    if kind not in options.invoice_types:
        raise NotSentError("not-an-invoice", "Its BillingDocumentType is none of invoice_types.")
    if named("BillingDocumentIsCancelled", values.flag, record.get("BillingDocumentIsCancelled")):
        raise NotSentError("cancelled", "The billing document was cancelled.")


def invoice_total(record: Record, options: SapOptions) -> Decimal:
    """What an invoice is about; raises ValueError where its three totals contradict each other."""
    net = terms.needed_amount(record, "TotalNetAmount")
    if options.basis == "net":
        return net
    gross, tax = amount(record, "TotalGrossAmount"), amount(record, "TaxAmount")
    if gross is None:
        return net + terms.needed_amount(record, "TaxAmount")
    if tax is not None and abs(net + tax - gross) > terms.CENT:
        raise ValueError("TotalGrossAmount is not TotalNetAmount plus TaxAmount")
    return gross


def orders_in(items: Sequence[Record]) -> dict[str, list[Record]]:
    """An invoice's items by their sales order. ReferenceSDDocument is not asked: it is the delivery."""
    found: dict[str, list[Record]] = {}
    for item in items:
        if order := number(item, "SalesDocument"):
            found.setdefault(order, []).append(item)
    return found


def _orders(record: Record, items: Sequence[Record], options: SapOptions) -> dict[str, Decimal]:
    """What each order is billed; the header's total where it is one."""
    total = invoice_total(record, options)
    found = orders_in(items)
    if not found:
        reason = (
            "Only the items of a billing document name the sales order, whose number the sale has and a return asks "
            "for, and they are not in it. Read it with $expand=to_Item."
        )
        raise NotSentError("order-unknown", reason, fault=True)
    if len(found) == 1:
        return dict.fromkeys(found, total)
    shares = {order: sum((terms.item_total(each, options) for each in of), Decimal(0)) for order, of in found.items()}
    if abs(sum(shares.values()) - total) > terms.CENT:
        reason = "It bills several orders, and what its items come to is not its total: the shares are unknown."
        raise NotSentError("shares-unknown", reason, fault=True)
    return shares


def _billed_before(order: str, invoice: str, dossier: Dossier) -> str:
    """Why a second invoice of one order is not sent, for an order counts once, with one amount; empty for its first."""
    if dossier.invoiced.setdefault(order, invoice) == invoice:
        return ""
    return (
        f"Another billing document bills sales order {shown(order)} too, and an order earns once. Where orders are "
        "billed in several parts, set award = order."
    )


def _needed_customer(record: Record, options: SapOptions) -> str:
    customer = terms.customer_of(record, options)
    if customer is None:
        raise NotSentError("no-customer", "It names no customer, or an account of walk-in customers.")
    return customer


def _needed_number(record: Record, name: str) -> str:
    found = number(record, name)
    if found is None:
        raise ValueError(f"{name} is missing")
    return found


def _order_id(order: str, options: SapOptions) -> str:
    return f"{options.id_prefix}{order}"
