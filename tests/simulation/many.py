"""Many seeds, in one process or in several, and what they add up to."""

import concurrent.futures
import multiprocessing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.simulation.plan import generate
from tests.simulation.run import run

CHUNK = 25


@dataclass(slots=True)
class Sum:
    """Some seeds together. `failed` are the seeds that broke a promise, with the breaches."""

    seeds: int = 0
    acknowledged: int = 0
    calls: int = 0
    effects: int = 0
    lives: int = 0
    virtual_s: float = 0.0
    failed: dict[int, list[str]] = field(default_factory=dict)

    def add(self, other: "Sum") -> None:
        """Put another sum to this one."""
        for name in ("seeds", "acknowledged", "calls", "effects", "lives", "virtual_s"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.failed |= other.failed

    def __str__(self) -> str:
        return (
            f"{self.seeds:,} seeds: {self.acknowledged:,} acknowledgements, {self.calls:,} calls, {self.effects:,} "
            f"effects in Flash, {self.lives:,} lives of agents, {self.virtual_s / 3600:,.0f} virtual hours"
        )


def some(seeds: Sequence[int], *, stops: bool = False) -> Sum:
    """Run these seeds here; with `stops` only up to the first that fails."""
    found = Sum()
    for seed in seeds:
        seen = run(generate(seed))
        one = Sum(1, seen.acknowledged, seen.calls, seen.effects, seen.lives, seen.virtual_s)
        if seen.breaches:
            one.failed[seed] = seen.breaches
        found.add(one)
        if stops and found.failed:
            break
    return found


def many(seeds: Sequence[int], jobs: int) -> Iterator[Sum]:
    """Run them, a chunk at a time; what was seen so far after each."""
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    found = Sum()
    if jobs <= 1:
        for chunk in chunks:
            found.add(some(chunk))
            yield found
        return
    with concurrent.futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for done in concurrent.futures.as_completed([pool.submit(some, chunk) for chunk in chunks]):
            found.add(done.result())
            yield found
