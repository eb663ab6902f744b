"""Many tills and one Flash with a rate limit, in virtual time: a heap of events, and no sockets.

A till's decisions are the product's own: `Line` says what may go and when, told by `judge` what each answer means. What
the relay adds is repeated here in small: a probe where the line wants one, batches of a hundred while the line permits
the backlog, waiting registers at once. Times are seconds since Flash came back.
"""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agent.clock import Clock
from agent.delivery import Contact, Fate, Kind, Outcome
from agent.flash.outcome import judge
from agent.outbox.line import Line
from agent.outbox.pace import Pace
from agent.outbox.relay import BATCHES_IN_FLIGHT, MAX_BATCH

SETTLED = Outcome(Fate.SUCCEEDED, Contact.ANSWERED, http_status=200)
UNREACHABLE = Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", unsent=True)
BOOTED_S = 1_000_000.0  # a steady clock is never negative
NEVER = float("-inf")
EPOCH = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class VirtualTime(Clock):
    """A clock that the heap of events drives."""

    def __init__(self, begin: float) -> None:
        super().__init__()
        self.at = begin
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.at)

    def monotonic(self) -> float:
        return BOOTED_S + self.at

    def at_time(self, at: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), what))

    def run(self, until: float, is_done: Callable[[], bool]) -> None:
        """Let what is due happen, in order, until a time, or until it is done."""
        while self._events and self._events[0][0] <= until and not is_done():
            self.at, _, what = heapq.heappop(self._events)
            what()


@dataclass(slots=True)
class LimitedFlash:
    """`limit` calls a window of `window_s` (fixed windows); beyond it 429, with a Retry-After to the window's end."""

    time: VirtualTime
    limit: int
    window_s: float
    arrivals: "Counter[int]" = field(default_factory=Counter)  # by second
    taken: "Counter[int]" = field(default_factory=Counter)  # by window
    refused: int = 0

    def ask(self) -> tuple[Outcome, float]:
        """The answer to one call that arrives now, and until when its sender is to be silent."""
        at = self.time.at
        if at < 0:
            return UNREACHABLE, NEVER
        self.arrivals[int(at)] += 1
        window = int(at / self.window_s)
        self.taken[window] += 1
        if self.taken[window] <= self.limit:
            return SETTLED, NEVER
        self.refused += 1
        pause_s = float(max(1, -int(-((window + 1) * self.window_s - at) // 1)))  # whole seconds, rounded up
        return judge(Kind.SALE, 429, b"{}", retry_after=pause_s), at + pause_s

    def peak(self, since: float) -> float:
        """The most arrivals in any span as long as the limit's window that begins after `since`, over the limit."""
        span = max(1, round(self.window_s))
        seconds = range(int(since), max(self.arrivals, default=0) + 1)
        each = [self.arrivals[second] for second in seconds]
        sums = [sum(each[start : start + span]) for start in range(max(1, len(each) - span + 1))]
        return max(sums, default=0) / (self.limit * span / self.window_s)


@dataclass(slots=True)
class Fleet:
    """What all tills share, and what is counted of them."""

    time: VirtualTime
    flash: LimitedFlash
    chance: random.Random
    outage_s: float
    sale_every_s: float
    early: int = 0  # calls inside a Retry-After that the till had heard of
    offline_sales: int = 0  # accepted without a call
    owing: int = 0  # tills that have not sent all of what the outage left them
    drained_at: float = 0.0


class FleetTill:
    """One till: a line, a backlog, and registers that sell now and then."""

    def __init__(self, fleet: Fleet, backlog: int) -> None:
        self._fleet = fleet
        self._time = fleet.time
        begin = fleet.time.at
        fleet.time.at = -fleet.outage_s
        self.line = Line(
            fleet.time, max_in_flight=8, start_delay_s=0.0, hold_probe_s=60.0, pace=Pace(fleet.chance.uniform)
        )
        for _ in range(8):  # as good as an hour of it
            self.line.report("", UNREACHABLE, probe=True)
        fleet.time.at = begin
        self.backlog = self._owed = backlog
        fleet.owing += 1
        self._in_flight = 0
        self._probing = False
        self._silent_until = NEVER
        self._woken_for = float("inf")
        self._time.at_time(begin + fleet.chance.uniform(0, 15), self._look)
        self._time.at_time(fleet.chance.uniform(0, fleet.sale_every_s), self._sell)

    def _sell(self) -> None:
        """A register sells and waits: its sale goes at once, or joins the backlog."""
        self._time.at_time(self._time.at + self._fleet.chance.expovariate(1 / self._fleet.sale_every_s), self._sell)
        if self.line.permits_waiting("sale") and not (self.line.needs_probe and self._probing):
            probe = self.line.needs_probe
            self._probing = self._probing or probe
            self._send(1, probe=probe, waiting=True)
        else:
            self._fleet.offline_sales += 1
            self.backlog += 1
            self._look()

    def _look(self) -> None:
        began = self._time.monotonic()
        if self.line.needs_probe:
            if self.backlog and not self._probing and self.line.probe_due():
                self._probing = True
                self._send(0, probe=True, waiting=False)
        else:
            places = min(self.line.places, BATCHES_IN_FLIGHT)
            while self.backlog and self._in_flight < places and self.line.permits_backlog("sale"):
                count = min(MAX_BATCH, self.backlog)
                self.backlog -= count
                self._in_flight += 1
                self._send(count, probe=False, waiting=False)
        if self.backlog and (later := self.line.next_change_s(began)) is not None:
            at = self._time.at + max(0.001, later)
            if at < self._woken_for or self._woken_for <= self._time.at:
                self._woken_for = at
                self._time.at_time(at, self._look)

    def _send(self, count: int, *, probe: bool, waiting: bool) -> None:
        if self._time.at < self._silent_until:
            self._fleet.early += 1
        chance = self._fleet.chance
        self._time.at_time(self._time.at + chance.uniform(0.01, 0.05), lambda: self._arrive(count, probe, waiting))

    def _arrive(self, count: int, probe: bool, waiting: bool) -> None:
        outcome, silent_until = self._fleet.flash.ask()
        back = self._time.at + self._fleet.chance.uniform(0.01, 0.05)
        self._time.at_time(back, lambda: self._hear(count, probe, waiting, outcome, silent_until))

    def _hear(self, count: int, probe: bool, waiting: bool, outcome: Outcome, silent_until: float) -> None:
        self._silent_until = max(self._silent_until, silent_until)
        self._probing = self._probing and not probe
        if count and not waiting:
            self._in_flight -= 1
        self.line.report("sale" if count else "", outcome, probe=probe and not waiting)
        if outcome is SETTLED:
            self._settled(0 if waiting else count)
        else:
            self.backlog += count
        self._look()

    def _settled(self, count: int) -> None:
        """Oldest first: what the outage left goes before what was sold since."""
        if count and self._owed:
            self._owed = max(0, self._owed - count)
            if not self._owed:
                self._fleet.owing -= 1
                self._fleet.drained_at = self._time.at
