"""SAP S/4HANA: answers of the OData v2 services (JSON), the POS inbound IDoc WPUBON (XML); the first byte tells which.

**Sales.** One kind of document earns (`award`), for a till's receipt and what SAP makes of it share no number. The
billing document F2 earns (`award = "billing"`), the sales order when it is complete and nothing of it was rejected
(`award = "order"`), or the receipt; where no purchase is in both, receipts may earn beside the others (`both_earn`).
Billing document and order never do: whichever earns, the sale has the sales order's number, so that a second document
of one order is the same sale, or a conflict that is seen, and a return, which names the order, finds it. A billing
document names its order only in its items, as SalesDocument (its ReferenceSDDocument is the delivery); several orders
on one invoice are several sales, shared by the items. Where one order is billed in several parts, set
`award = "order"`: an order earns once.

**Amounts.** `basis = "gross"`: an invoice's TotalGrossAmount, which must be net plus tax. Orders, returns and credit
memo requests know only the net; their tax is with the items (TaxAmount, or price elements of category D). Where it is
not in the document nothing is sent, since a return without tax would give back too little. `basis = "net"` counts all
without tax. Sub-items of zero change nothing: totals count, not lines.

**Returns.** A customer return refers to the order (category C) or an invoice (M), a credit memo request to them or to
the return (H). The walk goes through the documents that are here; a list of several services' answers is one document.
Both give the same money back and are one refund, with the return's number (`refund` may name one kind alone).

**Customers** are keyed by the customer's number (SoldToParty), without leading zeros like every number;
`anonymous_customers` are accounts of walk-in customers. **Products** become a catalog. Records that only say something
about a document that is not here (partners, prices, steps) are skipped, and say so.

**Receipts** (WPUBON): see `receipts`. Dates are `/Date(ms)/`, `/Date(ms+0000)/`, with escaped slashes or not, or ISO;
nothing is `null` or `""`; a list that was not expanded is `__deferred`, or an address.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO

from agent.adapters import json_documents, sniffing
from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, guarded
from agent.adapters.sap import masterdata, receipts, refunds, sales
from agent.adapters.sap.dossier import HEADS, Dossier, Entry, goes_on, number, sorted_out
from agent.adapters.sap.options import SapOptions

_READERS: Mapping[str, Callable[[Entry, Dossier], Iterable[Item]]] = {
    "SalesOrder": sales.of_order,
    "BillingDocument": sales.of_billing,
    "CustomerReturn": refunds.of_return,
    "CreditMemoRequest": refunds.of_return,
    "partner": masterdata.of_partner,
    "customer": masterdata.of_customer,
}


def read(source: BinaryIO, options: SapOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    first, source = sniffing.begun(source)
    if sniffing.is_xml(first):
        yield from receipts.read(source, options, site)
        return
    value = json_documents.load(source, site.max_whole_bytes)
    dossier = sorted_out(value, options, site)
    for entry in dossier.entries:
        yield from _items(entry, dossier)
    yield from masterdata.of_products(dossier)
    if goes_on(value):
        yield json_documents.MORE_PAGES


def _items(entry: Entry, dossier: Dossier) -> list[Item]:
    if entry.kind == "product":
        return []  # all of them are one catalog
    if entry.kind not in _READERS:
        return _unsent(entry, dossier)
    return guarded(entry.place, lambda: _READERS[entry.kind](entry, dossier))


def _unsent(entry: Entry, dossier: Dossier) -> list[Item]:
    """Why a record is nothing alone; an item whose document is here was asked with it."""
    if entry.kind == "unknown":
        reason = f"It is {entry.words or 'no document of SAP that this adapter knows'}."
        return [Skipped("not-a-record", reason, entry.place, fault=True)]
    if entry.kind == "item":
        head = next(name for name in HEADS if name in entry.record)
        try:
            if (head, number(entry.record, head) or "") in dossier.heads:
                return []
        except ValueError:
            pass
    reason = f"It is {entry.words}, and alone nothing is sent for it. Send the whole, read with $expand."
    return [Skipped("fragment", reason, entry.place)]


ADAPTER = Adapter(
    name="sap",
    title="SAP S/4HANA",
    read=read,
    media=("application/json", "application/xml", "text/xml"),
    suffixes=(".json", ".xml"),
    covers=Coverage(
        orders="billing document, sales order, WPUBON receipt",
        returns="customer return, credit memo request, WPUBON receipt",
        customers="business partner, customer",
        products="product master",
    ),
    validated=(
        "public samples: OData answers of a test system and of SAP's sandbox; hand-made from documentation: the IDoc, "
        "the product master, a partner's e-mail address, invoices and returns together with their items"
    ),
    options=SapOptions,
    streams=True,
)
