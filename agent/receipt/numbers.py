"""Numbers, money, times and plurals as a locale writes them, through Babel.

Babel is imported at the first number that is printed, for it takes some 20 ms and 5 MB once and 1 MB a language: a
till on which nobody asks for Flash's word never pays that. What a receipt printer's code page lacks (narrow and
non-breaking blanks, the typographic apostrophe) becomes its plain twin.
"""

import functools
import re
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel import Locale

_PRINTABLE = str.maketrans({"\u202f": " ", "\u00a0": " ", "\u2019": "'", "\u2212": "-", "\u200e": None})
_REMEMBERED = 256  # numbers: most sales earn what another earned before
_CODE_THEN_DIGIT = re.compile(r"(?<=[A-Z])(?=\d)")


class Numbers:
    """One tag's way of writing, `de` or `de-AT`; an unknown region writes as its language does."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self.integer = functools.lru_cache(_REMEMBERED)(self._integer)
        self.plural = functools.lru_cache(_REMEMBERED)(self._plural)

    @functools.cached_property
    def _locale(self) -> "Locale":
        from babel import Locale, UnknownLocaleError  # noqa: PLC0415 - see the module's docstring

        language, _, region = self._tag.partition("-")
        try:
            return Locale.parse(f"{language}_{region}" if region else language)
        except (UnknownLocaleError, ValueError):
            return Locale.parse(language)

    def _integer(self, value: int) -> str:
        """`1,820`"""
        from babel.numbers import format_decimal  # noqa: PLC0415 - as above

        return format_decimal(value, locale=self._locale).translate(_PRINTABLE)

    def money(self, amount: Decimal, currency: str) -> str:
        """`€1,234.50`, with the decimals of the currency."""
        from babel.numbers import format_currency  # noqa: PLC0415 - as above

        written = format_currency(amount, currency, locale=self._locale).translate(_PRINTABLE)
        return _CODE_THEN_DIGIT.sub(" ", written)  # CLDR's rule for `KWD 1.500`, which Babel leaves out

    def moment(self, moment: datetime, now: datetime) -> str:
        """A local time as short as it can be: without its date where that is today's."""
        from babel.dates import format_date, format_time  # noqa: PLC0415 - as above

        time = format_time(moment, "short", locale=self._locale)
        if moment.date() != now.date():
            time = f"{format_date(moment, 'short', locale=self._locale)} {time}"
        return time.translate(_PRINTABLE)

    def _plural(self, count: int) -> str:
        """The plural category: `one`, `many` or `other`."""
        return str(self._locale.plural_form(abs(count)))
