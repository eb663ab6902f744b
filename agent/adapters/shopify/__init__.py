"""Shopify: orders, refunds, customers and products, as REST, webhooks and the GraphQL Admin API have them.

An order earns on its original `total_price` once it is paid, and its refunds are taken back one by one: never on
`current_total_price`, which has lost the refunds already. Its id upstream is `shopify-order:<number>`, and the award's
key is the one that the platforms agreed on, `shopify-order:gid://shopify/Order/<number>`.

Traps, and what is done about each (the modules say more):
- A refund comes by webhook, in the list of refunds and inside its order: it has one id, so it counts once.
- What was paid back is the transactions' sum, but they are in the customer's currency: see `refunds.py`.
- A test order looks like any other; `test` may sit on the transaction alone.
- A fully refunded or cancelled order earns nothing, but may have earned: its refunds still go, `ifKnown`.
- A privacy webhook (`customers/redact`) has a `customer` in it, who must not be made a member of.

Options: `native_connector`, `customer_key`, `customer_prefix`, `anonymous_customers`, `stock_location`.
"""

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, ClassVar, Literal

from agent.adapters import json_documents
from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, guarded
from agent.adapters.channels import ChannelOptions, not_a_document
from agent.adapters.json_documents import Record
from agent.adapters.shopify.customers import member
from agent.adapters.shopify.orders import order_items
from agent.adapters.shopify.products import catalog
from agent.adapters.shopify.refunds import refund_items
from agent.adapters.shopify.shapes import goes_on, place_of, records


class ShopifyOptions(ChannelOptions):
    """`[adapters.shopify]`.

    `customer_key`: by what a buyer is found in Flash: `email`, or `id`, then Shopify's customer number is the external
    id, with `customer_prefix` before it, and the e-mail stands beside it.
    `stock_location`: the place at which stock is counted where Shopify gives only a total of all places.
    """

    adapter: ClassVar[str] = "shopify"
    system: ClassVar[str] = "Shopify"

    customer_key: Literal["email", "id"] = "email"
    customer_prefix: str = "shopify-"
    stock_location: str = "shopify"


def read(source: BinaryIO, options: ShopifyOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    value = json_documents.load(source, site.max_whole_bytes)
    if failed := not_a_document(value, "Shopify"):
        yield failed
        return
    products: list[Record] = []
    for number, kind, record in records(value):
        place = place_of(kind, record, number)
        if kind == "product":
            products.append(record)
        else:
            yield from guarded(place, partial(_items, kind, record, place, options, site))
    if products:
        yield from catalog(products, options.stock_location, site)
    if goes_on(value):
        yield json_documents.MORE_PAGES


def _items(kind: str, record: Record, place: str, options: ShopifyOptions, site: Site) -> Iterator[Item]:
    if kind == "order":
        yield from order_items(record, place, options, site)
    elif kind == "refund":
        yield from refund_items(record, place, site)
    elif kind == "customer":
        yield member(record, place, options, site)
    elif kind == "privacy":
        reason = (
            "It is a privacy request, and nothing is imported from it. Do in Flash what it asks for, and forget the "
            "member here with flash-agent members forget."
        )
        yield Skipped("privacy-request", reason, place, fault=True)
    else:
        reason = "It is neither an order, a refund, a customer nor a product."
        yield Skipped("unknown-record", reason, place, fault=True)


ADAPTER = Adapter(
    name="shopify",
    title="Shopify",
    read=read,
    media=("application/json",),
    suffixes=(".json",),
    covers=Coverage("order (REST, webhook, GraphQL)", "refund", "customer", "product, variant, stock"),
    validated="public samples: REST order, refunds, customer, product; webhook refunds. GraphQL: documentation",
    options=ShopifyOptions,
)
