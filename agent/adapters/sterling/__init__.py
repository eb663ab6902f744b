"""IBM Sterling Order Management: orders and returns as XML, or as the JSON of its REST services; the first byte tells.

Taken are `Order` elements wherever they stand (a document of one, getOrderList, the outputs of several calls), and the
answers of `getOrderList`, `getOrderDetails` and `getPage`. XML is read as it comes, a file may have any size.

**Sales** (DocumentType 0001) earn PriceInfo/TotalAmount, else OverallTotals/GrandTotal, when all of the order stands at
one status that earns: MinOrderStatus = MaxOrderStatus, 3700 or below it. Statuses are dotted paths, not numbers, and a
pipeline is a site's own: `earning_statuses`, `cancelled_statuses`. An order that says neither is judged by its lines.
One of which a part was returned already stands at two statuses; `mixed_statuses_earn` counts it where both earn. Drafts
and orders on hold wait.

**Returns** (DocumentType 0003) are one refund for each sales order that a line was derived from, of the sum of those
lines' LineTotal (tax and discounts are in it), never of the header's total; `refunding_statuses` says when.

**Ids** are EnterpriseCode, DocumentType and OrderNo; a refund's adds the number of the order that it goes back to.
**Customers** are keyed by CustomerEMailID, in lower case, or BillToID: `customer_keys`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from agent.adapters import json_documents, sniffing, values
from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, guarded
from agent.adapters.json_documents import Record, inner
from agent.adapters.sterling import orders, reading
from agent.adapters.sterling.options import SterlingOptions
from agent.adapters.xml_documents import elements

_ENVELOPES = (("Output", "OrderList", "Order"), ("Output", "Order"), ("OrderList", "Order"), ("Order",))
_READERS = {orders.SALE: reading.of_sale, orders.RETURN: reading.of_return}


def read(source: BinaryIO, options: SterlingOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    first, source = sniffing.begun(source)
    if sniffing.is_xml(first):
        for number, element in enumerate(elements(source, frozenset({"Order"})), 1):
            yield from _items(number, orders.record_of(element), options, site)
        return
    value = json_documents.load(source, site.max_whole_bytes)
    if _is_empty(value):
        return
    for number, record in json_documents.records(value, _ENVELOPES):
        yield from _items(number, record, options, site)
    if any(inner(value, *path, "LastRecordSet") == "N" for path in ((), ("OrderList",), ("Output", "OrderList"))):
        yield json_documents.MORE_PAGES


def _is_empty(value: Any) -> bool:
    """Whether it is the answer of a search that found nothing."""
    totals = (inner(value, *path, "TotalOrderList") for path in ((), ("OrderList",), ("Output", "OrderList")))
    return isinstance(value, Mapping) and "Order" not in value and any(str(total) == "0" for total in totals)


def _items(number: int, order: Record, options: SterlingOptions, site: Site) -> list[Item]:
    place = f"order {number} of the document"
    try:
        kind, named_by = orders.text(order, "DocumentType"), orders.text(order, "OrderNo")
    except ValueError as error:
        return [Skipped("unsound", f"It could not be sent: {error}.", place, fault=True)]
    if named_by is not None and values.may_be_shown(named_by):
        place = f"{'return' if kind == orders.RETURN else 'order'} {named_by}"
    if kind is None:
        reason = "It has no DocumentType, so that it is unknown whether it is a sale; add it to the output template."
        return [Skipped("not-an-order", reason, place, fault=True)]
    if kind not in _READERS:
        reason = "It is neither a sales order (DocumentType 0001) nor a return (0003)."
        return [Skipped("other-document", reason, place)]
    return guarded(place, lambda: _READERS[kind](order, place, options, site))


ADAPTER = Adapter(
    name="sterling",
    title="IBM Sterling Order Management",
    read=read,
    media=("application/xml", "text/xml", "application/json"),
    suffixes=(".xml", ".json"),
    covers=Coverage(orders="order 0001", returns="order 0003, by line"),
    validated=(
        "public samples: an order and a return that one retailer's implementers wrote; hand-made from documentation: "
        "JSON answers, lists, returns of several orders, statuses of the whole order"
    ),
    options=SterlingOptions,
    streams=True,
)
