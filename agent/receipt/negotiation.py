"""Which language a register gets: what its `Accept-Language` prefers, else the store's, else English. Pure.

RFC 9110, section 12.5.4, with the look-up of RFC 4647: `de-AT` is answered in German with Austria's numbers. What is
malformed in the header is passed over, never refused: HTTP libraries fill it in unasked.
"""

import re

from agent.receipt import LANGUAGES

DEFAULT = "en"
_MAX_RANGES = 32
_REGIONAL = frozenset({"en", "de", "fr", "es"})  # whose numbers differ by region
_RANGE = re.compile(
    r"[ \t]*(\*|[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)[ \t]*(?:;[ \t]*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)[ \t]*)?",
    re.ASCII,
)
_REGION = re.compile(r"[A-Za-z]{2}", re.ASCII)


def supported(tag: str) -> str | None:
    """The tag as this program spells it, `de` or `de-AT`; None where there are no lines in its language."""
    language, *rest = tag.replace("_", "-").split("-")
    language = language.lower()
    if language not in LANGUAGES:
        return None
    region = next((part.upper() for part in rest if _REGION.fullmatch(part)), None)
    return f"{language}-{region}" if region and language in _REGIONAL else language


def choose(accept_language: str, store: str) -> str:
    """The tag to answer with. `store` is the store's own, as `supported` spells it."""
    wanted: list[tuple[float, str]] = []
    refused: set[str] = set()
    for part in accept_language.split(",")[:_MAX_RANGES]:
        match = _RANGE.fullmatch(part)
        if match is None:
            continue
        quality = float(match[2]) if match[2] else 1.0
        if quality:
            wanted.append((quality, match[1]))
        else:
            refused.add(match[1].lower())
    for _, asked in sorted(wanted, key=lambda one: -one[0]):
        tag = store if asked == "*" else supported(asked)
        if tag is not None and not _is_refused(tag, refused):
            return store if tag == _language(store) else tag
    return DEFAULT if _is_refused(store, refused) else store


def _is_refused(tag: str, refused: set[str]) -> bool:
    return tag.lower() in refused or _language(tag) in refused


def _language(tag: str) -> str:
    return tag.partition("-")[0]
