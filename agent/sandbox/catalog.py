"""The product catalogue: one import takes every entity, row by row, and a bad row never stops the rows after
it.

Rows are upserted by the external id of their system (`source`); two systems may use the same id for different
things. Entities are taken in an order in which a row finds what it refers to: brands and categories, products
with their content, variants, inventory. A row that fails is named in `errors` by entity and index and leaves
nothing behind.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from agent.sandbox import assumed
from agent.sandbox.catalog_rows import (
    BrandRow,
    CatalogRow,
    CategoryRow,
    ContentRow,
    Import,
    InventoryRow,
    ProductRow,
    VariantRow,
)
from agent.sandbox.refusals import Refusal, invalid, not_found
from agent.sandbox.wire import validate

Json = dict[str, Any]
RowKey = tuple[str, ...]

# Parents before children; `content` comes with the product that holds it.
_ENTITIES: Mapping[str, type[CatalogRow]] = {
    "brands": BrandRow,
    "categories": CategoryRow,
    "products": ProductRow,
    "content": ContentRow,
    "variants": VariantRow,
    "inventory": InventoryRow,
}
_ID_PREFIX = {"brands": "brd", "categories": "cat", "products": "prd", "content": "cnt", "variants": "var"}
# Set by Flash, or kept as rows of their own: never taken over from a row.
_OWN_FIELDS = frozenset({"id", "source", "content"})


class _Report:
    """What became of the rows of one import."""

    def __init__(self) -> None:
        self.counts = {entity: {"inserted": 0, "updated": 0} for entity in _ENTITIES}
        self.errors: list[Json] = []

    def took(self, entity: str, *, inserted: bool) -> None:
        self.counts[entity]["inserted" if inserted else "updated"] += 1

    def fault(self, entity: str, index: int, message: str, **place: int) -> None:
        self.errors.append({"entity": entity, "index": index, **place, "message": message})


class Catalog:
    def __init__(self) -> None:
        self._rows: dict[str, dict[RowKey, Json]] = {entity: {} for entity in _ENTITIES}

    def run_import(self, document: Import) -> Json:
        """Take every good row of `document`; count them per entity and name the bad ones."""
        report = _Report()
        for entity in _ENTITIES:
            for index, row in enumerate(getattr(document, entity, ())):
                self._take(document.source, entity, index, row, report)
        return assumed.import_view(report.counts, report.errors)

    def listing(self, entity: str) -> list[Json]:
        return [self._view(entity, row) for row in self._rows[entity].values()]

    def product(self, product_id: str) -> Json:
        found = next((row for row in self._rows["products"].values() if row["id"] == product_id), None)
        if found is None:
            raise not_found("PRODUCT_NOT_FOUND", "no such product")
        return self._view("products", found)

    def _take(self, source: str, entity: str, index: int, document: Any, report: _Report) -> None:
        try:
            row = validate(_ENTITIES[entity], document)
            self._check_references(source, row)
        except Refusal as refusal:
            report.fault(entity, index, refusal.message)
            return
        report.took(entity, inserted=self._upsert(source, entity, row))
        if isinstance(row, ProductRow):
            for part, content in enumerate(row.content):
                self._take_content(source, row.external_id, content, report, index=part, product_index=index)

    def _take_content(
        self, source: str, product: str, document: Any, report: _Report, *, index: int, product_index: int
    ) -> None:
        try:
            row = validate(ContentRow, document)
        except Refusal as refusal:
            report.fault("content", index, refusal.message, productIndex=product_index)
            return
        owned = row.model_copy(update={"product_external_id": product})
        report.took("content", inserted=self._upsert(source, "content", owned))

    def _check_references(self, source: str, row: CatalogRow) -> None:
        for field, entity, external_id in row.references():
            known = self._rows[entity]
            if entity == "variants":
                found = any(key[0] == source and value["sku"] == external_id for key, value in known.items())
            else:
                found = (source, external_id) in known
            if not found:
                raise invalid(field, f"names no row of {entity} from this source")

    def _upsert(self, source: str, entity: str, row: CatalogRow) -> bool:
        """Merge the fields that were sent over what is known; True when the row is new."""
        key = (source, *row.key())
        fields = row.model_dump(by_alias=True, exclude_unset=True)
        sent = {name: value for name, value in fields.items() if name not in _OWN_FIELDS}
        known = self._rows[entity].get(key)
        if known is not None:
            known.update(sent)
            return False
        prefix = _ID_PREFIX.get(entity)
        identity = {"id": f"{prefix}_{secrets.token_hex(8)}"} if prefix else {}
        self._rows[entity][key] = {**identity, "source": source, **sent}
        return True

    def _view(self, entity: str, row: Json) -> Json:
        if entity != "products":
            return dict(row)
        variants = self._children("variants", row, "productExternalId", row["externalId"])
        for variant in variants:
            variant["inventory"] = self._children("inventory", row, "variantSku", variant["sku"])
        content = self._children("content", row, "productExternalId", row["externalId"])
        return {**row, "content": content, "variants": variants}

    def _children(self, entity: str, parent: Json, field: str, value: str) -> list[Json]:
        return [
            dict(child)
            for child in self._rows[entity].values()
            if child["source"] == parent["source"] and child[field] == value
        ]
