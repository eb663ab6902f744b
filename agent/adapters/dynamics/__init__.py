"""Microsoft Dynamics 365: Customer Engagement (Dataverse) and Commerce, from the Web API's and OData's JSON.

Takes one record, a list, `{"value": […]}`, `{"d": {"results": […]}}`, and what a bridge to the SDK writes
(`{"attributes": {…}, "id": …}`). What a record is, its own key tells: salesorder → sale (`engagement`), account and
contact → member, product → catalog (`products`), RetailTransaction → sale or refund (`commerce`).
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, BinaryIO

from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, guarded
from agent.adapters.dynamics import commerce, engagement, products, shapes
from agent.adapters.dynamics.options import DynamicsOptions
from agent.adapters.json_documents import MORE_PAGES, Record, called, load, records

NUMBERS = {"order": "ordernumber", "product": "productnumber", "transaction": "TransactionNumber"}


def read(source: BinaryIO, options: DynamicsOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    value = load(source, site.max_whole_bytes)
    found = [(number, shapes.opened(record)) for number, record in records(value, shapes.ENVELOPES)]
    retail = commerce.Transactions(options, site, commerce.receipts(record for _, record in found))
    offered: list[tuple[str, Record]] = []
    for number, record in found:
        kind = shapes.kind_of(record)
        place = called(kind, record.get(NUMBERS[kind]), number) if kind in NUMBERS else f"record {number}"
        if kind == "product":
            offered.append((place, record))
        elif kind == "transaction":
            yield from guarded(place, partial(retail.items, record, place))
        else:
            yield from guarded(place, partial(_items, record, kind, place, options, site))
    yield from products.catalog(offered, options, site)
    yield from _unread(value)


def _items(record: Record, kind: str | None, place: str, options: DynamicsOptions, site: Site) -> list[Item]:
    match kind:
        case "order":
            return [engagement.sale(record, place, options, site)]
        case "contact" | "account":
            return [engagement.member(record, place, options, site)]
        case "order line" | "invoice":
            return [Skipped("not-taken", f"Orders earn by their own total; this is one {kind}.", place)]
    if "error" in record:
        reason = "It is an answer that tells of an error; ask again and send what is then answered."
        return [Skipped("error-answer", reason, place, fault=True)]
    keys = ", ".join(dict.fromkeys(key for key, _ in shapes.KINDS))
    return [Skipped("unknown-record", f"It has none of the keys that tell what it is: {keys}.", place, fault=True)]


def _unread(value: Any) -> Iterator[Item]:
    within = value.get("d", value) if isinstance(value, Mapping) else None
    if isinstance(within, Mapping) and any(within.get(name) for name in shapes.NEXT_PAGES):
        yield MORE_PAGES


ADAPTER = Adapter(
    name="dynamics",
    title="Microsoft Dynamics 365",
    read=read,
    media=("application/json",),
    suffixes=(".json",),
    covers=Coverage(
        orders="salesorder, RetailTransaction",
        returns="RetailTransaction",
        customers="account, contact",
        products="product",
    ),
    validated="public samples: one salesorder and one product; Commerce and customers are hand-made from documentation",
    options=DynamicsOptions,
)
