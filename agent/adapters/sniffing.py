"""What a document is, by what it begins with; what was looked at is not lost."""

import codecs
import io
from typing import Any, BinaryIO

_BLANKS = b" \t\r\n"
_PIECE = 4096


def begun(source: BinaryIO) -> tuple[bytes, BinaryIO]:
    """The first byte that is neither blank nor of a UTF-8 byte order mark, and the document from there on.

    The byte is empty where there is none.
    """
    kept = b""
    while piece := source.read(_PIECE):
        kept = (kept + piece).lstrip(_BLANKS)
        if len(kept) >= len(codecs.BOM_UTF8):  # else it may yet become one
            kept = kept.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
        if kept and not codecs.BOM_UTF8.startswith(kept):
            break
    return kept[:1], resumed(kept, source, _PIECE)


def resumed(kept: bytes, source: BinaryIO, buffer_bytes: int) -> io.BufferedReader:
    """What was read of a source already, and then the rest of it; closing it leaves the source open."""
    return io.BufferedReader(_Resumed(kept, source), buffer_bytes)


def is_xml(first: bytes) -> bool:
    """Whether a document with this first byte is XML: a bracket, or the byte order mark of UTF-16."""
    return first in {b"<", b"\xff", b"\xfe"}


class _Resumed(io.RawIOBase):
    """What was read already, then the rest."""

    def __init__(self, kept: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._kept = kept
        self._rest = rest

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill some of the buffer; 0 at the end."""
        piece = self._kept[: len(buffer)]
        self._kept = self._kept[len(piece) :]
        if not piece:
            piece = self._rest.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
