"""The Prefer header (RFC 7240): `wait` in seconds and `handling`."""

import re
from collections.abc import Sequence

import msgspec

from agent.errors import BadRequestError

MAX_WAIT_S = 30.0


class Preference(msgspec.Struct, frozen=True):
    """What the register asked for."""

    wait_s: float = 0.0
    strict: bool = False


def parse(headers: Sequence[str], default_wait_s: float = 0.0) -> Preference:
    """Read the preferences; unknown ones are ignored, as the RFC asks; a wait that is no number is a fault."""
    wait_s, strict = default_wait_s, False
    if not headers:
        return Preference(wait_s, strict)
    seen: set[str] = set()
    for preference in (part.strip() for header in headers for part in header.split(",")):
        name, _, value = preference.partition(";")[0].partition("=")
        value = value.strip().strip('"')
        name = name.strip().lower()
        if name in seen:
            continue  # of a preference given twice the first counts (RFC 7240, section 2)
        seen.add(name)
        match name:
            case "wait":
                if not re.fullmatch(r"\d{1,40}(\.\d{1,40})?", value, re.ASCII):
                    raise BadRequestError("Prefer: wait takes a number of seconds, such as wait=2.", code="bad-header")
                wait_s = min(float(value), MAX_WAIT_S)
            case "handling":
                strict = value.lower() == "strict"
    return Preference(wait_s, strict)
