"""JSON as this program reads and writes it: amounts are Decimal in both directions, never a binary float."""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

MAX_DEPTH = 64
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_SORTED = msgspec.json.Encoder(decimal_format="number", order="sorted")
Raw = msgspec.Raw  # JSON that is encoded already: it is written into other JSON, and read out of it, as it is
T = TypeVar("T")
_PIECE_BYTES = 128 * 1024  # a few milliseconds
_OUTER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(list[Raw] | dict[str, Raw])
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=Decimal)


def encode(value: Any) -> bytes:
    """Compact UTF-8 JSON; Decimals keep their digits, tuples are arrays."""
    return _ENCODER.encode(value)


def encode_sorted(value: Any) -> bytes:
    """As `encode`, the keys of every object in order: the same bytes however the sender ordered them."""
    return _SORTED.encode(value)


def raw(value: Any) -> Raw:
    """As `encode`, to be part of other JSON."""
    return Raw(_ENCODER.encode(value))


def dumps(value: Any) -> str:
    """As `encode`, as text."""
    return _ENCODER.encode(value).decode()


def loads(text: str | bytes) -> Any:
    """Parse JSON from outside; raises ValueError for anything malformed or deeper than MAX_DEPTH.

    NaN and infinities are malformed. Bytes that are not UTF-8 are a UnicodeDecodeError, which is a ValueError too.
    """
    value = loads_own(text)
    return value if openings(text) <= MAX_DEPTH else _not_too_deep(value)


def _not_too_deep(value: Any) -> Any:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _containers(parent)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def loads_large(document: bytes) -> Any:
    """As `loads`, for documents of megabytes: piece by piece.

    The parser holds the interpreter until it is done, and with it every register: a whole second for 16 MiB. To find
    where the pieces begin takes it a thirtieth of that.
    """
    value = _in_pieces(document.lstrip(b" \t\r\n"))
    return value if openings(document) <= MAX_DEPTH else _not_too_deep(value)


def _in_pieces(document: bytes | Raw, depth: int = 0) -> Any:
    seen = memoryview(document)
    if seen.nbytes <= _PIECE_BYTES or depth > MAX_DEPTH or seen[0] not in b"[{":
        try:
            return _decode(_DECODER, document)
        except ValueError:
            if depth == 0:
                raise
            raise ValueError("a value in it is malformed") from None  # where, counted from the piece, would mislead
    outer = _decode(_OUTER, document)
    if isinstance(outer, list):
        return [_in_pieces(piece, depth + 1) for piece in outer]
    return {name: _in_pieces(piece, depth + 1) for name, piece in outer.items()}


def loads_own(text: str | bytes) -> Any:
    """Parse JSON that this program wrote: as `loads`, but as deep as it was written."""
    return _decode(_DECODER, text)


def reader(kind: type[T]) -> Callable[[bytes], T]:
    """As `loads_own`, for JSON of one type."""
    decoder = msgspec.json.Decoder(kind, float_hook=Decimal)
    return lambda data: _decode(decoder, data)


def _decode(decoder: "msgspec.json.Decoder[T]", text: str | bytes) -> T:
    try:
        return decoder.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ArithmeticError:
        raise ValueError("a number beyond measure") from None
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def openings(text: str | bytes) -> int:
    """How many brackets there are to open: nothing is deeper, and counting them costs less than looking."""
    return text.count("{") + text.count("[") if isinstance(text, str) else text.count(b"{") + text.count(b"[")


def _containers(parent: Any) -> list[Any]:
    children: Iterable[Any] = (
        parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ()
    )
    return [child for child in children if isinstance(child, dict | list)]
