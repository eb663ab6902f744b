"""Reads the lock files: what is pinned, under which hashes, and for whose sake."""

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCKED = ROOT / "requirements"
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._\-]+)==(?P<version>[^\s;\\]+)(?:\s*;\s*(?P<marker>[^\\]+?))?\s*\\?")
_HASH = re.compile(r"\s+--hash=sha256:(?P<hash>[0-9a-f]{64})(?: \\)?")
_VIA = re.compile(r"\s+#(?: via)?(?: +(?:-c )?(?P<name>[A-Za-z0-9._\-]+)(?:/[a-z]+\.txt)?(?: \([a-z.:\-]+\))?)?")


@dataclass(slots=True)
class Pinned:
    """One requirement: `via` names who needs it, `marker` where it is needed (empty: everywhere)."""

    name: str
    version: str
    marker: str = ""
    hashes: list[str] = field(default_factory=list)
    via: list[str] = field(default_factory=list)


def read(path: Path) -> list[Pinned]:
    """All requirements of a lock file; raises ValueError naming a line that is none."""
    found: list[Pinned] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        if match := _PINNED.fullmatch(line):
            found.append(Pinned(match["name"], match["version"], (match["marker"] or "").strip()))
        elif found and (match := _HASH.fullmatch(line)):
            found[-1].hashes.append(match["hash"])
        elif found and (match := _VIA.fullmatch(line)):
            found[-1].via += [match["name"]] if match["name"] else []
        elif line.strip():
            raise ValueError(f"{path.name}:{number}: neither a pinned requirement, a hash nor a reason: {line!r}")
    return found
