"""How one system writes its numbers and dates, and how they are read. Pure.

Each function returns None for nothing, and raises ValueError with words that repeat no value.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from agent.adapters import values

_SPACES = re.compile("[\u00a0\u2009\u202f]")  # thin and unbreakable, as programs write them between thousands


@dataclass(frozen=True, slots=True)
class Spelling:
    """`decimal` and `thousands` are single characters, `thousands` may be empty.

    `date_format` and `time_format` are strptime's; empty for ISO 8601.
    """

    decimal: str = "."
    thousands: str = ""
    date_format: str = ""
    time_format: str = ""

    def number(self, value: Any) -> Decimal | None:
        """An amount: a JSON number, or a text in this spelling; a minus may stand before or behind.

        Strict, for `1.234` is a thousand to one system and one and a quarter to another: a mark that this spelling does
        not have, or thousands in other than threes, is no number.
        """
        if not isinstance(value, str):
            return values.amount(value)
        written = value.strip()
        if not written:
            return None
        unsigned = written[1:] if written[0] in "+-" else written.removesuffix("-")
        sign = "-" if "-" in written else ""
        whole, point, fraction = unsigned.strip().partition(self.decimal)
        digits = self._joined(whole)
        if len(written) > values.MAX_AMOUNT_CHARS or not _all_digits(digits) or (point and not _all_digits(fraction)):
            hint = "" if self.thousands else " (a mark between thousands is named in thousands)"
            raise ValueError(f"must be a number, such as 1{self.thousands}234{self.decimal}50{hint}")
        return Decimal(f"{sign}{digits}.{fraction or 0}") if point else Decimal(f"{sign}{digits}")

    def _joined(self, whole: str) -> str:
        """The digits before the decimal mark, without the marks between thousands; "" where those stand wrong."""
        if not self.thousands:
            return whole
        first, *more = _SPACES.sub(" ", whole).split(self.thousands)
        sound = all(len(group) == 3 for group in more) and (not more or 1 <= len(first) <= 3)
        return first + "".join(more) if sound else ""

    def day(self, value: Any) -> str | None:
        """A business date; a time of day in it is left out."""
        written = values.text(value)
        if written is None or not self.date_format:
            return values.day(written)
        return _parsed(written, self.date_format, "date").date().isoformat()

    def moment(self, value: Any) -> str | None:
        """A time with its offset, RFC 3339; None where it has no offset, for that would be a guess."""
        written = values.text(value)
        if written is None or not self.time_format:
            return values.moment(written)
        moment = _parsed(written, self.time_format, "time")
        return None if moment.tzinfo is None else moment.isoformat()


def _all_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _parsed(written: str, form: str, what: str) -> datetime:
    try:
        return datetime.strptime(written, form)  # noqa: DTZ007 - whether it has an offset is asked by the caller
    except ValueError:
        raise ValueError(f"must be a {what} as {form}") from None
