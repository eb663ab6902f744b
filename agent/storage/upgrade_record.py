"""How the upgrade stands: `upgrades/state.json`, replaced whole.

It outlives versions: a later one may add fields, and none may change what one means.

    format    1
    phase     begun      a program began to migrate, and has not got ready yet
              ready      the program `to` got ready
              put-back   `to` never got ready: its database was set aside, and what `from` had is in its place
    from, to  each with `program` (a version) and `schema` (the newest migration of each room); `from` may be null
    at        when it came to this, RFC 3339, by the till's clock
    snapshot  the database as `from` left it: a file beside this one, or null
    figures   what was counted in it
    anew      true: there was nothing to migrate, for the database had just been set aside, damaged
"""

import json
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from agent import plainfile
from agent.storage.durable import write_durably
from agent.storage.figures import Figures

Phase = Literal["begun", "ready", "put-back"]
_FORMAT = 1


class Version(msgspec.Struct, frozen=True):
    """A program and the schema that it knows."""

    program: str
    schema: dict[str, int]


class Record(msgspec.Struct, frozen=True):
    """One state."""

    phase: Phase
    to: Version
    at: str
    former: Version | None = None
    snapshot: str | None = None
    figures: Figures = msgspec.field(default_factory=dict)
    anew: bool = False

    @property
    def last_ready(self) -> Version | None:
        """The version that was the last to get ready."""
        return self.to if self.phase == "ready" else self.former


def path_in(upgrades: Path) -> Path:
    """Where it lies in the folder of upgrades."""
    return upgrades / "state.json"


def read(path: Path) -> Record | None:
    """The record; None where there is none, or none that can be read."""
    try:
        said = json.loads(plainfile.read(path))
        to, former = _version(said["to"]), _version(said["from"])
        if to is None or said["phase"] not in {"begun", "ready", "put-back"}:
            return None
        snapshot = said["snapshot"]
        if snapshot is not None and Path(snapshot).name != snapshot:
            return None
        return Record(
            said["phase"], to, str(said["at"]), former, snapshot, dict(said["figures"]), said.get("anew") is True
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _version(said: Any) -> Version | None:
    if said is None:
        return None
    return Version(str(said["program"]), {str(room): int(number) for room, number in said["schema"].items()})


def write(path: Path, record: Record) -> None:
    """Replace the record, durably; raises OSError."""
    document = {
        "format": _FORMAT,
        "phase": record.phase,
        "from": _document(record.former),
        "to": _document(record.to),
        "at": record.at,
        "snapshot": record.snapshot,
        "figures": record.figures,
        "anew": record.anew,
    }
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_durably(path, json.dumps(document, indent=1).encode())


def _document(version: Version | None) -> dict[str, Any] | None:
    return None if version is None else cast("dict[str, Any]", {"program": version.program, "schema": version.schema})
