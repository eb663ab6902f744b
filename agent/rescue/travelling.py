"""The form in which a dead till's operations travel: JSON, sealed as a whole (`agefile.py`).

    {"format": "flash-agent-rescue", "version": 1, "made": "…Z", "by": "0.1.0", "till": {"storeId", "tillId"},
     "origin": "hex", "operations": [Left, …], "missing": ["a sentence", …]}

`origin` tells this data directory from every other, whatever its till is called. Contents and bodies stand in it as
they stood in the rows, byte for byte.
"""

import re
from collections import Counter
from collections.abc import Sequence

import msgspec

from agent import jsons
from agent.errors import AgentError, Fault, InvalidError
from agent.outbox.left import Left
from agent.outbox.till import Till

FORMAT = "flash-agent-rescue"
VERSION = 1
OWED = "burned, discount owed"


class Rescue(msgspec.Struct, frozen=True):
    """All that was left on one till."""

    format: str
    version: int
    made: str
    by: str
    till: Till
    origin: str
    operations: list[Left]
    missing: list[str] = []

    def __repr__(self) -> str:
        return "<Rescue>"


class Load(msgspec.Struct, frozen=True, rename="camel"):
    """A part of it, on its way into a running agent."""

    version: int
    till: Till
    origin: str
    operations: list[Left]
    store_differs: bool = False

    def __repr__(self) -> str:
        return "<Load>"


_read_rescue = jsons.reader(Rescue)
_read_load = jsons.reader(Load)


def pack(rescue: Rescue) -> bytes:
    """As it is sealed."""
    return jsons.encode(rescue)


def unpack(plain: bytes) -> Rescue:
    """As it was packed; raises AgentError where it is something else, or of a later version."""
    try:
        about = jsons.loads_own(plain)
        known = isinstance(about, dict) and about.get("format") == FORMAT
        version = about.get("version") if known else None
        if version == VERSION:
            return _read_rescue(plain)
    except ValueError:
        known, version = False, None
    if known and version is not None:
        raise AgentError(f"The rescue is of version {version}; this program knows {VERSION}. Take a newer one.")
    raise AgentError("The sealed file opens, and holds no rescue.")


def unpack_load(body: bytes) -> Load:
    """A part; raises InvalidError naming the place that is wrong, and nothing of what stands there."""
    try:
        load = _read_load(body)
    except ValueError as error:
        place = re.search(r"at `\$\.?([^`]*)`", str(error))
        field = place[1] if place else ""
        raise InvalidError(
            "The body is no part of a rescue.", faults=[Fault(field, "is not as it should be")]
        ) from None
    if load.version != VERSION:
        raise InvalidError("The body is of another version.", faults=[Fault("version", f"must be {VERSION}")])
    return load


def counted(operations: Sequence[Left]) -> Counter[tuple[str, str]]:
    """How many there are, by kind and state; a redemption's state is the phase where that says more."""
    return Counter((each.kind.value, state_of(each)) for each in operations)


def owed_in(operations: Sequence[Left]) -> int:
    """How many discounts it owes: the one thing that does not go through Flash, and so could be given twice."""
    return sum(state_of(each) == OWED for each in operations)


def state_of(left: Left) -> str:
    """The status in words: of redemptions, what may be done with them."""
    was = left.redemption
    if was is None or left.status == "failed":
        return left.status.value
    if was.credit == "open":
        return OWED
    if was.phase == "owed":
        return "honored offline, to be sent"
    return "perhaps burned" if left.maybe_sent else "never sent"
