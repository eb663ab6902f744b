"""The words of others without what is nobody's business: keys, e-mail addresses, telephone numbers, and given values.

Flash says in its own words why it refuses a document, and may repeat what it was sent, the key included. Those words
are kept with the operation and shown; what they repeat of a customer or a key is masked before.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from agent import jsons

MASK = "***"
_KEY = r"\bfl_[A-Za-z0-9]+_[^\s\"'<>,;]*|\bBearer\s+[^\s\"'<>,;]+"
# Tried where a word begins alone, or a long text without an address would take the square of its length.
_EMAIL = r"(?<![^\s\"'<>()\[\],;:@/\\=&?])[^\s\"'<>()\[\],;:@/\\=]+(?:@|%40)[^\s\"'<>()\[\],;:@/\\=&?]+"
_PHONE = r"\+\d[\d ()/.\-]{5,}\d"
_ADDRESSES = re.compile(_EMAIL, re.IGNORECASE)
_OTHERS = re.compile(f"{_KEY}|{_PHONE}", re.IGNORECASE)
_PERSONAL = frozenset({"email", "fullName", "phone", "externalId", "memberId"})
_SHORTEST = 3  # a shorter value would mask half of an ordinary sentence


def scrubbed(text: str, values: Iterable[str] = ()) -> str:
    """The text with keys, addresses, numbers and each of the values masked, in whatever case."""
    own = sorted({value.strip() for value in values if len(value.strip()) >= _SHORTEST}, key=len, reverse=True)
    if own:
        text = re.sub("|".join(map(re.escape, own)), MASK, text, flags=re.IGNORECASE)
    return _ADDRESSES.sub(MASK, _OTHERS.sub(MASK, text))


def personal_values(body: bytes) -> list[str]:
    """What a document that goes to Flash says of a person; a name also word by word. Empty where it is no JSON."""
    try:
        return list(_personal(jsons.loads(body)))
    except ValueError:
        return []


def _personal(document: Any) -> Iterator[str]:
    if not isinstance(document, dict):
        return
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _personal(value)
        elif name in _PERSONAL and isinstance(value, str):
            yield value
            if name == "fullName":
                yield from value.split()
