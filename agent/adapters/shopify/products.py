"""Shopify's products as catalog rows: vendor as brand, product type as category, variants, and stock.

Vendors and types have no ids in Shopify; their names are their ids. Stock is per location in GraphQL, where it was
asked for, and else one number of all locations, which is put at the site's `stock_location`.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from agent.adapters import values
from agent.adapters.base import Item, Site, guarded, make, named, present
from agent.adapters.json_documents import Record, inner, listed
from agent.adapters.shopify.shapes import id_of, place_of
from agent.masterdata import Catalog

Rows = dict[str, list[dict[str, Any]]]


def catalog(products: list[Record], stock_location: str, site: Site) -> Iterator[Item]:
    """One catalog of all products of a document; one that is unsound is a fault of its own and stops no other."""
    rows: Rows = {"brands": [], "categories": [], "products": [], "variants": [], "inventory": []}
    for number, product in enumerate(products, 1):
        yield from guarded(place_of("product", product, number), partial(_add, rows, product, stock_location))
    if count := len(rows["products"]):
        fields = {"source": "shopify", **{name: found for name, found in rows.items() if found}}
        yield make(Catalog, fields, f"catalog of {count} product{'s' * (count > 1)}", site)


def _add(rows: Rows, product: Record, stock_location: str) -> list[Item]:
    """Add a product's rows, all or none; raises ValueError naming a field that is unsound."""
    number = id_of(product, "id")
    brand = named("vendor", values.text, product.get("vendor"))
    category = named("product_type", values.text, product.get("product_type"))
    row = {
        "externalId": number,
        "title": named("title", values.text, product.get("title")),
        "descriptionHtml": named("body_html", values.text, product.get("body_html")),
        "brandExternalId": brand,
        "categoryExternalId": category,
    }
    sold = [each for each in listed(product.get("variants")) if isinstance(each, dict)]
    variants = [_variant(each, number) for each in sold]
    stock = [level for each in sold for level in _stock(each, stock_location)]
    rows["products"].append(present(row))
    rows["variants"].extend(variants)
    rows["inventory"].extend(stock)
    for entity, name in (("brands", brand), ("categories", category)):
        if name and all(known["externalId"] != name for known in rows[entity]):
            rows[entity].append({"externalId": name, "name": name})
    return []


def _variant(variant: Record, product: str) -> dict[str, Any]:
    row = {
        "externalId": id_of(variant, "id"),
        "productExternalId": product,
        "sku": named("sku", values.text, variant.get("sku")),
        "price": named("price", values.amount, variant.get("price")),
    }
    return present(row)


def _stock(variant: Record, stock_location: str) -> Iterator[dict[str, Any]]:
    """Stock by location; none of what has no SKU or is not counted. Oversold is none, not less than none."""
    sku = named("sku", values.text, variant.get("sku"))
    if sku is None:
        return
    levels = inner(variant, "inventory_item", "inventory_levels")
    for level in listed(levels):
        location = named("location", values.text, inner(level, "location", "id"))
        for counted in listed(inner(level, "quantities")):
            available = inner(counted, "quantity")
            if location and inner(counted, "name") == "available" and isinstance(available, int):
                yield {"variantSku": sku, "locationRef": location, "available": max(0, available)}
    total = variant.get("inventory_quantity")
    is_counted = variant.get("inventory_management") or inner(variant, "inventory_item", "tracked")
    if levels is None and is_counted and isinstance(total, int):
        yield {"variantSku": sku, "locationRef": stock_location, "available": max(0, total)}
