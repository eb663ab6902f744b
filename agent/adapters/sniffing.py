"""What a document is, by what it begins with; what was looked at is not lost."""

import codecs
import io
from typing import Any, BinaryIO, Protocol

from agent.adapters.base import UnreadableError

UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04")  # gzip, zip
_BLANKS = b" \t\r\n"
_PIECE = 4096


class Readable(Protocol):
    """What can be read from."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes, all there are below zero; none at the end."""


def begun(source: BinaryIO) -> tuple[bytes, BinaryIO]:
    """The first byte that is neither blank nor of a UTF-8 byte order mark, and the document from there on.

    The byte is empty where there is none. Of UTF-16 it is the first sign's, and the document is whole, with its mark.
    """
    kept = b""
    while piece := source.read(_PIECE):
        if (kept + piece).startswith((b"\xff", b"\xfe")):
            kept += piece
            if len(kept) < _PIECE:
                continue
            break
        kept = (kept + piece).lstrip(_BLANKS)
        if len(kept) >= len(codecs.BOM_UTF8):  # else it may yet become one
            kept = kept.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
        if kept and not codecs.BOM_UTF8.startswith(kept):
            break
    first = kept[:1]
    if kept.startswith(UTF16_MARKS):
        first = kept.decode("utf-16", errors="ignore").lstrip()[:1].encode()
    return first, resumed(kept, source, _PIECE)


def check_unpacked(head: bytes) -> None:
    """Raise UnreadableError where a document with this beginning is compressed, as tills' logs often lie about."""
    if head.startswith(_COMPRESSED):
        raise UnreadableError("It is compressed (gzip or zip). Unpack it first.", code="compressed")


def resumed(kept: bytes, source: Readable, buffer_bytes: int) -> io.BufferedReader:
    """What was read of a source already, and then the rest of it; closing it leaves the source open."""
    return io.BufferedReader(_Resumed(kept, source), buffer_bytes)


def is_xml(first: bytes) -> bool:
    """Whether a document with this first byte is XML."""
    return first == b"<"


class _Resumed(io.RawIOBase):
    """What was read already, then the rest."""

    def __init__(self, kept: bytes, rest: Readable) -> None:
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
