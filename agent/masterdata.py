"""Master data as frozen models: members in bulk, stores, and the rows of a product catalog.

They come from an ERP's documents, a file, or `POST /v1/stores` and `/v1/catalogs`, and go upstream as they are. A
catalog's rows are kept as they came: Flash judges them one by one, and a bad one never aborts the rest.
"""

from decimal import Decimal
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from agent.fields import Id, Metadata, Text
from agent.model import Document, Enrollment

# In the order in which a row finds what it refers to.
ENTITIES = ("brands", "categories", "products", "variants", "inventory")
MAX_EXPONENT = 30
_MEASURE: int = 10**MAX_EXPONENT


def _is_within_measure(value: Any) -> bool:
    """Whether any JSON reader can take its numbers: one that cannot refuses the body, and with it all other rows."""
    if isinstance(value, dict):
        return all(map(_is_within_measure, value.values()))
    if isinstance(value, list):
        return all(map(_is_within_measure, value))
    if isinstance(value, int):
        return abs(value) < _MEASURE
    return not isinstance(value, Decimal) or abs(value.adjusted()) < MAX_EXPONENT


class Member(Enrollment, defer_build=True):
    """A customer of another system. Only pushed where the site has switched the push of its member master on."""

    @field_validator("marketing_consent")
    @classmethod
    def _consent_stays_off(cls, consent: bool | None) -> bool | None:
        if consent is not None:
            raise ValueError("must be left out: a consent is given to a person, not found in a document")
        return consent


class Store(Document, defer_build=True):
    """A store of the chain, keyed by the chain's own code of it."""

    external_id: Id
    name: Text
    city: Text | None = None
    metadata: Metadata = Field(default_factory=dict)


class Catalog(Document, defer_build=True):
    """Rows of a product catalog, from one source system; the source and a row's own id are its key."""

    source: Id
    brands: list[Any] = Field(default_factory=list)
    categories: list[Any] = Field(default_factory=list)
    products: list[Any] = Field(default_factory=list)
    variants: list[Any] = Field(default_factory=list)
    inventory: list[Any] = Field(default_factory=list)
    metadata: Metadata = Field(default_factory=dict)

    @field_validator(*ENTITIES)
    @classmethod
    def _within_measure(cls, rows: list[Any]) -> list[Any]:
        for number, row in enumerate(rows):
            if not _is_within_measure(row):
                raise ValueError(f"must have numbers below 1E+{MAX_EXPONENT}; row {number} has another")
        return rows

    @model_validator(mode="after")
    def _has_rows(self) -> Self:
        if not any(getattr(self, entity) for entity in ENTITIES):
            raise ValueError(f"needs rows of {', '.join(ENTITIES[:-1])} or {ENTITIES[-1]}")
        return self
