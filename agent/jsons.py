"""JSON as this program reads and writes it: amounts are Decimal in both directions, never a binary float."""

from collections.abc import Iterable
from typing import Any

import simplejson

MAX_DEPTH = 64


def dumps(value: Any) -> str:
    """Compact ASCII JSON; Decimals keep their digits, tuples are arrays."""
    return simplejson.dumps(value, use_decimal=True, separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    """Parse JSON; raises ValueError for anything malformed or deeper than MAX_DEPTH, NaN and infinities included."""
    try:
        value = simplejson.loads(text, use_decimal=True)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ArithmeticError:
        raise ValueError("a number beyond measure") from None
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for parent in level for child in _containers(parent)]
        if not level:
            return value
    raise ValueError("nested too deeply")


def _containers(parent: Any) -> list[Any]:
    children: Iterable[Any] = (
        parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ()
    )
    return [child for child in children if isinstance(child, dict | list)]
