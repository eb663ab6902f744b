"""The shapes in which Salesforce hands out records, all brought to one: an SObject with its type. Pure.

SObject REST (one record), SOQL (`{"records": […], "done": …}` or the bare list), Connect's order summary graphs, the
Commerce API's order summaries, carts and products. Amounts are numbers in records and strings in the Commerce API.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.adapters import values
from agent.adapters.base import named
from agent.adapters.json_documents import Record, called, inner, listed, records
from agent.adapters.salesforce.ids import id18, type_of

ENVELOPES = (("records",), ("orderSummaries",), ("products",), ("productsPage", "products"), ("cartSummary",))
NUMBERS = {
    "Order": "OrderNumber",
    "OrderSummary": "OrderNumber",
    "ReturnOrder": "ReturnOrderNumber",
    "CreditMemo": "DocumentNumber",
}
CHILDREN = {"ReturnOrders": "ReturnOrder", "CreditMemos": "CreditMemo", "Contacts": "Contact"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One record: what it is (None: nobody knows), its fields, and where it was found."""

    kind: str | None
    record: Record
    place: str

    @property
    def id(self) -> str | None:
        """The record's id in its long spelling, from `Id` or the address of the record; None where it has none yet."""
        return record_id(self.record)

    @property
    def is_template(self) -> bool:
        """Whether it is a record that is still to be created, by a reference of its file's own."""
        return self.id is None and inner(self.record, "attributes", "referenceId") is not None


def entries(value: Any) -> Iterator[Entry]:
    """Every record of a document, in its order; the children of a record that stand for themselves come behind it."""
    if isinstance(value, Mapping) and "orderSummaryGraphs" in value:
        yield from _of_graphs(listed(value["orderSummaryGraphs"]))
        return
    for number, record in records(value, ENVELOPES):
        entry = _entry(record, number)
        yield entry
        for relation, kind in CHILDREN.items():
            for child in children(record, relation):
                yield _entry(_linked(child, kind, entry), number, kind)


def children(record: Record, relation: str) -> list[Record]:
    """The records of a relation, as a query within a query answers them."""
    found = record.get(relation)
    found = found.get("records") if isinstance(found, Mapping) and "records" in found else found
    return [child for child in listed(found) if isinstance(child, Mapping)]


def record_id(record: Any) -> str | None:
    """The id of a record, also of a related one, from `Id` or from its address; None where it has none."""
    address = inner(record, "attributes", "url")
    tail = address.rpartition("/")[2] if isinstance(address, str) else None
    return id18(inner(record, "Id")) or id18(tail)


def reference(record: Record, field: str) -> str | None:
    """The id that a look-up names: `OrderId`, or that of the related record `Order`."""
    return id18(record.get(field)) or record_id(record.get(field.removesuffix("Id")))


def text(record: Record, *path: str) -> str | None:
    """A text along a path."""
    return named(".".join(path), values.text, inner(record, *path))


def known_records(found: Iterable[Entry]) -> dict[str, Entry]:
    """Every record of a document by its id, related ones too; of one that is in it twice, what both show."""
    known: dict[str, Entry] = {}
    waiting: list[Any] = [entry.record for entry in found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, Mapping):
            if (number := record_id(value)) is not None:
                known[number] = _with(known.get(number), Entry(_kind(value), value, ""))
            waiting += [each for name, each in value.items() if name != "attributes"]
    return known


def _with(before: Entry | None, now: Entry) -> Entry:
    if before is None:
        return now
    shown = {name: value for name, value in now.record.items() if value is not None}
    return Entry(before.kind or now.kind, {**before.record, **shown}, "")


def _entry(record: Record, number: int, kind: str | None = None) -> Entry:
    kind = _kind(record) or kind
    record = _plain(record, kind)
    field = NUMBERS.get(kind or "")
    return Entry(kind, record, called(str(kind), record.get(field), number) if field else f"record {number}")


def _kind(record: Record) -> str | None:
    said = inner(record, "attributes", "type")
    if isinstance(said, str) and said:
        return said
    by_keys = (
        ("cartId", "Cart"),
        ("returnOrderLineItems", "ReturnOrderInput"),
        ("orderSummaryId", "OrderSummary"),
        ("ReturnOrderNumber", "ReturnOrder"),
        ("CreditMemoNumber", "CreditMemo"),
        ("ReferenceEntityId", "CreditMemo"),
        ("UnitPrice", "PricebookEntry"),
    )
    if (kind := next((kind for key, kind in by_keys if key in record), None)) is not None:
        return kind
    if isinstance(record.get("fields"), Mapping) and inner(record, "fields", "Name") is not None:
        return "Product2"
    return type_of(record_id(record))


def _plain(record: Record, kind: str | None) -> Record:
    """A record of the Commerce API under the names that the SObject has."""
    fields = record.get("fields")
    own = {name: _value(value) for name, value in fields.items()} if isinstance(fields, Mapping) else {}
    if kind == "Product2" and own:
        return {**record, "Id": record.get("id"), **own}
    if kind == "OrderSummary" and "orderSummaryId" in record:
        names = {"Id": "orderSummaryId", "OrderNumber": "orderNumber", "Status": "status", "OrderedDate": "orderedDate"}
        named_so = {name: record.get(theirs) for name, theirs in names.items()}
        return {"GrandTotalAmount": record.get("totalAmount"), **named_so, **own}
    return record


def _value(value: Any) -> Any:
    return value.get("value") if isinstance(value, Mapping) and "value" in value else value


def _linked(child: Record, kind: str, parent: Entry) -> Record:
    """A child with what only its parent says: which order it is of, and whose that is."""
    said = {name: value for name, value in child.items() if value is not None}
    if kind == "Contact":
        return {"AccountId": parent.id, **said}
    owner = {name: parent.record[name] for name in ("AccountId", "Account") if name in parent.record}
    field = f"{parent.kind}Id"
    if kind == "CreditMemo":
        field = "BillingAccountId" if parent.kind == "Account" else "ReferenceEntityId"
    return {**owner, field: parent.id, **said}


def _of_graphs(graphs: list[Any]) -> Iterator[Entry]:
    """The order summaries of graphs, each with the account that it refers to within its graph."""
    for number, graph in enumerate(graphs, 1):
        parts = [*listed(inner(graph, "purchaseSupportDetails")), *listed(inner(graph, "purchaseDetails"))]
        by_name = {f"@{{{inner(part, 'referenceId')}.id}}": inner(part, "attributes") for part in parts}
        for part in parts:
            record = inner(part, "attributes")
            if not isinstance(record, Mapping) or _kind(record) != "OrderSummary":
                continue
            account = by_name.get(str(record.get("AccountId")))
            related = {"Account": account} if isinstance(account, Mapping) else {}
            attributes = {"type": "OrderSummary", "referenceId": inner(part, "referenceId")}
            yield Entry("OrderSummary", {**record, **related, "attributes": attributes}, f"graph {number}")
