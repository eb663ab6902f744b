"""The figures that are promised: what each compares, its floor (must be met) and its goal (where we head)."""

from __future__ import annotations

from dataclasses import dataclass

PER_SECOND = "/s"
TIMES = "\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Target:
    """One figure with its two marks; without a unit of its own it is a ratio within one run."""

    key: str
    name: str
    floor: float
    goal: float
    higher_is_better: bool
    unit: str = TIMES

    def met(self, value: float, mark: float) -> bool:
        """Whether a measured value reaches the floor or the goal."""
        return value >= mark if self.higher_is_better else value <= mark

    def distance_percent(self, value: float, mark: float) -> float:
        """How far beyond a mark (positive) or short of it (negative), in percent of the mark."""
        gap = value - mark if self.higher_is_better else mark - value
        return 100 * gap / mark


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured target; ``value`` is None when it could not be measured, and ``note`` says why or how."""

    target: Target
    value: float | None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """A row of what lies under the figures: medians over the rounds; empty cells are None."""

    subject: str
    clients: int | None = None
    rate_per_s: float | None = None
    range_per_s: tuple[float, float] | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    note: str = ""


ACCEPT = Target(
    "accept",
    "accept at 32 clients ÷ min(the same server without storage, raw group commit)",
    floor=0.50,
    goal=0.70,
    higher_is_better=True,
)
NAIVE = Target("accept-naive", "÷ the naive per-row aiosqlite server", floor=5, goal=8, higher_is_better=True)
REDIS = Target("accept-redis", "÷ Redis always through its Python client", floor=0.7, goal=1.0, higher_is_better=True)
SLOW = Target("accept-slow", "with 2 ms fsync ÷ raw group limit", floor=0.70, goal=0.80, higher_is_better=True)
TAIL = Target("accept-p99", "p99 at 32 ÷ the server without storage", floor=3, goal=2, higher_is_better=False)
DRAIN = Target("drain", "drain by batches ÷ one at a time", floor=80, goal=95, higher_is_better=True)
CASHIER = Target(
    "cashier",
    "a waiting cashier's p99 during a drain of the backlog ÷ idle",
    floor=2,
    goal=1.5,
    higher_is_better=False,
)
RSS = Target("rss", "idle RSS", floor=65, goal=50, higher_is_better=False, unit="MB")
WAKEUPS = Target("wakeups", "wakeups per second when idle", floor=0.2, goal=0, higher_is_better=False, unit=PER_SECOND)
START = Target("start", "start to listening ÷ importing aiohttp.web", floor=2.0, goal=1.3, higher_is_better=False)
STORED = Target(
    "stored",
    "accept p50 with many operations stored ÷ with few",
    floor=1.5,
    goal=1.2,
    higher_is_better=False,
)
FRESH = Target("lookup-fresh", "look-up p50 from a fresh snapshot", floor=5, goal=2, higher_is_better=False, unit="ms")
HOLE = Target(
    "lookup-hole",
    "look-up p99 with the line black-holed, beyond the budget",
    floor=50,
    goal=20,
    higher_is_better=False,
    unit="ms",
)
HELD = Target("held", "RSS with a whole store's members held ÷ before", floor=1.2, goal=1.1, higher_is_better=False)
IMPORT_MEMORY = Target(
    "import-memory",
    "peak memory of an import of a large file ÷ of its hundredth part",
    floor=1.3,
    goal=1.1,
    higher_is_better=False,
)
ALL = (
    ACCEPT,
    NAIVE,
    REDIS,
    SLOW,
    TAIL,
    DRAIN,
    CASHIER,
    RSS,
    WAKEUPS,
    START,
    STORED,
    FRESH,
    HOLE,
    HELD,
    IMPORT_MEMORY,
)
