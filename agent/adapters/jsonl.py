"""JSON Lines of any system: a JSON object a line, its fields mapped by the site (`[adapters.jsonl.mappings.NAME]`).

A column is a path: `customer.card` is `card` in the object `customer`; a name that holds a dot is taken as it stands
where the object has it. Each line is read by the first mapping whose `only_where` it meets. Takes whatever the mapping
makes of it: sales, refunds, enrollments, members, stores, rows of a catalog. UTF-8, line by line, in the memory of one
line; a line that is no sound JSON is a fault of that line alone.

Options and a worked example: docs/adapters/jsonl.md.
"""

import codecs
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, BinaryIO

from agent import jsons
from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, UnreadableError
from agent.adapters.mapped import CatalogRow, Look, Plan
from agent.adapters.mapping import JsonlOptions

MAX_LINE_BYTES = 4 * 1024 * 1024


def read(source: BinaryIO, options: JsonlOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    plans = [Plan(mapping, site, options.somebody) for mapping in options.mappings.values()]
    for plan, found in groupby(_records(source, plans), key=lambda each: each[0]):
        yield from plan.gathered(item for _, item in found)


def _records(source: BinaryIO, plans: Sequence[Plan]) -> Iterator[tuple[Plan, Item | CatalogRow]]:
    """What each line comes to, and by which mapping."""
    number = 0
    while line := source.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise UnreadableError(f"A line has more than {MAX_LINE_BYTES // 2**20} MiB.", f"line {number}", "too-large")
        line = line.removeprefix(codecs.BOM_UTF8).strip()
        if line:
            yield _record(line, number, plans)


def _record(line: bytes, number: int, plans: Sequence[Plan]) -> tuple[Plan, Item | CatalogRow]:
    try:
        record = jsons.loads_large(line)
    except ValueError:
        reason = "The line is no sound JSON in UTF-8."
        return plans[0], Skipped("unreadable", reason, f"line {number}", fault=True)
    if not isinstance(record, Mapping):
        return plans[0], Skipped("unreadable", "The line must be a JSON object.", f"line {number}", fault=True)
    look = _look_in(record)
    plan = next((plan for plan in plans if plan.takes(look)), plans[0])
    item = plan.item(look, number)
    if isinstance(item, Skipped) and item.code == "not-taken" and len(plans) > 1:
        return plan, Skipped(item.code, "It meets the only_where of no mapping.", item.place)
    return plan, item


def _look_in(record: Mapping[str, Any]) -> Look:
    def look(path: str) -> Any:
        if path in record:
            return record[path]
        found: Any = record
        for name in path.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
        return found

    return look


ADAPTER = Adapter(
    name="jsonl",
    title="JSON Lines with a mapping",
    read=read,
    media=("application/x-ndjson", "application/jsonl"),
    suffixes=(".jsonl", ".ndjson"),
    covers=Coverage("as mapped", "as mapped", "as mapped", "as mapped", "as mapped"),
    validated="hand-made",
    options=JsonlOptions,
    streams=True,
)
