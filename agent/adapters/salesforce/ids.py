"""Record ids of Salesforce. One record has two spellings, of 15 characters and of 18; here it has one. Pure."""

import re
from typing import Any

_ID = re.compile(r"[A-Za-z0-9]{15}([A-Za-z0-9]{3})?", re.ASCII)
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"

# The first three characters of an id tell what the record is.
TYPES = {
    "001": "Account",
    "003": "Contact",
    "801": "Order",
    "1Os": "OrderSummary",
    "01t": "Product2",
    "01u": "PricebookEntry",
    "50g": "CreditMemo",
}


def id18(value: Any) -> str | None:
    """The id in its long spelling; None for what is none, such as `@{refOrder.id}` in a template.

    The short spelling tells records apart by the case of letters. The three further characters say which are capital,
    five letters each, so that the long one survives where case is lost.
    """
    if not isinstance(value, str) or not _ID.fullmatch(value.strip()):
        return None
    short = value.strip()[:15]
    if len(value.strip()) == 18:
        return value.strip()
    chunks = (short[start : start + 5] for start in (0, 5, 10))
    return short + "".join(
        _SUFFIX[sum(1 << place for place, letter in enumerate(chunk) if "A" <= letter <= "Z")] for chunk in chunks
    )


def type_of(record_id: str | None) -> str | None:
    """What a record is by its id; None where its prefix is not among the known."""
    return TYPES.get(record_id[:3]) if record_id else None
