"""How a till spreads its backlog over time, so that a street of tills that return together does not come as one.

No till knows how many there are. What it knows: how long the outage was (a long one was everybody's, and a minute more
no longer matters), and how often it was told 429. So after an outage each request of the backlog waits for a random
moment within a spread that grew with the outage. A success shortens it by a fifth, a 429 doubles it: a fleet that is
too fast for its limit slows down sooner than it speeds up again. A turn that nobody took for longer than the spread
ends it, for what the outage left is sent by then. Waiting registers are never paced. The constants are those under
which `tests/campaigns/fleet.py` keeps ten thousand tills near the limit.

Pure: times are seconds of the caller's clock; what is random is handed in. Called by the Line.
"""

import random
from collections.abc import Callable
from typing import Final

OUTAGE_LEAST_S: Final = 60.0  # a shorter one was hardly anybody else's
OUTAGE_SHARE: Final = 0.3
CEILING_S: Final = 330.0
FLOOR_S: Final = 0.5  # below it nothing is spread any more
FIRST_S: Final = 1.0  # where a 429 finds none
SHORTER: Final = 0.8
QUIET_LEAST_S: Final = 60.0  # longer than any attempt takes: a backlog that is there has taken its turn by then

Between = Callable[[float, float], float]


class Pace:
    """When the next request of the backlog may go: not before `next_at`."""

    def __init__(self, between: Between = random.uniform) -> None:
        self._between = between
        self.spread_s = 0.0
        self.next_at = 0.0

    def returned(self, now: float, outage_s: float) -> None:
        """The line works again after an outage of that length."""
        if outage_s >= OUTAGE_LEAST_S:
            self._spread(max(self.spread_s, min(outage_s * OUTAGE_SHARE, CEILING_S)), now)

    def succeeded(self, now: float) -> None:
        """A request went through; one that did not await its turn (a register waited for it) changes nothing."""
        if not self.spread_s or now < self.next_at:
            return
        if now - self.next_at > max(self.spread_s, QUIET_LEAST_S):
            self.forget()
        else:
            self._spread(self.spread_s * SHORTER, now)

    def throttled(self, now: float, until: float, *, is_news: bool) -> None:
        """A request was refused for its rate, `is_news`: the first in its time; none goes before `until` anyway.

        One that did not await its turn (a register waited for it) widens nothing, as its success would narrow nothing:
        or a till that sells without rest would put its backlog off for as long as it sells.
        """
        if self.spread_s and now < self.next_at:
            self.held(until)
            return
        wider_s = min(max(2 * self.spread_s, FIRST_S), CEILING_S)
        self._spread(wider_s if is_news else self.spread_s, until)

    def held(self, until: float) -> None:
        """Nobody sends before `until`, whatever the reason: the turns come after it, or all would come at its end."""
        if self.spread_s and until > self.next_at:
            self._spread(self.spread_s, until)

    def forget(self) -> None:
        """Begin anew, unspread."""
        self.spread_s = self.next_at = 0.0

    def _spread(self, spread_s: float, since: float) -> None:
        if spread_s < FLOOR_S:
            self.forget()
            return
        self.spread_s = spread_s
        self.next_at = since + self._between(0.0, spread_s)
