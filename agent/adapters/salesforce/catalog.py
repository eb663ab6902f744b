"""Product2 and PricebookEntry as rows of one catalog.

A product is a row and, where it has a SKU, the one variant that is sold; a variation is a variant of its parent, and a
parent a row alone. A row's key is the record's id, and the SKU where the document has none. A price comes from a price
book entry in the site's currency, and needs its product in the same document, for a row goes up whole. Where the
entries of a product differ, the standard price book's counts, else the site must choose one.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from html import escape
from typing import Any

from agent.adapters import values
from agent.adapters.base import Item, Site, Skipped, guarded, make, named, present
from agent.adapters.json_documents import Record, inner, listed
from agent.adapters.salesforce.ids import id18
from agent.adapters.salesforce.options import SalesforceOptions
from agent.adapters.salesforce.shapes import Entry, children, record_id, reference, text
from agent.masterdata import Catalog

Row = dict[str, Any]
PRICES = (("prices", "unitPrice"), ("prices", "listPrice"))


class CatalogRows:
    """Collects the rows of one document."""

    def __init__(self, options: SalesforceOptions, site: Site) -> None:
        self._options = options
        self._site = site
        self._categories: dict[str, Row] = {}
        self._products: dict[str, Row] = {}
        self._variants: dict[str, Row] = {}
        self._prices: dict[str, list[tuple[bool, Decimal]]] = {}

    def add(self, entry: Entry) -> list[Item]:
        """Take one record in; the items say why where it was not."""
        add = self._add_product if entry.kind == "Product2" else self._add_price
        return guarded(entry.place, partial(add, entry.record, entry.place))

    def items(self) -> Iterator[Item]:
        """The catalog, if there is anything in it, and what its prices lack."""
        for key, prices in self._prices.items():
            standard = {price for is_standard, price in prices if is_standard}
            chosen = standard or {price for _, price in prices}
            if len(chosen) > 1:
                reason = "It has several prices and is sent without one; choose a price book with price_book."
                yield Skipped("several-prices", reason, f"product {key}", fault=True)
                continue
            if key not in self._variants:
                reason = "There is a price and no product with a SKU to go with it; send both in one document."
                yield Skipped("price-without-product", reason, f"product {key}", fault=True)
                continue
            self._variants[key]["price"] = chosen.pop()
        rows = {"categories": self._categories, "products": self._products, "variants": self._variants}
        found = {name: list(each.values()) for name, each in rows.items() if each}
        if found:
            fields = {"source": self._options.catalog_source, **found}
            yield make(Catalog, fields, f"catalog of {len(self._products)} products", self._site)

    def _add_product(self, record: Record, place: str) -> Iterable[Item]:
        sku = text(record, "StockKeepingUnit") or text(record, "ProductCode")
        key = record_id(record) or sku
        if key is None:
            return [Skipped("no-id", "It has neither an Id nor a StockKeepingUnit.", place, fault=True)]
        if record.get("IsActive") is False:
            return [Skipped("inactive", "It is not active.", place)]
        category = _category(record)
        description, family = text(record, "Description"), text(record, "ProductClass") or text(record, "productClass")
        parent, title = _parent(record), text(record, "Name")
        if title is None:
            raise ValueError("Name is missing; add it to the query")
        product = {
            "externalId": key,
            "title": title,
            "categoryExternalId": category["externalId"] if category else None,
            "descriptionHtml": escape(description, quote=False) if description else None,
        }
        prices = (named(".".join(path), values.amount, inner(record, *path)) for path in PRICES)
        price = next((found for found in prices if found is not None), None)
        variant = {"externalId": key, "productExternalId": parent or key, "sku": sku, "price": price}
        if category is not None:
            self._categories[category["externalId"]] = category
        if parent is None:
            self._products[key] = present(product)
        if family != "VariationParent" and sku is not None:
            self._variants[key] = present(variant)
        found: list[Item] = []
        for each in children(record, "PricebookEntries"):
            found += self._add_price({"Product2Id": key, **each}, place)
        return found

    def _add_price(self, record: Record, place: str) -> Iterable[Item]:
        key = reference(record, "Product2Id")
        if key is None:
            return [Skipped("no-id", "It names no product by its Id.", place, fault=True)]
        if record.get("IsActive") is False:
            return [Skipped("inactive", "It is not active.", place)]
        if not self._is_chosen(record):
            return [Skipped("other-price-book", "It is of another price book than price_book chooses.", place)]
        currency = text(record, "CurrencyIsoCode")
        if currency not in {None, self._site.currency}:
            return [Skipped("other-currency", "It is a price in another currency than the till's.", place)]
        price = named("UnitPrice", values.needed_amount, record.get("UnitPrice"))
        is_standard = inner(record, "Pricebook2", "IsStandard") is True
        self._prices.setdefault(key, []).append((is_standard, price))
        product = record.get("Product2")
        if isinstance(product, Mapping) and product.get("Name") and key not in self._products:
            return self._add_product({**product, "Id": key}, place)
        return []

    def _is_chosen(self, record: Record) -> bool:
        chosen = self._options.price_book
        if chosen is None:
            return True
        return chosen == inner(record, "Pricebook2", "Name") or (
            id18(chosen) is not None and id18(chosen) == reference(record, "Pricebook2Id")
        )


def _category(record: Record) -> Row | None:
    """The category: the last of the Commerce API's path, else the product family."""
    path = [each for each in listed(inner(record, "primaryProductCategoryPath", "path")) if isinstance(each, Mapping)]
    if path:
        key = id18(path[-1].get("id"))
        name = text(path[-1], "name")
        return {"externalId": key, "name": name} if key and name else None
    family = text(record, "Family")
    return {"externalId": family, "name": family} if family else None


def _parent(record: Record) -> str | None:
    """The product that this one is a variation of."""
    attributes = children(record, "ProductAttributes")
    parents = [id18(record.get("variationParentId")), *(reference(each, "VariantParentId") for each in attributes)]
    return next(filter(None, parents), None)
