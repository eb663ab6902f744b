"""JSON of other systems: read whole, within a limit, amounts as Decimal; and the envelopes that lists come in.

Raises UnreadableError, whose words repeat nothing of the document.
"""

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from agent import jsons
from agent.adapters import values
from agent.adapters.base import ANOTHER_SYSTEMS, Skipped, UnreadableError
from agent.adapters.sniffing import UTF16_MARKS, check_unpacked

MORE_PAGES = Skipped("more-pages", "It is one page of an answer that goes on. Send the other pages too.", "document")
Record = Mapping[str, Any]
# What to do about it, by the parser's words.
_MENDS = {
    "trailing characters": " Another value comes behind the first: put them into one list, or each into its own file.",
    "truncated": " It was cut off there, or is still being written: send the whole.",
}


def load(source: BinaryIO, max_bytes: int) -> Any:
    """The JSON value in a document of at most `max_bytes`; it takes some six times its size in memory."""
    pieces, size = [], 0
    while size <= max_bytes and (piece := source.read(max_bytes + 1 - size)):  # a pipe gives less than is asked for
        pieces.append(piece)
        size += len(piece)
    document = b"".join(pieces)
    if len(document) > max_bytes:
        raise UnreadableError(too_large(max_bytes), code="too-large")
    check_unpacked(document)
    if document.startswith(UTF16_MARKS):  # as Windows' shell writes files
        document = _decoded(document, "utf-16").encode()
    document = document.removeprefix(codecs.BOM_UTF8)
    try:
        return jsons.loads_large(document)
    except ValueError as error:
        _decoded(document, "utf-8")
        raise UnreadableError(_unsound(document, str(error))) from None


def _unsound(document: bytes, words: str) -> str:
    at = re.search(r"byte \d+", words)
    if not document.strip() or (at and at[0] == "byte 0"):
        mend = ANOTHER_SYSTEMS
    else:
        mend = next((mend for fault, mend in _MENDS.items() if fault in words), "")
    return f"It is no sound JSON{f' at {at[0]}' if at else ''}.{mend}"


def too_large(max_bytes: int) -> str:
    """Why a document is not read that would have to be held in memory whole."""
    return (
        f"It has more than {max_bytes / 2**20:,.4g} MiB, and must be held in memory whole, which takes six times that: "
        "cut it into several, or raise [documents] max_bytes."
    )


def _decoded(document: bytes, encoding: str) -> str:
    try:
        return document.decode(encoding)
    except UnicodeDecodeError as error:
        reason = f"It is no sound {encoding.upper()} at byte {error.start}. Send it in UTF-8."
        raise UnreadableError(reason) from None


def records(value: Any, envelopes: Sequence[Sequence[str]]) -> Iterator[tuple[int, Record]]:
    """The objects that a document holds, numbered from 1: a list, one in an envelope, or the value itself.

    `envelopes` are paths of names at which this system puts its records, such as `("d", "results")`; the first that
    is there is taken. What is no object comes as an empty one: nobody knows what it is, and the others go on.
    """
    for path in envelopes:
        inner = value
        for name in path:
            inner = inner.get(name) if isinstance(inner, Mapping) else None
        if inner is not None:
            value = inner
            break
    for number, record in enumerate(value if isinstance(value, list) else [value], 1):
        yield number, record if isinstance(record, Mapping) else {}


def inner(record: Any, *path: str) -> Any:
    """The value along a path of names; None where a step is missing or no object."""
    for name in path:
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def listed(value: Any) -> list[Any]:
    """A list as it is, one object as a list of it, null as an empty one; OData's `{"results": […]}` is opened.

    A deferred list, which is only an address, is empty.
    """
    if isinstance(value, Mapping):
        if "__deferred" in value:
            return []
        value = value.get("results", value)
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def called(kind: str, name: Any, number: int) -> str:
    """Where a record is, for people: by its own number where that can be shown, else by its place in the document."""
    spelled = str(name).strip() if isinstance(name, str | int) and not isinstance(name, bool) else ""
    return f"{kind} {spelled}" if values.may_be_shown(spelled) else f"record {number}"
