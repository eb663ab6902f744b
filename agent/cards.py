"""Payment card numbers have no business here: in free text they are masked before anything is stored.

Only free text (a name, a reason) is looked at. Ids are never judged: loyalty cards, and one order number in ten, pass
the Luhn check as well.
"""

import re

_REGION = re.compile(r"[0-9]+(?:[ \-.][0-9]+)*")
_GROUP = re.compile(r"[0-9]+")
SHORTEST, LONGEST = 13, 19


def _passes_luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _cards(region: str) -> list[tuple[int, int]]:
    """Spans of neighbouring digit groups that make a card number, the longest first, none overlapping."""
    groups = [match.span() for match in _GROUP.finditer(region)]
    candidates = []
    for first, (start, _) in enumerate(groups):
        digits = ""
        for begin, end in groups[first : first + LONGEST]:
            digits += region[begin:end]
            if len(digits) > LONGEST:
                break
            if len(digits) >= SHORTEST and _passes_luhn(digits):
                candidates.append((len(digits), start, end))
    taken: list[tuple[int, int]] = []
    for _, start, end in sorted(candidates, reverse=True):
        if all(end <= begin or start >= finish for begin, finish in taken):
            taken.append((start, end))
    return taken


def _mask(match: re.Match[str]) -> str:
    region = match.group()
    for start, end in sorted(_cards(region), reverse=True):
        digits = "".join(_GROUP.findall(region[start:end]))
        region = f"{region[:start]}{'*' * (len(digits) - 4)}{digits[-4:]}{region[end:]}"
    return region


def mask_card_numbers(text: str) -> str:
    """The text with every 13 to 19 digits that pass Luhn, spaced or not, reduced to the last four."""
    return _REGION.sub(_mask, text)
