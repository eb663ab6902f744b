"""The agent's own form: one JSON object a line, `{"kind": "sale", "place": "…", "document": {…}}`.

It is what `flash-agent import` sends after it has read a file with another adapter, and what a system can write that
has no adapter and needs none: `document` is what the local API takes under that kind's path, with ids that are whole.
`key` is Flash's Idempotency-Key, where the platforms have agreed on one; a register may not choose it.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from agent import jsons
from agent.adapters.base import Adapter, Canonical, Coverage, Found, Item, Options, Site, Skipped, UnreadableError, make
from agent.masterdata import Catalog, Member, Store
from agent.model import Enrollment, Refund, Sale

KINDS: Mapping[str, type[Canonical]] = {
    "sale": Sale,
    "refund": Refund,
    "enrollment": Enrollment,
    "member": Member,
    "store": Store,
    "catalog": Catalog,
}
MAX_LINE_BYTES = 4 * 1024 * 1024
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_AGENTS_OWN = re.compile(r"(sale|refund|enrollment|redemption|store|catalog|batch)[-~]", re.IGNORECASE)
_LATER_GENERATION = re.compile(r"\.\d+$", re.ASCII)


def kind_of(document: Canonical) -> str:
    """The name of a document's kind: `sale`, `refund`, `enrollment`, `member`, `store` or `catalog`."""
    return type(document).__name__.lower()


def line_of(item: Found) -> bytes:
    """One item as a line of this form."""
    fields = {"kind": kind_of(item.document), "place": item.place, "document": item.document.sent()}
    return jsons.encode(fields if item.key is None else {**fields, "key": item.key}) + b"\n"


def read(source: BinaryIO, options: Options, site: Site) -> Iterator[Item]:  # noqa: ARG001 - it has no options
    """See the module."""
    number = 0
    while line := source.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise UnreadableError(f"A line has more than {MAX_LINE_BYTES // 2**20} MiB.", f"line {number}", "too-large")
        if line.strip(codecs.BOM_UTF8 + b" \t\r\n"):
            yield _item(line.removeprefix(codecs.BOM_UTF8), f"line {number}", site)


def _item(line: bytes, place: str, site: Site) -> Item:
    try:
        record: Any = jsons.loads_large(line)
    except ValueError:
        return Skipped("unreadable", "The line is no sound JSON.", place, fault=True)
    if not isinstance(record, dict) or not isinstance(record.get("document"), dict):
        return Skipped("unreadable", "The line must be an object with kind and document.", place, fault=True)
    kind, key, own_place = record.get("kind"), record.get("key"), record.get("place")
    if not isinstance(kind, str) or kind not in KINDS:
        return Skipped("unknown-kind", f"kind must be one of {', '.join(KINDS)}.", place, fault=True)
    if key is not None and (fault := _fault_of(key)):
        return Skipped("unsound", f"key {fault}.", place, fault=True)
    if isinstance(own_place, str) and own_place.isprintable() and len(own_place) <= 200:
        place = own_place
    return make(KINDS[kind], record["document"], place, site, key=key)


def _fault_of(key: Any) -> str:
    """Why a key may not be sent to Flash, which would take two orders under one key for one; empty where it may."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        return "must have 1 to 200 printable characters and no blanks"
    if _AGENTS_OWN.match(key):
        return "must not begin as the agent's own keys do (sale-, refund-, …)"
    if _LATER_GENERATION.search(key):
        return "must not end in a dot and a number, as the keys of later tries do"
    return ""


ADAPTER = Adapter(
    name="canonical",
    title="the agent's own form",
    read=read,
    media=("application/x-ndjson", "application/jsonl"),
    suffixes=(".jsonl", ".ndjson"),
    covers=Coverage("sale", "refund", "member, enrollment", "catalog", "store"),
    validated="its own definition",
    streams=True,
)
