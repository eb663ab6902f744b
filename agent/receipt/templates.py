"""The lines there are, what each may hold, and how they are read: each language's own, and a store's in their place.

A template is a text with placeholders in braces, or, where it counts something, a table of such texts by plural
category (`one`, `many`, `other`; a single text serves them all). An empty text prints nothing. Called at start, and
when a language is first asked for; faults are a ValueError that names each of them, and the mend.
"""

import errno
import functools
import string
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent import plainfile
from agent.receipt import LANGUAGES, TEMPLATES

MAX_FILE_BYTES = 64 * 1024
MAX_CHARS = 120

Line = Mapping[str, str]  # by plural category; a line that counts nothing has `other` alone
Lines = Mapping[str, Line]


class Form(msgspec.Struct, frozen=True):
    """What a line may hold; `counted` is the placeholder whose number chooses the plural."""

    placeholders: frozenset[str]
    counted: str | None = None


def _form(*placeholders: str, counted: str | None = None) -> Form:
    return Form(frozenset(placeholders) | ({counted} if counted else frozenset()), counted)


FORMS: Mapping[str, Form] = {
    "sale_earned": _form("amount", counted="points"),
    "sale_pending": _form("amount"),
    "sale_not_member": _form("amount"),
    "sale_failed": _form("amount"),
    "refund_taken_back": _form("amount", counted="points"),
    "refund_pending": _form("amount"),
    "refund_failed": _form("amount"),
    "balance": _form("balance"),
    "enrollment_welcome": _form(),
    "enrollment_pending": _form(),
    "enrollment_failed": _form(),
    "redemption_honored": _form(),
    "redemption_refused": _form(),
    "redemption_not_sent": _form(),
    "redemption_unconfirmed": _form(),
    "member_balance_as_of": _form("balance", "time"),
    "member_sales_pending": _form("amount", counted="sales"),
    "member_local": _form(),
}

# As Babel has them; a test compares. Here, so that reading a template needs no Babel.
CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "en": ("one", "other"),
    "de": ("one", "other"),
    "fr": ("one", "many", "other"),
    "es": ("one", "many", "other"),
    "zh": ("other",),
    "ja": ("other",),
}


@functools.cache
def built_in(language: str) -> Lines:
    """The lines of a language as they come with the agent."""
    table = tomllib.loads((TEMPLATES / f"{language}.toml").read_text("utf-8"))
    faults = list(_language_faults(language, table))
    if faults:
        raise ValueError("; ".join(faults))
    return {name: _line(value) for name, value in table.items()}


def read_own(path: Path) -> Mapping[str, Lines]:
    """A store's own lines, by language, from its file; raises ValueError naming every fault."""
    try:
        text = plainfile.read(path, follow=True, limit=MAX_FILE_BYTES)
        table = tomllib.loads(text.decode("utf-8-sig"))
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise ValueError(f"has more than {MAX_FILE_BYTES} bytes") from None
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ValueError(f"is not valid TOML: {error}") from None
    faults = list(_faults(table))
    if faults:
        raise ValueError("; ".join(faults))
    return {language: {name: _line(value) for name, value in lines.items()} for language, lines in table.items()}


@functools.lru_cache(maxsize=512)
def placeholders(template: str) -> frozenset[str]:
    """The names in braces; raises ValueError where braces or names are malformed."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        raise ValueError("has unbalanced braces") from None
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise ValueError("must hold plain placeholders, such as {points}")
    return frozenset(name for _, name, _, _ in parts if name is not None)


def _line(value: str | Mapping[str, str]) -> Line:
    return {"other": value} if isinstance(value, str) else value


def _faults(table: Mapping[str, Any]) -> Iterator[str]:
    for language, lines in table.items():
        if language not in LANGUAGES:
            yield f"[{language}] is no language of receipts{_hint(language, LANGUAGES)}"
        elif not isinstance(lines, dict):
            yield f"{language} must be a table of lines, written [{language}]"
        else:
            yield from _language_faults(language, lines)


def _language_faults(language: str, lines: Mapping[str, Any]) -> Iterator[str]:
    for name, value in lines.items():
        place = f"[{language}] {name}"
        form = FORMS.get(name)
        if form is None:
            yield f"{place} is no line of a receipt{_hint(name, FORMS)}"
        elif isinstance(value, str):
            yield from _template_faults(place, form, value)
        elif isinstance(value, dict) and form.counted:
            yield from _plural_faults(language, place, form, value)
        else:
            yield f"{place} must be a text{' or a table of texts by plural category' if form.counted else ''}"


def _plural_faults(language: str, place: str, form: Form, table: Mapping[str, Any]) -> Iterator[str]:
    categories = CATEGORIES[language]
    if "other" not in table:
        yield f"{place} needs a text for the plural category 'other'"
    for category, template in table.items():
        if category not in categories:
            yield f"{place}.{category} is no plural category of {language}{_hint(category, categories)}"
        elif not isinstance(template, str):
            yield f"{place}.{category} must be a text"
        else:
            yield from _template_faults(f"{place}.{category}", form, template)


def _template_faults(place: str, form: Form, template: str) -> Iterator[str]:
    if len(template) > MAX_CHARS:
        yield f"{place} must have at most {MAX_CHARS} characters"
    if not template.isprintable():
        yield f"{place} must be one line without control characters"
    try:
        unknown = sorted(placeholders(template) - form.placeholders)
    except ValueError as fault:
        yield f"{place} {fault}"
        return
    if unknown:
        there_are = _hint(unknown[0], sorted(form.placeholders)) if form.placeholders else "; it takes none"
        yield f"{place} knows no placeholder {{{unknown[0]}}}{there_are}"


def _hint(name: str, known: Iterable[str]) -> str:
    import difflib  # noqa: PLC0415 - for a misspelt name alone

    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]!r}?)" if close else f"; there are {', '.join(known)}"
