"""XML of other systems, read as it comes: one element after another, without namespaces, without surprises.

No DTD, entity or external reference is ever followed (defusedxml), depth and size of one element are bounded, and what
was handed out is forgotten at once, so that a file of any size takes the memory of its largest element. So is what
stands between two tags: the parser begins a long attribute or comment from its start with each piece that comes, and
holds the interpreter meanwhile, with every register in it. Schemas are not checked: real files fail them. Raises
UnreadableError, whose words repeat nothing of the document.
"""

import codecs
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser, iterparse

from agent.adapters import xml_encoding
from agent.adapters.base import ANOTHER_SYSTEMS, UnreadableError

MAX_DEPTH = 100
MAX_NODES = 200_000  # in one element that is handed out; a receipt of a thousand lines has some ten thousand
MAX_ELEMENT_BYTES = 32 * 1024 * 1024  # of one element that is handed out
MAX_STRETCH_BYTES = 1024 * 1024  # from one tag to the next: an image of the receipt is smaller
# What to do about it, by the parser's code of the fault.
_NOT_WELL_FORMED = 4
_MENDS = {
    **dict.fromkeys((3, 5, 6), " It was cut off there, or is still being written: send the whole."),
    9: " Something comes behind its end, such as a second document: put each into a file of its own.",
    11: " It names an entity that is none of XML's own: write the sign itself.",
    14: " It has a sign there that XML does not allow: leave it out.",
}
_OTHER_ENCODING = (
    " What stands there is no UTF-8. If it is in another encoding, its first line must name it: "
    '<?xml version="1.0" encoding="windows-1252"?>.'
)


def local_name(tag: str) -> str:
    """The name without its namespace."""
    return tag.rpartition("}")[2]


def elements(source: BinaryIO, wanted: frozenset[str], roots: frozenset[str] = frozenset()) -> Iterator[Element]:
    """The outermost elements of these local names, in order, whole; names in them have lost their namespaces.

    Do not keep one: it is emptied when the next one is asked for. The root counts, where its name is wanted. A document
    without any is an empty one where its root is one of `roots`, and else one of another kind (UnreadableError).
    """
    walk = _Walk(wanted)
    encoding, source = xml_encoding.readable(source)
    measured = _Measured(source, walk)
    # Its own builder would mind that names lose their namespaces before their elements end.
    parser = XMLParser(target=TreeBuilder(), encoding=encoding, forbid_dtd=True)
    try:
        for event, element in iterparse(measured, events=("start", "end"), parser=parser):
            measured.stretch = 0
            if event == "start":
                walk.enter(element)
                continue
            if walk.leave(element):
                yield element
            walk.forget(element)
        if not walk.found and roots and walk.root not in roots:
            reason = f"It is of another kind: its root is not {' or '.join(sorted(roots))}."
            raise UnreadableError(reason, code="other-document")
    except DefusedXmlException:
        reason = "It holds a document type or entities, which are not followed. Send it without."
        raise UnreadableError(reason, code="entities") from None
    except ParseError as error:
        raise _unsound(error, measured, encoding) from None
    except (ValueError, LookupError):  # an encoding that is unknown, or not the one it says
        reason = "Its characters are not in the encoding that it names, or in one that is not read here; send UTF-8."
        raise UnreadableError(reason) from None


def _unsound(error: ParseError, measured: "_Measured", encoding: str | None) -> UnreadableError:
    line, column = error.position
    mend = _MENDS.get(error.code, "")
    if line == 1 and column <= 1:
        mend = ANOTHER_SYSTEMS
    elif error.code == _NOT_WELL_FORMED and (encoding or "utf-8").lower() == "utf-8" and not measured.may_be_utf8():
        mend = _OTHER_ENCODING
    return UnreadableError(f"It is no sound XML from line {line}, column {column + 1} on.{mend}")


class _Walk:
    """Where the reading stands: the open elements, and the wanted one that they are inside of, if any."""

    def __init__(self, wanted: frozenset[str]) -> None:
        self._wanted = wanted
        self._open: list[Element] = []
        self._inside: Element | None = None
        self._nodes = self._bytes = 0
        self.root = ""
        self.found = False

    def enter(self, element: Element) -> None:
        """An element begins; raises UnreadableError beyond the limits."""
        element.tag = local_name(element.tag)
        self.root = self.root or element.tag
        self._open.append(element)
        self._nodes = 1 if self._inside is None else self._nodes + 1
        if self._inside is None and element.tag in self._wanted:
            self._inside, self._bytes = element, 0
        if len(self._open) > MAX_DEPTH:
            raise UnreadableError(f"It is nested more than {MAX_DEPTH} deep.", code="too-deep")
        if self._nodes > MAX_NODES:
            raise UnreadableError(f"One element holds more than {MAX_NODES:,} others.", code="too-large")

    def grow(self, size: int) -> None:
        """So many bytes more were read; raises UnreadableError beyond the limit of what is inside."""
        self._bytes += size
        if self._inside is not None and self._bytes > MAX_ELEMENT_BYTES:
            raise UnreadableError(f"One element has more than {MAX_ELEMENT_BYTES // 2**20} MiB.", code="too-large")

    def leave(self, element: Element) -> bool:
        """An element is whole; whether it is a wanted one."""
        self._open.pop()
        if element is not self._inside:
            return False
        self._inside = None
        self.found = True
        return True

    def forget(self, element: Element) -> None:
        """Keep nothing of what is behind, outside a wanted element."""
        if self._inside is None:
            element.clear()
            if self._open:
                self._open[-1].remove(element)


class _Measured:
    """The source, and how much of it came since the last tag."""

    def __init__(self, source: BinaryIO, walk: _Walk) -> None:
        self._source = source
        self._walk = walk
        self._last = b""
        self.stretch = 0

    def read(self, size: int = -1, /) -> bytes:
        """The next piece; raises UnreadableError beyond the limits."""
        piece = self._source.read(size)
        self.stretch += len(piece)
        if self.stretch > MAX_STRETCH_BYTES:
            reason = f"A text, an attribute or a comment has more than {MAX_STRETCH_BYTES // 2**20} MiB."
            raise UnreadableError(reason, code="too-large")
        self._walk.grow(len(piece))
        self._last = piece
        return piece

    def may_be_utf8(self) -> bool:
        """Whether the piece that was read last is UTF-8, but for a character that is cut at its ends."""
        if b"\0" in self._last:
            return True  # UTF-16 without a mark, which the parser finds by itself
        begun = next((at for at, byte in enumerate(self._last[:4]) if byte & 0xC0 != 0x80), 0)
        try:
            codecs.getincrementaldecoder("utf-8")().decode(self._last[begun:])
        except UnicodeDecodeError:
            return False
        return True


def attribute(element: Element | None, name: str) -> str | None:
    """An attribute by its local name, without blanks around it; None where there is none or it is empty."""
    if element is None:
        return None
    found = element.get(name)
    if found is None:
        found = next((value for key, value in element.items() if local_name(key) == name), None)
    return (found or "").strip() or None


def child(element: Element | None, *path: str) -> Element | None:
    """The first descendant along a path of local names; None where there is none."""
    for name in path:
        if element is None:
            return None
        element = next((found for found in element if found.tag == name), None)
    return element


def children(element: Element | None, name: str) -> list[Element]:
    """All children of that local name."""
    return [] if element is None else [found for found in element if found.tag == name]


def content(element: Element | None, *path: str) -> str | None:
    """The text of the first descendant along a path, without blanks around it; None where it is empty or missing."""
    found = child(element, *path)
    return None if found is None else (found.text or "").strip() or None
