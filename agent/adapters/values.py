"""Single values as other systems spell them; each function raises ValueError with words that repeat no value. Pure."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

MAX_AMOUNT_CHARS = 60
MAX_STORE_CHARS = 40
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?|[+-]?\.\d+", re.ASCII)
_EPOCH = re.compile(r"\\?/Date\((-?\d{1,15})([+-]\d{4})?\)\\?/", re.ASCII)
NO_CURRENCIES = frozenset({"XXX", "XTS"})  # ISO 4217: no currency, and a test's
_SHOWN = re.compile(r"[A-Za-z0-9._/-]{1,40}", re.ASCII)
_PLACEHOLDERS = frozenset({"", "undefined", "null", "none", "nan", "n/a"})
_MASK = re.compile(r"[\d -]*[xX#•]{3}[\dxX#• -]*")  # XXXX-XXXX-1234
_OFFSET_WITHOUT_COLON = re.compile(r"([+-]\d{2})(\d{2})$", re.ASCII)


def text(value: Any) -> str | None:
    """A string without blanks around it; None for null and for an empty one. Numbers that are ids keep their digits."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("must be a text")  # noqa: TRY004 - callers know only ValueError
    return str(value).strip() or None


def may_be_shown(number: str) -> bool:
    """Whether a document's number looks like one, so that it may stand in a place or a reason: no address, no name."""
    return _SHOWN.fullmatch(number) is not None


def store_may_be_shown(code: str) -> bool:
    """Whether a store's code looks like one: as `may_be_shown`, or a few words with a number in them."""
    words = len(code) <= MAX_STORE_CHARS and code.isprintable() and "@" not in code and any(map(str.isdecimal, code))
    return words or may_be_shown(code)


def is_among(word: str | None, words: Iterable[str]) -> bool:
    """Whether a status or type is one of those that a site has listed, in any case."""
    return word is not None and word.casefold() in {each.casefold() for each in words}


def names_nobody(spelled: str) -> bool:
    """Whether what stands in a customer's place is none: a spelled-out nothing, nought, or a mask over the number."""
    number = spelled.strip()
    if number.casefold() in _PLACEHOLDERS or not number.strip("0"):
        return True
    return "*" in number or _MASK.fullmatch(number) is not None


def amount(value: Any) -> Decimal | None:
    """An amount from a JSON number or a decimal string; None for null and for an empty one."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, Decimal) and value.is_finite() and value.adjusted() < MAX_AMOUNT_CHARS:  # it can be added up
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and len(value) <= MAX_AMOUNT_CHARS and _NUMBER.fullmatch(value.strip()):
        try:
            return Decimal(value.strip())
        except InvalidOperation:
            pass
    raise ValueError("must be a number, such as 12.50")


def needed_amount(value: Any) -> Decimal:
    """As `amount`, where there must be one."""
    found = amount(value)
    if found is None:
        raise ValueError("is missing")
    return found


def flag(value: Any) -> bool:
    """A yes or no: a boolean, or one of true, false, 1, 0, Y, N in any case; absent is no."""
    if value is None or value is False or value is True:
        return bool(value)
    word = str(value).strip().casefold()
    if word in {"true", "1", "y", "yes", "x"}:
        return True
    if word in {"false", "0", "n", "no", ""}:
        return False
    raise ValueError("must be true or false")


def moment(value: Any) -> str | None:
    """A time with its offset, RFC 3339; None where there is none or it has no offset (it would be a guess).

    Understood: ISO 8601 (also `+0000`), and OData's `/Date(ms)/` with an optional offset.
    """
    spelled = text(value)
    if spelled is None:
        return None
    if epoch := _EPOCH.fullmatch(spelled):
        return from_epoch(int(epoch[1]) / 1000)
    try:
        parsed = datetime.fromisoformat(_OFFSET_WITHOUT_COLON.sub(r"\1:\2", spelled))
    except ValueError:
        raise ValueError("must be a time, such as 2026-03-14T09:26:53Z") from None
    return None if parsed.tzinfo is None else parsed.isoformat()


def from_epoch(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        raise ValueError("must be a time") from None


def day(value: Any) -> str | None:
    """A date, from a date or a time as it stands (no zone is applied); None where there is none."""
    spelled = text(value)
    if spelled is None:
        return None
    if epoch := _EPOCH.fullmatch(spelled):
        return from_epoch(int(epoch[1]) / 1000)[:10]
    if re.fullmatch(r"\d{8}", spelled, re.ASCII):
        spelled = f"{spelled[:4]}-{spelled[4:6]}-{spelled[6:]}"
    try:
        return date.fromisoformat(spelled[:10]).isoformat()
    except ValueError:
        raise ValueError("must be a date, such as 2026-03-14") from None


def without_leading_zeros(value: str | None) -> str | None:
    """A number as SAP shows it: `0000004711` is `4711`; what is not all digits is kept as it is."""
    if value is None or not (value.isascii() and value.isdigit()):
        return value
    return value.lstrip("0") or "0"
