"""What a site declares about its CSV or JSON Lines: which column is which field. Checked at the start, fault by fault.

[adapters.csv.mappings.receipts]
kind = { column = "Type", values = { S = "sale", R = "refund" } }   # needed where there are several tables
only_where = { Status = ["PAID", "CLOSED"] }
[adapters.csv.mappings.receipts.sale]
externalOrderId = "{Store}-{Receipt}"      # a template
totalAmount = "Total"                      # a column
currency = { value = "EUR" }               # always the same
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from agent.adapters.base import CustomerOptions
from agent.adapters.mapped_fields import CUSTOMER, FIELDS, NEEDED, ROWS
from agent.adapters.spelling import Spelling

_HOLE = re.compile(r"\{([^{}]+)\}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Fixed(_Part):
    """A value that no column holds."""

    value: str


def _one_of_the_kinds(kind: str) -> str:
    if kind not in FIELDS:
        raise ValueError(f"must be one of {', '.join(FIELDS)}")
    return kind


class KindFrom(_Part):
    """What a row is, by a column: its value, or whether its number is below zero."""

    column: str | None = None
    values: dict[str, Annotated[str, AfterValidator(_one_of_the_kinds)]] = Field(default_factory=dict)
    sign_of: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.sign_of is None) == (self.column is None) or bool(self.values) == (self.column is None):
            raise ValueError('must be { column = "Type", values = { S = "sale" } } or { sign_of = "Total" }')
        return self

    @property
    def kinds(self) -> set[str]:
        """What it may come to."""
        return set(self.values.values()) or {"sale", "refund"}


def _read_source(given: Any) -> Any:
    """A column, a template or a fixed value; raises ValueError with the three ways to write one."""
    if isinstance(given, dict) and given.keys() == {"value"} and isinstance(given["value"], str):
        return Fixed(value=given["value"])
    if isinstance(given, str):
        rest = _HOLE.sub("", given)
        if given.strip() and "{" not in rest and "}" not in rest:
            return given
    if isinstance(given, Fixed):
        return given
    raise ValueError('must be a column, a template such as "{Store}-{Receipt}", or { value = "…" }')


def _flat(table: Any) -> Any:
    """TOML reads `customer.email = "Mail"` as a table in the table; here it is one name."""
    if not isinstance(table, dict):
        return table
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict) and value.keys() != {"value"}:
            flat |= {f"{name}.{inner}": source for inner, source in value.items()}
        else:
            flat[name] = value
    return flat


Source = Annotated[str | Fixed, BeforeValidator(_read_source)]
Table = dict[str, Source]


def _strptime_format(form: str) -> str:
    if form and "%" not in form:
        raise ValueError("must be written as strptime has it, such as %d.%m.%Y")
    return form


class Mapped(_Part):
    """One mapping: how the rows of one kind of file become documents."""

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ".", ",", "'", " "] = ""
    date_format: Annotated[str, AfterValidator(_strptime_format)] = ""
    time_format: Annotated[str, AfterValidator(_strptime_format)] = ""
    kind: KindFrom | None = None
    only_where: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    source: str | None = None
    sale: Table | None = None
    refund: Table | None = None
    enrollment: Table | None = None
    member: Table | None = None
    store: Table | None = None
    brand: Table | None = None
    category: Table | None = None
    product: Table | None = None
    variant: Table | None = None
    inventory: Table | None = None

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        unknown = sorted(set(given) - set(cls.model_fields)) if isinstance(given, dict) else []
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is unknown; there are: {', '.join(cls.model_fields)}")
        if not isinstance(given, dict):
            return given
        return {name: _flat(table) if name in FIELDS else table for name, table in given.items()}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        faults = list(self._faults())
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        tables = self.tables
        if not tables:
            yield f"needs a table of fields: one of {', '.join(FIELDS)}"
        if self.kind is None and len(tables) > 1:
            yield f"kind must say which rows are {' and which '.join(tables)}"
        if self.kind is not None and self.kind.kinds != set(tables):
            yield f"kind and the tables must name the same: {', '.join(sorted(self.kind.kinds))}; {', '.join(tables)}"
        if self.source is None and set(tables) & set(ROWS):
            yield "source must name the system whose catalog it is; it is part of every row's key"
        if self.decimal == self.thousands:
            yield "decimal and thousands must differ"
        for kind, table in tables.items():
            yield from _table_faults(kind, table)

    @property
    def tables(self) -> dict[str, Table]:
        """The fields of each kind that it makes, in a fixed order."""
        return {kind: table for kind in FIELDS if (table := getattr(self, kind)) is not None}

    @property
    def spelling(self) -> Spelling:
        return Spelling(self.decimal, self.thousands, self.date_format, self.time_format)

    def used_columns(self) -> list[str]:
        """Every column that it names, once."""
        named = [*self.only_where]
        if self.kind is not None:
            named += [column for column in (self.kind.column, self.kind.sign_of) if column]
        for table in self.tables.values():
            for source in table.values():
                named += columns_of(source)
        return list(dict.fromkeys(named))


def _table_faults(kind: str, table: Table) -> Iterator[str]:
    known = FIELDS[kind]
    if kind not in ROWS:
        for field in table:
            if field not in known:
                yield f"{kind}: {field} is unknown; there are: {', '.join(known)}"
    needed = ("externalOrderId", "refundId") if kind == "refund" else NEEDED.get(kind, ())
    missing = [field for field in needed if field not in table]
    if missing:
        yield f"{kind}: {', '.join(missing)} must be mapped"
    if kind == "sale" and not set(CUSTOMER) & set(table):
        yield f"sale: one of {', '.join(CUSTOMER)} must be mapped"
    if kind in {"enrollment", "member"} and not {"externalId", "email"} & set(table):
        yield f"{kind}: externalId or email must be mapped"


def columns_of(source: Source) -> list[str]:
    """The columns that a value is made from."""
    if isinstance(source, Fixed):
        return []
    return _HOLE.findall(source) or [source]


def pieces_of(template: str) -> list[str]:
    """A template as texts and columns in turn, beginning with a text."""
    return _HOLE.split(template)


def _single(mark: str) -> str:
    if len(mark) != 1 or mark in '"\r\n':
        raise ValueError('must be a single character, such as ";" or "\\t"')
    return mark


class CsvMapped(Mapped):
    """A mapping of a CSV file. `columns` names those of a file that has no header line."""

    encoding: str = "utf-8-sig"
    delimiter: Annotated[str, AfterValidator(_single)] = ","
    columns: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _readable(self) -> Self:
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError):
            raise ValueError("encoding must be one that Python knows, such as utf-8-sig, cp1252 or utf-16") from None
        if self.columns and (absent := [name for name in self.used_columns() if name not in self.columns]):
            raise ValueError(f"columns does not hold {', '.join(absent)}")
        return self

    @property
    def codec(self) -> str:
        """The encoding to read with; a byte order mark is no part of the first column's name."""
        return "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding


class CsvOptions(CustomerOptions):
    """`mappings` by a name of the site's own; a file is read by the first whose columns it has."""

    mappings: dict[str, CsvMapped] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        _need_one(self.mappings, "csv", "column")
        return self


class JsonlOptions(CustomerOptions):
    """`mappings` by a name of the site's own; a line is read by the first whose `only_where` it meets."""

    mappings: dict[str, Mapped] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_one(self) -> Self:
        _need_one(self.mappings, "jsonl", "field")
        return self


def _need_one(mappings: Mapping[str, Mapped], name: str, part: str) -> None:
    if not mappings:
        raise ValueError(f"say in [adapters.{name}.mappings.NAME] which {part} is which: docs/adapters/{name}.md")
