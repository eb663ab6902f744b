"""Reads a write-ahead log around its damage, page by page: SQLite itself stops at the first frame that is not sound.

A log is a header of 32 bytes and frames of a header (24 bytes) and a page. A frame's checksum goes on from the one
before it, as that stands written there: so each frame can be judged by itself. Frames of an earlier round, which the
log has not overwritten yet, carry other salts.
"""

import struct
from pathlib import Path

PAGE_BYTES = 4096  # SQLite's own default: the agent never sets another
_HEADER = 32
_FRAME_HEADER = 24
_FRAME = _FRAME_HEADER + PAGE_BYTES
_BIG_ENDIAN_SUMS = 0x377F0683


def pages_of(log: Path) -> dict[int, bytes]:
    """The newest sound copy of each page, up to the last commit that can be read."""
    raw = log.read_bytes()
    frames = range(_HEADER, len(raw) - _FRAME + 1, _FRAME)
    if not frames:
        return {}
    order = ">" if struct.unpack_from(">I", raw)[0] == _BIG_ENDIAN_SUMS else "<"
    header_is_sound = _checksum(order, bytes(8), raw[:24]) == raw[24:32]
    salts = raw[16:24] if header_is_sound else raw[_HEADER + 8 : _HEADER + 16]
    found: dict[int, bytes] = {}
    uncommitted: dict[int, bytes] = {}
    before = raw[24:32]
    for at in frames:
        head, page = raw[at : at + _FRAME_HEADER], raw[at + _FRAME_HEADER : at + _FRAME]
        if head[8:16] == salts and _checksum(order, before, head[:8] + page) == head[16:24]:
            number, is_commit = struct.unpack(">II", head[:8])
            uncommitted[number] = page
            if is_commit:
                found.update(uncommitted)
                uncommitted.clear()
        before = head[16:24]
    return found


def _checksum(order: str, before: bytes, content: bytes) -> bytes:
    first, second = struct.unpack(">II", before)
    words = iter(struct.unpack(f"{order}{len(content) // 4}I", content))
    for one, other in zip(words, words, strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return struct.pack(">II", first, second)
