"""The shapes in which Dynamics 365 writes a record and its values, and those of bridges to its SDK. Pure.

Functions raise ValueError whose words name the field and repeat no value.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agent.adapters import values
from agent.adapters.base import named
from agent.adapters.json_documents import Record

ENVELOPES = (("value",), ("d", "results"), ("d",))
NEXT_PAGES = ("@odata.nextLink", "odata.nextLink", "__next")
UNDATED_BEFORE = "1901"  # Finance and Operations writes 1900-01-01 for "no date"

# The key of a record tells what it is; a line has the key of its order too, so that lines come first.
KINDS = (
    ("salesorderdetailid", "order line"),
    ("invoiceid", "invoice"),
    ("salesorderid", "order"),
    ("contactid", "contact"),
    ("accountid", "account"),
    ("productid", "product"),
    ("TransactionNumber", "transaction"),
    ("RreceiptId", "transaction"),
)


def opened(record: Record) -> Record:
    """The record itself, where a bridge has put it into `{"attributes": {…}, "id": …}`."""
    within = record.get("attributes")
    return within if isinstance(within, Mapping) else record


def kind_of(record: Record) -> str | None:
    """What a record is; None where none of the known keys is in it."""
    return next((kind for key, kind in KINDS if record.get(key) is not None), None)


def at(record: Record, *names: str) -> Any:
    """The first of these fields that is there; the SDK's `{"Value": 4}` and `{"Id": "…"}` are opened."""
    for name in names:
        value = record.get(name)
        if isinstance(value, Mapping):
            value = next((value[key] for key in ("Value", "value", "Id", "id") if key in value), None)
        if value is not None:
            return value
    return None


def text(record: Record, *names: str) -> str | None:
    """A text, or a number's digits."""
    return named(names[0], values.text, at(record, *names))


def guid(record: Record, *names: str) -> str | None:
    """An id in one spelling: in lower case and without braces."""
    found = text(record, *names)
    return found.strip("{}").lower() if found else None


def moment(record: Record, name: str) -> str | None:
    """A time with its offset; a bridge writes milliseconds since 1970. "No date" is None."""
    value = at(record, name)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return named(name, values.from_epoch, float(value) / 1000)
    found = named(name, values.moment, value)
    return None if found is None or found < UNDATED_BEFORE else found


def day(record: Record, *names: str) -> str | None:
    """The first date that is one."""
    for name in names:
        found = named(name, values.day, at(record, name))
        if found is not None and found >= UNDATED_BEFORE:
            return found
    return None
