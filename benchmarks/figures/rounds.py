"""Bursts collected over alternating rounds, and what is derived from them."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence

from benchmarks.bench import Bench
from benchmarks.drive import Burst
from benchmarks.processes import ChildError
from benchmarks.stats import median, median_ratio
from benchmarks.targets import Observation

Bursts = dict[int, Burst]  # by number of clients


class Rounds:
    """Bursts by subject and number of clients. A subject that fails once is left out, with a remark."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._bursts: dict[tuple[str, int], list[Burst]] = defaultdict(list)
        self._failed: set[str] = set()

    def run(self, what: str, subjects: dict[str, Callable[[], Bursts]]) -> None:
        """Every subject once per round; the order rotates, so that no subject always runs on a warm disk."""
        for number in self._bench.rounds(what):
            names = list(subjects)
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                if name not in self._failed:
                    self._run_one(name, subjects[name])

    def _run_one(self, name: str, subject: Callable[[], Bursts]) -> None:
        try:
            for clients, burst in subject().items():
                self._bursts[name, clients].append(burst)
        except (ChildError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            self._failed.add(name)
            self._bench.remark(f"{name} failed and is left out: {str(error).splitlines()[0]}")

    def bursts(self, name: str, clients: int) -> list[Burst]:
        """All rounds of a subject; empty when it was not measured or failed."""
        return [] if name in self._failed else self._bursts.get((name, clients), [])

    def rates(self, name: str, clients: int) -> list[float]:
        """Per second, a value per round."""
        return [burst.rate_per_s for burst in self.bursts(name, clients)]

    def rate_ratio(self, over: str, under: Sequence[str], clients: int) -> float | None:
        """Rate of one subject ÷ the lowest of others, round by round, then the median."""
        top = self.rates(over, clients)
        below = [self.rates(name, clients) for name in under]
        if not top or not below or not all(below):
            return None
        lowest = [min(values) for values in zip(*below, strict=True)]
        return median_ratio(top, lowest)

    def tail_ratio(self, over: str, under: str, clients: int) -> float | None:
        """p99 ÷ p99, round by round, then the median."""
        top = [burst.p99_ms for burst in self.bursts(over, clients)]
        below = [burst.p99_ms for burst in self.bursts(under, clients)]
        return median_ratio(top, below) if top and below else None

    def observe(self, name: str, note: str = "") -> None:
        """Note the medians of a subject for the report."""
        for clients in sorted({count for subject, count in self._bursts if subject == name}):
            bursts = self.bursts(name, clients)
            if not bursts:
                continue
            rates = self.rates(name, clients)
            load = median([burst.cpu_share for burst in bursts])
            notes = [note or bursts[0].described, f"load generator {load:.0%} of a core" if load else ""]
            self._bench.observations.append(
                Observation(
                    subject=name,
                    clients=clients,
                    rate_per_s=median(rates),
                    range_per_s=(min(rates), max(rates)),
                    p50_ms=median([burst.p50_ms for burst in bursts]),
                    p99_ms=median([burst.p99_ms for burst in bursts]),
                    note="; ".join(text for text in notes if text),
                )
            )
