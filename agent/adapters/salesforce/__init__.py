"""Salesforce: orders, returns, customers and products, as REST, SOQL, Connect and the Commerce API write them.

Takes one SObject, a list, `{"records": […]}`, order summary graphs, and the Commerce API's products, carts and order
summaries. Order and OrderSummary → sale (`orders`), ReturnOrder and CreditMemo → refund (`returns`), Account and
Contact → member (`people`), Product2 and PricebookEntry → catalog (`catalog`).

A sale's id is made from the id of the Order, in 18 characters, also where an OrderSummary shows it: an order and its
summary are one purchase, and a return names its order by ids alone (`links`).
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO

from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, guarded
from agent.adapters.json_documents import MORE_PAGES, load
from agent.adapters.salesforce.catalog import CatalogRows
from agent.adapters.salesforce.links import Links
from agent.adapters.salesforce.options import SalesforceOptions
from agent.adapters.salesforce.orders import Orders
from agent.adapters.salesforce.people import members
from agent.adapters.salesforce.returns import Returns
from agent.adapters.salesforce.shapes import Entry, entries, known_records

ORDERS, RETURNS = frozenset({"Order", "OrderSummary"}), frozenset({"ReturnOrder", "CreditMemo"})
PEOPLE, PRODUCTS = frozenset({"Account", "Contact"}), frozenset({"Product2", "PricebookEntry"})
TO_BE_CREATED = "It is still to be created in Salesforce, and has no Id yet; send what Salesforce made of it."
B2C_ORDER = (
    "It is an order of B2C Commerce, which is not read here: send the order summary that Order Management made of it, "
    "or, where there is no Order Management, map it with the adapter jsonl."
)
NOT_TAKEN = {
    "Cart": ("cart", "A cart is no order yet."),
    "ReturnOrderInput": ("to-be-created", TO_BE_CREATED),
}
DETAILS = ("Item", "Line", "Group", "Payment", "Adjustment", "Tax")


def read(source: BinaryIO, options: SalesforceOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    value = load(source, site.max_whole_bytes)
    found = list(entries(value))
    links = Links(known_records(found), options)
    sales, returns = Orders(options, site, links, found), Returns(options, site, links)
    rows = CatalogRows(options, site)
    for entry in found:
        if (refusal := _refusal(entry, options)) is not None:
            yield refusal
        elif entry.kind in PRODUCTS:
            yield from rows.add(entry)
        elif entry.kind in RETURNS:
            yield from guarded(entry.place, partial(returns.items, entry))
        elif entry.kind in PEOPLE:
            yield from guarded(entry.place, partial(members, entry, options, site))
        else:
            yield from guarded(entry.place, partial(sales.items, entry))
    yield from rows.items()
    if isinstance(value, Mapping) and value.get("done") is False:
        yield MORE_PAGES


def _refusal(entry: Entry, options: SalesforceOptions) -> Skipped | None:
    kind = entry.kind
    if kind is None:
        return _unknown(entry)
    if kind in NOT_TAKEN:
        return Skipped(*NOT_TAKEN[kind], entry.place)
    named_by_number = kind in ORDERS and options.order_id == "number"
    if entry.is_template and not named_by_number:
        return Skipped("to-be-created", TO_BE_CREATED, entry.place)
    if entry.record.get("IsDeleted") is True:
        return Skipped("deleted", "The record is deleted.", entry.place)
    if kind not in ORDERS | RETURNS | PEOPLE | PRODUCTS:
        is_detail = any(detail in kind for detail in DETAILS)
        reason = "It is a detail of an order, which earns by its total." if is_detail else "It is of a kind not taken."
        return Skipped("not-taken", reason, entry.place)
    return None


def _unknown(entry: Entry) -> Skipped:
    if "errorCode" in entry.record:
        reason = "It is an answer that tells of an error; ask again and send what is then answered."
        return Skipped("error-answer", reason, entry.place, fault=True)
    if any(name in entry.record for name in ("order_no", "orderNo")):
        return Skipped("b2c-order", B2C_ORDER, entry.place, fault=True)
    reason = "It does not say what it is: it has no attributes.type, and no id whose prefix is known."
    return Skipped("unknown-record", reason, entry.place, fault=True)


ADAPTER = Adapter(
    name="salesforce",
    title="Salesforce",
    read=read,
    media=("application/json",),
    suffixes=(".json",),
    covers=Coverage(
        orders="Order, OrderSummary",
        returns="ReturnOrder, CreditMemo",
        customers="Account, Contact",
        products="Product2, PricebookEntry",
    ),
    validated="public samples: products, accounts, templates; orders and returns are hand-made from documentation",
    options=SalesforceOptions,
)
