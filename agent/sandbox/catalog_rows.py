"""The rows of a catalogue import: their fields, what identifies them, and what they refer to.

The envelope is strict (`source`, lists where lists are meant); rows are judged one by one by whoever imports
them.
"""

from abc import ABC, abstractmethod
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from agent.sandbox.documents import Amount, Document, Exact, Identifier, Name

Reference = tuple[str, str, str]
"""Field name, entity referred to, external id."""


def _whole_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole JSON number")  # noqa: TRY004 - pydantic reports only ValueError
    return value


class Import(Exact):
    source: Identifier
    brands: list[Any] = Field(default_factory=list)
    categories: list[Any] = Field(default_factory=list)
    products: list[Any] = Field(default_factory=list)
    variants: list[Any] = Field(default_factory=list)
    inventory: list[Any] = Field(default_factory=list)


class CatalogRow(Document, ABC):
    """A row; fields that are not named here are kept and read back as they came."""

    model_config = ConfigDict(extra="allow")

    @abstractmethod
    def key(self) -> tuple[str, ...]: ...

    def references(self) -> list[Reference]:
        return []


class _Keyed(CatalogRow):
    external_id: Identifier

    def key(self) -> tuple[str, ...]:
        return (self.external_id,)


class BrandRow(_Keyed):
    name: Name


class CategoryRow(_Keyed):
    name: Name


class ProductRow(_Keyed):
    title: Name
    brand_external_id: Identifier | None = None
    category_external_id: Identifier | None = None
    description_html: str | None = None
    content: list[Any] = Field(default_factory=list)

    def references(self) -> list[Reference]:
        named = (
            ("brandExternalId", "brands", self.brand_external_id),
            ("categoryExternalId", "categories", self.category_external_id),
        )
        return [(field, entity, value) for field, entity, value in named if value is not None]


class ContentRow(_Keyed):
    content_type: Name
    body: str
    product_external_id: Identifier | None = None


class VariantRow(_Keyed):
    product_external_id: Identifier
    sku: Identifier
    price: Amount | None = None

    def references(self) -> list[Reference]:
        return [("productExternalId", "products", self.product_external_id)]


class InventoryRow(CatalogRow):
    variant_sku: Identifier
    location_ref: Identifier
    available: Annotated[int, BeforeValidator(_whole_number)]

    def key(self) -> tuple[str, ...]:
        return (self.variant_sku, self.location_ref)

    def references(self) -> list[Reference]:
        return [("variantSku", "variants", self.variant_sku)]
