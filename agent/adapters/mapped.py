"""Rows and records whose columns a site has mapped: each becomes one document, or a reason why not.

Shared by `csv` and `jsonl`, which read the files; `mapping.py` says what can be declared. A template with an empty
column is empty as a whole: `S1-` would be one id for every receipt without a number.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from agent.adapters import values
from agent.adapters.base import Canonical, Item, Site, Skipped, make, present
from agent.adapters.mapped_fields import CUSTOMER, NEEDED, ROWS
from agent.adapters.mapping import Fixed, KindFrom, Mapped, Source, columns_of, pieces_of
from agent.adapters.spelling import Spelling
from agent.masterdata import ENTITIES, Catalog, Member, Store
from agent.model import Enrollment, Refund, Sale

ROWS_AT_ONCE = 200
Look = Callable[[str], Any]
Somebody = Callable[[str | None], str | None]  # `CustomerOptions.somebody`
_MODELS: Mapping[str, type[Canonical]] = {
    "sale": Sale,
    "refund": Refund,
    "enrollment": Enrollment,
    "member": Member,
    "store": Store,
}


class CatalogRow(NamedTuple):
    """A row of a catalog; several go into one document."""

    entity: str
    fields: dict[str, Any]
    line: int


class Plan:
    """One mapping, ready to read rows with. `look` gives a row's value of a column, None where it has none."""

    def __init__(self, mapping: Mapped, site: Site, somebody: Somebody) -> None:
        self._site = site
        self._kind = _kind_reader(mapping)
        self._where = [(column, frozenset(taken)) for column, taken in mapping.only_where.items()]
        self._words_of_where = "; ".join(f"{name}: {', '.join(taken)}" for name, taken in mapping.only_where.items())
        self._source = mapping.source
        self._fields = {
            kind: [
                _Field(name, source, mapping.spelling, somebody if name in CUSTOMER else None)
                for name, source in table.items()
            ]
            for kind, table in mapping.tables.items()
        }

    def takes(self, look: Look) -> bool:
        """Whether the row is one of those that the mapping is for (`only_where`)."""
        return all(_word(look(column)) in taken for column, taken in self._where)

    def item(self, look: Look, line: int) -> Item | CatalogRow:
        """What a row comes to."""
        place = f"line {line}"
        try:
            if not self.takes(look):
                return Skipped("not-taken", f"Only rows with these values are taken: {self._words_of_where}.", place)
            kind = self._kind(look)
            if kind is None:
                return Skipped("no-kind", "Its column for the kind holds a value that stands for none.", place)
            found = {field.name: field.read(look) for field in self._fields[kind]}
        except ValueError as error:
            return Skipped("unsound", f"It could not be sent: {error}.", place, fault=True)
        fields = present(found)
        if absent := self._absent(kind, fields):
            return Skipped("unsound", f"It could not be sent: {absent}.", place, fault=True)
        if kind in ROWS:
            return CatalogRow(ROWS[kind], _nested(fields), line)
        return self._judged(kind, fields, place)

    def _absent(self, kind: str, fields: Mapping[str, Any]) -> str:
        """What is needed and empty, with the columns that it should have come from."""
        needs = NEEDED.get(kind, ())
        needed = {field.name: field for field in self._fields[kind] if field.name in needs}
        return "; ".join(f"{name} {field.origin}is empty" for name, field in needed.items() if name not in fields)

    def _judged(self, kind: str, fields: dict[str, Any], place: str) -> Item:
        nested = _nested(fields)
        sold_at: tuple[str | None, ...] = ()
        if kind == "sale":
            if "customer" not in nested:
                return Skipped("no-customer", "The sale names no customer.", place)
            sold_at = (nested.pop("storeId", None),)
        if kind == "refund":
            if "externalOrderId" not in nested:
                return Skipped("return-without-sale", "The return does not say which sale it is of.", place)
            if nested.get("amount") == 0:
                return Skipped("nothing-refunded", "Its amount is zero: nothing was given back.", place)
            if nested.pop("customer", None) is None:
                nested["ifKnown"] = True  # its sale may have been anonymous
        if kind == "enrollment" and not nested.get("marketingConsent"):
            nested.pop("marketingConsent", None)  # only a yes is ever sent
            nested.pop("marketingConsentAt", None)
        return make(_MODELS[kind], nested, place, self._site, sold_at=sold_at)

    def gathered(self, found: Iterable[Item | CatalogRow]) -> Iterator[Item]:
        """The items, with rows of a catalog gathered into documents of `ROWS_AT_ONCE` rows at most."""
        rows: list[CatalogRow] = []
        for item in found:
            if isinstance(item, CatalogRow):
                rows.append(item)
                if len(rows) == ROWS_AT_ONCE:
                    yield self._catalog(rows)
                    rows = []
                continue
            if rows and not isinstance(item, Skipped):
                yield self._catalog(rows)
                rows = []
            yield item
        if rows:
            yield self._catalog(rows)

    def _catalog(self, rows: list[CatalogRow]) -> Item:
        by_entity = {name: [row.fields for row in rows if row.entity == name] for name in ENTITIES}
        fields = {"source": self._source, **{name: found for name, found in by_entity.items() if found}}
        first, last = rows[0].line, rows[-1].line
        return make(Catalog, fields, f"line {first}" if first == last else f"lines {first} to {last}", self._site)


class _Field:
    """One field, and how it is read from a row."""

    def __init__(self, name: str, source: Source, spelling: Spelling, somebody: Somebody | None) -> None:
        self.name = name
        columns = columns_of(source)
        self.origin = f"({', '.join(columns)}) " if columns else ""
        self._raw = _raw_reader(source)
        self._convert = _converter(name, spelling)
        self._somebody = somebody

    def read(self, look: Look) -> Any:
        """The value, None where there is none; raises ValueError naming the field and its columns."""
        try:
            return self._convert(self._raw(look if self._somebody is None else _customers_of(look, self._somebody)))
        except ValueError as error:
            raise ValueError(f"{self.name} {self.origin}{error}") from None


def _customers_of(look: Look, somebody: Somebody) -> Look:
    """A row's columns where they name a customer: those that name nobody in particular are empty."""
    return lambda column: somebody(values.text(look(column)))


def _raw_reader(source: Source) -> Callable[[Look], Any]:
    if isinstance(source, Fixed):
        value = source.value
        return lambda _: value
    pieces = pieces_of(source)
    if len(pieces) == 1:
        return lambda look: look(source)

    def filled(look: Look) -> str | None:
        parts = [values.text(look(piece)) if number % 2 else piece for number, piece in enumerate(pieces)]
        return None if None in parts else "".join(part for part in parts if part is not None)

    return filled


def _converter(name: str, spelling: Spelling) -> Callable[[Any], Any]:
    special: Mapping[str, Callable[[Any], Any]] = {
        "totalAmount": spelling.number,
        "amount": lambda value: _without_sign(spelling.number(value)),
        "price": spelling.number,
        "available": lambda value: _whole(spelling.number(value)),
        "businessDate": spelling.day,
        "occurredAt": spelling.moment,
        "marketingConsentAt": spelling.moment,
        "marketingConsent": values.flag,
    }
    return special.get(name, values.text)


def _without_sign(amount: Decimal | None) -> Decimal | None:
    """Money given back is written below zero by some and above it by others."""
    return None if amount is None else abs(amount)


def _whole(amount: Decimal | None) -> int | None:
    if amount is not None and amount != amount.to_integral_value():
        raise ValueError("must be a whole number")
    return None if amount is None else int(amount)


def _kind_reader(mapping: Mapped) -> Callable[[Look], str | None]:
    kind = mapping.kind
    if kind is None:
        only = next(iter(mapping.tables))
        return lambda _: only
    return _by_sign(kind, mapping.spelling) if kind.sign_of else _by_value(kind)


def _by_value(kind: KindFrom) -> Callable[[Look], str | None]:
    column, kinds = kind.column or "", kind.values
    return lambda look: kinds.get(_word(look(column)))


def _by_sign(kind: KindFrom, spelling: Spelling) -> Callable[[Look], str | None]:
    column = kind.sign_of or ""

    def by_sign(look: Look) -> str | None:
        try:
            number = spelling.number(look(column))
        except ValueError as error:
            raise ValueError(f"{column} {error}") from None
        return "refund" if number is not None and number < 0 else "sale"

    return by_sign


def _word(value: Any) -> str:
    """A value as it is compared with what a site has listed: `true`, `1`, `PAID`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value).strip()


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`customer.email` as an email in a customer."""
    nested: dict[str, Any] = {}
    for name, value in fields.items():
        *outer, last = name.split(".")
        inner = nested
        for step in outer:
            inner = inner.setdefault(step, {})
        inner[last] = value
    return nested
