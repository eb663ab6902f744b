"""JSON as this program reads and writes it: amounts are Decimal in both directions, never a binary float."""

from typing import Any

import simplejson


def dumps(value: Any) -> str:
    """Compact ASCII JSON; Decimals keep their digits, tuples are arrays."""
    return simplejson.dumps(value, use_decimal=True, separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    """Parse JSON; raises ValueError for anything malformed, NaN and infinities included."""
    try:
        return simplejson.loads(text, use_decimal=True)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ArithmeticError:
        raise ValueError("a number beyond measure") from None
