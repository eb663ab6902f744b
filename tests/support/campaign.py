"""What a campaign is, what it counts, and how it runs: in a process of its own, against the tree or a weakened copy.

`python -m tests.support.campaign NAME --size short --seed 7 --report FILE` runs one of `tests.campaigns.ALL`. It exits
with 0 when the promise held, with 1 when it was broken, with 2 when the campaign itself failed. A control counts only
when its run ends with 1: a weakened agent that merely does not start proves nothing.
"""

import argparse
import dataclasses
import enum
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.weakened import Change

HELD, BROKEN, FAULTY = 0, 1, 2
CONTROL_VARIABLE = "CAMPAIGN_IS_CONTROL"


class Size(enum.StrEnum):
    """How much is tried: SHORT fits into a minute or so; LONG is what docs/reliability.md reports."""

    SHORT = "short"
    LONG = "long"


def is_control() -> bool:
    """Whether this process runs a control, in the short form: the first breach is all that it is run for."""
    return CONTROL_VARIABLE in os.environ


@dataclass(slots=True)
class Tally:
    """What a campaign saw.

    `tries` counts in the campaign's own unit. `lost` and `doubled` count operations that the agent had acknowledged;
    `breaches` says in words what was wrong, these included (the first few are enough). `figures` are what was measured.
    """

    tries: int = 0
    lost: int = 0
    doubled: int = 0
    breaches: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """Whether a breach was seen."""
        return bool(self.lost or self.doubled or self.breaches)

    @property
    def held(self) -> bool:
        """Whether something was tried and nothing was broken."""
        return self.tries > 0 and not self.broken


@dataclass(frozen=True, slots=True)
class Control:
    """A weakness that the campaign must find: changes to the product's source, and the seed that shows it soonest."""

    weakness: str
    changes: tuple[Change, ...]
    seed: int = 0


def _nothing_missing() -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Campaign:
    """One promise and the attempt to break it.

    `run(size, seed)` tries and tallies; where `is_control()` it stops at its first breach. `missing` says what this
    machine lacks for it, with the line that mends it, or None. `alone` keeps other campaigns from running beside it,
    for those that measure time.
    """

    name: str
    promise: str
    unit: str
    run: Callable[[Size, int], Tally]
    controls: tuple[Control, ...] = ()
    missing: Callable[[], str | None] = _nothing_missing
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """A tally with how long it took."""

    tally: Tally
    seconds: float

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Report":
        """What `write` wrote."""
        said = json.loads(path.read_text())
        return cls(Tally(**said["tally"]), said["seconds"])


def run_one(campaigns: Sequence[Campaign], arguments: Sequence[str]) -> int:
    """Run one campaign in this process and say how it went, in the exit code and in a file."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.campaign")
    parser.add_argument("name", choices=[campaign.name for campaign in campaigns])
    parser.add_argument("--size", type=Size, choices=list(Size), default=Size.SHORT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path)
    chosen = parser.parse_args(arguments)
    campaign = next(campaign for campaign in campaigns if campaign.name == chosen.name)
    begun = time.monotonic()
    try:
        tally = campaign.run(chosen.size, chosen.seed)
    except Exception:
        traceback.print_exc()
        return FAULTY
    report = Report(tally, round(time.monotonic() - begun, 1))
    if chosen.report is not None:
        report.write(chosen.report)
    print(json.dumps(dataclasses.asdict(report), indent=1))
    if tally.broken:
        return BROKEN
    return HELD if tally.tries else FAULTY  # what tried nothing neither shows a promise nor finds a weakness


if __name__ == "__main__":
    from tests.campaigns import ALL

    itself = sys.modules["tests.support.campaign"]  # as the campaigns know it; run as a program it is another module
    sys.exit(itself.run_one(ALL, sys.argv[1:]))
