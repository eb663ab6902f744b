"""A product of Customer Engagement as rows of a catalog.

A product is a row and the one variant that is sold; a product with a parent is a variant of that parent, and a family
(productstructure 2) is a row without one. Prices are the list price on the product.
"""

from collections.abc import Iterator
from functools import partial
from html import escape
from typing import Any

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, guarded, make, named, present
from agent.adapters.dynamics import shapes
from agent.adapters.dynamics.options import DynamicsOptions
from agent.adapters.json_documents import Record
from agent.masterdata import Catalog

Rows = list[dict[str, Any]]
ACTIVE = frozenset({None, "0"})
FAMILY = "2"


def catalog(products: list[tuple[str, Record]], options: DynamicsOptions, site: Site) -> Iterator[Item]:
    """One catalog of a document's products, each with its place; an unsound one is a fault of its own."""
    rows: Rows = []
    variants: Rows = []
    for place, record in products:
        yield from guarded(place, partial(_add, record, place, rows, variants))
    if rows or variants:
        fields = {"source": options.catalog_source, "products": rows, "variants": variants}
        yield make(Catalog, fields, f"catalog of {len(rows)} products", site)


def _add(record: Record, place: str, rows: Rows, variants: Rows) -> list[Item]:
    """Add the rows of a product, all or none."""
    if shapes.text(record, "statecode") not in ACTIVE:
        return [Skipped("inactive", "It is a draft, under revision or retired.", place)]
    number = shapes.guid(record, "productid")
    parent = shapes.guid(record, "_parentproductid_value", "parentproductid")
    sku, description = shapes.text(record, "productnumber"), shapes.text(record, "description")
    title = shapes.text(record, "name") or sku
    if title is None:
        raise ValueError("name is missing")
    product = {
        "externalId": number,
        "title": title,
        "descriptionHtml": escape(description, quote=False) if description else None,
    }
    variant = {
        "externalId": number,
        "productExternalId": parent or number,
        "sku": sku,
        "price": named("price", values.amount, shapes.at(record, "price")),
    }
    family = shapes.text(record, "productstructure") == FAMILY
    if family or parent is None:
        rows.append(present(product))
    if not family and sku is not None:
        variants.append(present(variant))
    return []
