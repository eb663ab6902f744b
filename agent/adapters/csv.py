"""CSV of any system: its columns mapped to fields by the site (`[adapters.csv.mappings.NAME]`), one document a row.

A file is read by the first mapping whose columns are all in its header line; where there is none, that is one fault of
the whole file, with the columns that there are. Takes whatever the mapping makes of a row: sales, refunds, enrollments,
members, stores, rows of a catalog. Read row by row, in the memory of one; a row with a fault is skipped with its line.

Traps: a cell may hold line breaks; a quote that is never closed swallows what follows, and the rows it swallowed are
named; a row with too few or too many values has shifted or was cut, and nothing of it is taken; in an export with a row
for each article no row is a sale, and two rows of one order with different amounts are a conflict.

Options and a worked example: docs/adapters/csv.md.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from agent.adapters.base import Adapter, Coverage, Item, Site, Skipped, UnreadableError
from agent.adapters.mapped import CatalogRow, Plan
from agent.adapters.mapping import CsvMapped, CsvOptions
from agent.adapters.sniffing import check_unpacked, resumed

HEAD_BYTES = 64 * 1024
MAX_LINE_CHARS = 1024 * 1024
MAX_ROW_CHARS = 4 * 1024 * 1024  # of all its lines
_SURROGATE = re.compile("[\ud800-\udfff]")  # what stands for a byte that the encoding does not have


def read(source: BinaryIO, options: CsvOptions, site: Site) -> Iterator[Item]:
    """See the module."""
    head = _head_of(source)
    check_unpacked(head)
    if not head.strip():
        return
    mapping = _fitting(options.mappings, head)
    plan = Plan(mapping, site, options.somebody)
    yield from plan.gathered(_rows(resumed(head, source, HEAD_BYTES), mapping, plan))


# ---- which mapping --------------------------------------------------------------------------------------------------


def _head_of(source: BinaryIO) -> bytes:
    """The first bytes, as many as a header line may have, or all there are."""
    head = b""
    while len(head) < HEAD_BYTES and (piece := source.read(HEAD_BYTES - len(head))):
        head += piece
    return head


def _fitting(mappings: Mapping[str, CsvMapped], head: bytes) -> CsvMapped:
    """The first mapping whose columns are there; raises UnreadableError saying what is missing from each."""
    faults = []
    for name, mapping in mappings.items():
        row = _first_row(head, mapping)
        fault = _misfit(mapping, row)
        if not fault:
            return mapping
        faults.append(f"{name}: {fault}")
    raise UnreadableError(f"No mapping fits the file. {' '.join(faults)}", "line 1", "no-mapping-fits")


def _first_row(head: bytes, mapping: CsvMapped) -> list[str]:
    text = head.decode(mapping.codec, errors="replace")
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=mapping.delimiter)
        return [cell.strip() for cell in next((row for row in rows if any(map(str.strip, row))), [])]
    except csv.Error:
        return []


def _misfit(mapping: CsvMapped, row: Sequence[str]) -> str:
    """Why the mapping is not for a file that begins with this row; "" where it is."""
    if mapping.columns:
        count = len(mapping.columns)
        fits = len(row) == count or (len(row) > count and not any(row[count:]))
        return "" if fits else f"its first line has {len(row)} values by {mapping.delimiter!r}, not {count}."
    used = mapping.used_columns()
    twice = [name for name in used if row.count(name) > 1]
    if twice:
        return f"the column {', '.join(twice)} is there twice."
    missing = [name for name in used if name not in row]
    if not missing:
        return ""
    there = f"its columns are: {', '.join(filter(None, row))}"
    if len(missing) == len(used) and not _is_header(row):
        there = f"its first line has {len(row)} values by {mapping.delimiter!r} and is no header of columns"
    return f"it lacks {', '.join(missing)}; {there}."


def _is_header(row: Sequence[str]) -> bool:
    """Whether the values look like names of columns: a row of data may name a person, and is never repeated."""
    return all(len(cell) <= 60 and "@" not in cell and not cell[:1].isdigit() for cell in row)


# ---- row by row -----------------------------------------------------------------------------------------------------


class _Lines:
    """The lines of a text, bounded alone and as a row; it remembers whether one of the row's has another encoding."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.begin()

    def begin(self) -> None:
        """A row begins."""
        self.chars, self.is_damaged = 0, False

    def __iter__(self) -> Iterator[str]:
        while line := self._text.readline(MAX_LINE_CHARS + 1):
            if len(line) > MAX_LINE_CHARS:
                raise UnreadableError(f"A line has more than {MAX_LINE_CHARS:,} characters.", code="too-large")
            self.chars += len(line)
            if self.chars > MAX_ROW_CHARS:
                raise UnreadableError(f"A row has more than {MAX_ROW_CHARS:,} characters.", code="too-large")
            if not line.isascii() and _SURROGATE.search(line):
                self.is_damaged = True
            yield line


def _rows(source: io.BufferedReader, mapping: CsvMapped, plan: Plan) -> Iterator[Item | CatalogRow]:
    """What each row comes to; raises UnreadableError where the file cannot be read on."""
    lines = _Lines(io.TextIOWrapper(source, mapping.codec, errors="surrogateescape", newline=""))
    reader = csv.reader(iter(lines), delimiter=mapping.delimiter, strict=True)
    columns: Sequence[str] = mapping.columns
    while True:
        first = reader.line_num + 1
        lines.begin()
        try:
            row = next(reader, None)
        except csv.Error:
            yield _badly_quoted(first, reader.line_num)
            continue
        except UnicodeError:
            reason = f"From here on it is not in the encoding {mapping.encoding}."
            raise UnreadableError(reason, f"line {first}") from None
        except UnreadableError as error:
            raise UnreadableError(str(error), f"line {first}", error.code) from None
        if row is None:
            return
        if any(map(str.strip, row)):  # else it is blank, or delimiters alone
            if columns:
                yield _item(row, columns, first, plan, is_damaged=lines.is_damaged)
            else:
                columns = [cell.strip() for cell in row]


def _item(row: list[str], columns: Sequence[str], line: int, plan: Plan, *, is_damaged: bool) -> Item | CatalogRow:
    if is_damaged:
        reason = "It is not in the encoding that the mapping names."
        return Skipped("unreadable", reason, f"line {line}", fault=True)
    count = len(columns)
    if len(row) < count or any(row[count:]):
        reason = f"The line has {len(row)} values for {count} columns: it was cut, or a value holds the delimiter."
        return Skipped("unsound", reason, f"line {line}", fault=True)
    return plan.item(dict(zip(columns, row, strict=False)).get, line)


def _badly_quoted(first: int, last: int) -> Skipped:
    place = f"line {first}" if last <= first else f"lines {first} to {last}"
    reason = 'A quote (") is not closed, or not doubled inside a quoted value; nothing of these lines was taken.'
    return Skipped("unreadable", reason, place, fault=True)


ADAPTER = Adapter(
    name="csv",
    title="CSV with a mapping",
    read=read,
    media=("text/csv", "application/csv"),
    suffixes=(".csv", ".txt"),
    covers=Coverage("as mapped", "as mapped", "as mapped", "as mapped", "as mapped"),
    validated="hand-made",
    options=CsvOptions,
    streams=True,
)
