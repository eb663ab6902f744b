"""`config receipts`: every line of a receipt as this store's settings word it.

For whoever writes a file of the store's own lines: what is wider than the narrowest printer is marked.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.config import Settings
    from agent.receipt.wording import Wording

COLUMNS = 40
_NOW = datetime(2026, 11, 25, 19, 4, tzinfo=UTC)
_SOLD = {"totalAmount": Decimal("1234.50")}
_SAMPLES: tuple[tuple[str, "Callable[[Wording], Sequence[str]]"], ...] = (
    ("sale, 1 point", lambda of: of.operation("sale", "succeeded", {"awarded": 1, "balance": 1820}, _SOLD)),
    ("sale", lambda of: of.operation("sale", "succeeded", {"awarded": 12_345, "balance": 1_234_567}, _SOLD)),
    ("sale of no member", lambda of: of.operation("sale", "succeeded", {"reason": "not-a-member"}, _SOLD)),
    ("sale, pending", lambda of: of.operation("sale", "pending", None, _SOLD)),
    ("sale, failed", lambda of: of.operation("sale", "failed", None, _SOLD)),
    ("refund", lambda of: of.operation("refund", "succeeded", {"clawedBack": 12_345, "balance": 1820}, _SOLD)),
    ("refund, pending", lambda of: of.operation("refund", "pending", None, _SOLD)),
    ("refund, failed", lambda of: of.operation("refund", "failed", None, _SOLD)),
    ("enrollment", lambda of: of.operation("enrollment", "succeeded")),
    ("enrollment, pending", lambda of: of.operation("enrollment", "pending")),
    ("enrollment, failed", lambda of: of.operation("enrollment", "failed")),
    ("coupon honored", lambda of: of.redemption(honor=True, basis="flash")),
    ("coupon refused", lambda of: of.redemption(honor=False, basis="flash")),
    ("coupon, not sent", lambda of: of.redemption(honor=False, basis="not-sent")),
    ("coupon, unconfirmed", lambda of: of.redemption(honor=False, basis="unconfirmed")),
    ("look-up", lambda of: of.member(1820, sales=1, amount=_SOLD["totalAmount"])),
    ("look-up, offline", lambda of: of.member(1820, as_of=_NOW - timedelta(days=9), now=_NOW, sales=12)),
    ("look-up, enrolled here", lambda of: of.member(None, local=True)),
)


def show(settings: "Settings", language: str | None) -> int:
    """Print the lines in the store's language, or another."""
    for row in samples(settings, language):
        print(row)
    return 0


def samples(settings: "Settings", language: str | None) -> Iterator[str]:
    """The rows to print; raises ConfigError where the store's own lines are faulty by now."""
    from agent.config import wordings_of
    from agent.errors import ConfigError
    from agent.receipt import LANGUAGES, negotiation

    wordings = wordings_of(settings)
    if language and negotiation.supported(language) is None:
        raise ConfigError(f"There are no lines in {language!r}; there are {', '.join(LANGUAGES)}.")
    of = wordings.of(negotiation.supported(language) or "") if language else wordings.default
    yield f"language {of.tag}"
    for name, say in _SAMPLES:
        yield ""
        yield f"{name}:"
        for line in say(of) or ("(prints nothing)",):
            width = columns(line)
            mark = f"   <- {width} columns, a narrow printer has {COLUMNS}" if width > COLUMNS else ""
            yield f"  {line}{mark}"


def columns(line: str) -> int:
    """How many columns a printer needs: two for a wide character."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line)
