"""The encoding of an XML document as it is, where its first line tells of another or the parser does not read it.

A program of .NET writes `encoding="utf-16"` into a text that it then saves as UTF-8; a tool that converts a file leaves
its first line as it was; the tills of East Asia write several bytes a character, which the parser refuses. What a byte
order mark says, or the very first bytes, is true whatever the declaration says.
"""

import codecs
import re
from typing import BinaryIO

from agent.adapters.sniffing import UTF16_MARKS, check_unpacked, resumed

_HEAD_BYTES = 1024  # of a declaration, and blanks before it
_PIECE_BYTES = 16 * 1024
_BLANKS = b" \t\r\n"
_DECLARED = re.compile(rb"<\?xml[^>]*?\sencoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
# By Python's name of it, with which it is read: a till of Windows writes its own signs beside the standard's.
_SEVERAL_BYTES = {
    "shift_jis": "cp932",
    "cp932": "cp932",
    "euc_jp": "euc_jp",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "cp950",
    "cp950": "cp950",
    "euc_kr": "cp949",
    "cp949": "cp949",
}
_OTHER_NAMES = {"windows-31j": "cp932", "x-sjis": "cp932"}  # that Python does not know


def readable(source: BinaryIO) -> tuple[str | None, BinaryIO]:
    """The encoding to read a document in, None for the one that it names, and the document from its first sign on.

    Raises UnreadableError where it is compressed. Reading raises UnicodeDecodeError where a character is none in the
    encoding that it names.
    """
    head = b""
    while len(head) < _HEAD_BYTES and (piece := source.read(_HEAD_BYTES - len(head))):
        head += piece
    check_unpacked(head)
    if head.startswith(UTF16_MARKS):
        return "utf-16", resumed(head, source, _PIECE_BYTES)
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8", resumed(head.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS), source, _PIECE_BYTES)
    head = head.lstrip(_BLANKS)
    rest = resumed(head, source, _PIECE_BYTES)
    declared = _DECLARED.match(head)
    name = _python_name(declared[1].decode()) if declared else ""
    if name.startswith("utf-16"):
        return "utf-8", rest  # it was read here byte by byte, which UTF-16 is not
    if name in _SEVERAL_BYTES:
        return "utf-8", resumed(b"", _Transcoded(rest, _SEVERAL_BYTES[name]), _PIECE_BYTES)
    return declared[1].decode() if declared else None, rest


def _python_name(name: str) -> str:
    try:
        return codecs.lookup(_OTHER_NAMES.get(name.lower(), name)).name
    except LookupError:
        return ""


class _Transcoded:
    """A source in another encoding, as UTF-8."""

    def __init__(self, source: BinaryIO, encoding: str) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._left = b""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes, and none at the end alone."""
        while not self._left and (piece := self._source.read(size)):
            self._left = self._decoder.decode(piece).encode()
        if not self._left:
            self._left = self._decoder.decode(b"", final=True).encode()
        end = len(self._left) if size < 0 else size
        piece, self._left = self._left[:end], self._left[end:]
        return piece
