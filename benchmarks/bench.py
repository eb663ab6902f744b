"""What every measurement is handed: sizes, a scratch directory, C helpers, time left, room for results."""

from __future__ import annotations

import itertools
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.native_tools import NativeTools
from benchmarks.plan import Plan
from benchmarks.processes import REPOSITORY
from benchmarks.targets import Figure, Observation


class OutOfTimeError(RuntimeError):
    """The run has used the time it was given."""


@dataclass
class Bench:
    """One run. ``deadline`` (monotonic seconds) moves on from group to group; a group asks between its rounds."""

    plan: Plan
    directory: Path
    tools: NativeTools
    deadline: float
    figures: list[Figure] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def rounds(self, what: str) -> Iterator[int]:
        """The rounds of a measurement, numbered from 1; fewer, with a remark, when time runs out."""
        for number in range(1, self.plan.rounds + 1):
            if number > 1 and time.monotonic() > self.deadline:
                self.remark(f"{what}: {number - 1} of {self.plan.rounds} rounds, there was no time for more.")
                return
            self.check_time(what)
            print(f"{what}: round {number} of {self.plan.rounds}", file=sys.stderr, flush=True)
            yield number

    def check_time(self, what: str) -> None:
        """Raise when no time is left."""
        if time.monotonic() > self.deadline:
            raise OutOfTimeError(f"no time left for {what}")

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty directory on the disk under test, removed afterwards."""
        path = self.directory / f"part-{next(self._numbers)}"
        path.mkdir()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def unique(self) -> str:
        """A short prefix that no other burst uses."""
        return f"b{next(self._numbers)}"

    def remark(self, text: str) -> None:
        """Say something once under the tables of the report, without absolute paths."""
        text = text.replace(f"{REPOSITORY}/", "")
        if text not in self.remarks:
            self.remarks.append(text)
