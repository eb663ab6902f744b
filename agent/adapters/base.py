"""The contract of an adapter: bytes of another system in, canonical documents out, and nothing else touched.

    read(source, options, site) → Found(Sale | Refund | Enrollment | Member | Store | Catalog) or Skipped(reason), …

An adapter is pure: the same bytes, options and site give the same items, in the document's order. It is total: whatever
the bytes are, each thing in them ends as `Found` or as `Skipped` with a reason that a person understands, and a
document never ends in silence. It validates what it makes (`make`), so that what it finds is what a register could have
posted. Ids are whole: they are unique in the tenant as they stand, and no template of the till is applied to them.

Every adapter is held to this by one suite, `tests/adapters/test_conformance.py`.
"""

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.adapters import values
from agent.errors import AgentError
from agent.masterdata import Catalog, Member, Store
from agent.model import Document, Enrollment, Refund, Sale, faults_of

Canonical = Sale | Refund | Enrollment | Member | Store | Catalog
MAX_WHOLE_BYTES = 64 * 1024 * 1024  # in a process of its own, as an import's is
T = TypeVar("T")
V = TypeVar("V")
D = TypeVar("D", bound=Sale | Refund | Enrollment | Member | Store | Catalog)
_CURRENCY = re.compile(r"[A-Z]{3}")  # what is none is not repeated: the model says that it is none
# The words of XML and JSON parsers may quote the document: they are never passed on.


@dataclass(frozen=True, slots=True)
class Found:
    """One canonical document.

    `place` says where it was found, in words that lead a person there ("transaction 92 of 2001-08-13, store 5"),
    without personal data. `key` is the upstream Idempotency-Key, where the platforms have agreed on one; None:
    the agent's own.
    """

    document: Canonical
    place: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"<Found {type(self.document).__name__} at {self.place}>"


@dataclass(frozen=True, slots=True)
class Skipped:
    """What is not sent, and why. `code` is stable; `reason` is for people and repeats no personal data.

    `fault` tells what a person must mend (it cannot be read, a value is unsound) from what needs nobody (a training
    transaction, a sale without a customer). `store` is the code that no setting knows, of an `unknown-store`.
    """

    code: str
    reason: str
    place: str
    fault: bool = False
    store: str = ""


Item = Found | Skipped


class Options(BaseModel):
    """What a site may set about one system, `[adapters.NAME]`. Subclasses give every setting a documented default."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class CustomerOptions(Options):
    """Options of an adapter that finds customers.

    `anonymous_customers`: numbers, cards and e-mail addresses, as the other system spells them, under which nobody in
    particular buys: walk-in customers, a cashier's card, a store's own address. One member would earn on all of it.
    """

    anonymous_customers: frozenset[str] = frozenset()

    def somebody(self, spelled: str | None) -> str | None:
        """A customer's number or e-mail address; None for a placeholder, a mask, and one of `anonymous_customers`."""
        if spelled is None or values.names_nobody(spelled):
            return None
        nobody = {_compared(each) for each in self.anonymous_customers}
        return None if _compared(spelled) in nobody else spelled


def _compared(spelled: str) -> str | None:
    return values.without_leading_zeros(spelled.strip().casefold())


@dataclass(frozen=True, slots=True)
class Site:
    """What every adapter must know of the site.

    `currency` is the till's; `currencies` are those whose amounts may be sent, the till's among them. `stores` maps the
    other system's store code to Flash's store id. `others_are_own`: whether a code that is not among them stands for
    the till's own store; else what was sold there is not sent. `max_whole_bytes`: the largest document that an adapter
    may hold in memory.
    """

    currency: str
    currencies: frozenset[str] = frozenset()
    stores: Mapping[str, str] = field(default_factory=dict)
    others_are_own: bool = False
    max_whole_bytes: int = MAX_WHOLE_BYTES

    def store_id(self, codes: Sequence[str | None]) -> str | None:
        """Flash's id of a store by the first of its codes that `stores` has; None where it has none of them."""
        return next((self.stores[code] for code in codes if code is not None and code in self.stores), None)


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an adapter takes, for the table in the README: what it is called there, or "" where it is not taken."""

    orders: str = ""
    returns: str = ""
    customers: str = ""
    products: str = ""
    stores: str = ""


@dataclass(frozen=True)
class Adapter:
    """One system's adapter. `read` may raise UnreadableError, and nothing else, at any point.

    `validated` says what it was held against: "public samples", "documentation" or "hand-made", and what is missing.
    `streams`: it reads as it goes and may be given a file of any size; else the whole document is held in memory.
    """

    name: str
    title: str
    read: Callable[[BinaryIO, Any, Site], Iterator[Item]]
    media: tuple[str, ...]
    suffixes: tuple[str, ...]
    covers: Coverage
    validated: str
    options: type[Options] = Options
    streams: bool = False

    def items(self, source: BinaryIO, options: Options, site: Site) -> Iterator[Item]:
        """Every item of a document, as it is read; the last one says so where the document cannot be read on."""
        empty = True
        try:
            for item in self.read(source, options, site):
                empty = False
                yield item
        except UnreadableError as error:
            empty = False
            yield Skipped(error.code, str(error), error.place, fault=True)
        if empty:
            yield Skipped("nothing-in-it", f"There is nothing in it that {self.title} would send.", "document")

    def parse(self, document: bytes, options: Options, site: Site) -> list[Item]:
        """Every item of a document."""
        return list(self.items(io.BytesIO(document), options, site))


ANOTHER_SYSTEMS = " Is it empty, or of a system that another adapter reads?"  # of what is wrong from its beginning


class UnreadableError(AgentError):
    """The document, or the rest of it, cannot be read. `place` says from where; the text repeats nothing of it."""

    code = "unreadable"

    def __init__(self, reason: str, place: str = "document", code: str = "unreadable") -> None:
        super().__init__(reason)
        self.place = place
        self.code = code


class NotSentError(AgentError):
    """Why nothing is sent of one record: what its `Skipped` will say (`guarded`)."""

    def __init__(self, code: str, reason: str, *, fault: bool = False) -> None:
        super().__init__(reason)
        self.code = code
        self.fault = fault


def present(fields: Mapping[str, V]) -> dict[str, V]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def make(
    model: type[D],
    fields: Mapping[str, Any],
    place: str,
    site: Site,
    *,
    key: str | None = None,
    sold_at: Sequence[str | None] = (),
) -> Item:
    """A canonical document from its fields, named as the local API names them; fields that are None are left out.

    `sold_at`: the codes by which the other system names the store of a sale, the one that counts most first.
    A currency that says that there is none (XXX) is left out too: then the till's is meant.
    `Skipped`, as a fault, where a register would have been refused, the currency is not one that may be sent, or the
    site knows none of the store's codes.
    """
    given = present(fields)
    if str(given.get("currency")) in values.NO_CURRENCIES:
        del given["currency"]
    currency = given.get("currency")
    if _CURRENCY.fullmatch(str(currency)) and currency not in site.currencies | {site.currency}:
        reason = (
            f"The amount is in {currency}, and points are earned in {site.currency}. If Flash counts {currency} as it "
            f"stands, add it to [documents] currencies."
        )
        return Skipped("foreign-currency", reason, place, fault=True)
    store_id = site.store_id(sold_at)
    try:
        document = model.model_validate(given | present({"storeId": store_id}), context={"currency": site.currency})
    except ValidationError as error:
        faults = "; ".join(f"{fault.field} {fault.message}".strip() for fault in faults_of(error))
        return Skipped("unsound", f"It could not be sent: {faults}.", place, fault=True)
    if store_id is None and any(sold_at) and not site.others_are_own:
        return _of_unknown_store([code for code in sold_at if code], place)
    return Found(document, place, key)


def _of_unknown_store(codes: Sequence[str], place: str) -> Skipped:
    """To take the till's own for it would credit one store with what another sold, and nobody would see it."""
    shown = [code if values.store_may_be_shown(code) else "?" for code in dict.fromkeys(codes)]
    others = f" (or {', '.join(shown[1:])})" if shown[1:] else ""
    reason = (
        f'It was sold in store {shown[0]}{others}, which is not in [documents.stores]: add "{shown[0]}" = "st_…", with '
        f"Flash's id of it, the till's own too. Where every code that is not there is the till's own store, set "
        f'[documents] unknown_stores = "own".'
    )
    return Skipped("unknown-store", reason, place, fault=True, store=shown[0])


def named(field: str, read: Callable[[Any], T], value: Any) -> T:
    """`read(value)`; raises ValueError whose words begin with the field's name, as the other system spells it."""
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"{field} {error}") from None


def guarded(place: str, items: Callable[[], Iterable[Item]]) -> list[Item]:
    """The items of one record: all, or one `Skipped` in their stead where a value of the record is unsound.

    `items` may raise ValueError with words for people (`named`), which repeat nothing of the record, or NotSentError.
    """
    try:
        return list(items())
    except NotSentError as error:
        return [Skipped(error.code, str(error), place, fault=error.fault)]
    except ValueError as error:
        return [Skipped("unsound", f"It could not be sent: {error}.", place, fault=True)]


class AwardOptions(CustomerOptions):
    """Options of a system that tells of one purchase in two kinds of documents, which share no number.

    With both taken a purchase would earn twice, under two ids. So one kind earns: subclasses have `award`. With
    `both_earn` the other does, too: the site says that no purchase is in both.
    """

    both_earn: bool = False

    def other_kind(self, reason: str) -> NotSentError:
        """Why a document of the other kind is not sent: a fault, until the site itself has chosen which kind earns."""
        return NotSentError("not-the-awarding-kind", reason, fault="award" not in self.model_fields_set)


def nobody_in_particular(place: str) -> Skipped:
    """That a customer's record is one of `anonymous_customers`, and becomes no member."""
    return Skipped("anonymous", "It is one of anonymous_customers: nobody in particular, and no member.", place)


def nothing_refunded(place: str) -> Skipped:
    """That a return gave no money back, so that no points are taken back."""
    return Skipped("nothing-refunded", "No money went back with it.", place)


def documents_of(items: Iterable[Item]) -> list[Document]:
    """The canonical documents among items; for tests and reports."""
    return [item.document for item in items if isinstance(item, Found)]
