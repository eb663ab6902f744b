"""A Retry-After outlives a restart: it is kept in the database with its length, so that no wrong clock stretches it."""

import contextlib

from agent import jsons
from agent.clock import Clock
from agent.delivery import Outcome
from agent.errors import Refusal
from agent.outbox.line import Line
from agent.outbox.store import Store

_FACT = "retry-after"
_WORTH_KEEPING_S = 1.0


class Patience:
    """Remembers for how long Flash asked to be left alone."""

    def __init__(self, store: Store, line: Line, clock: Clock) -> None:
        self._store = store
        self._line = line
        self._clock = clock

    async def note(self, outcome: Outcome) -> None:
        """Keep what an answer asked for; without a store it holds for this run alone."""
        if outcome.retry_after_s and outcome.retry_after_s >= _WORTH_KEEPING_S:
            length_ms = int(outcome.retry_after_s * 1000)
            noted = {"until": self._clock.steady_ms() + length_ms, "length": length_ms}
            with contextlib.suppress(Refusal):
                await self._store.remember(_FACT, jsons.encode(noted))

    async def recall(self) -> None:
        """Close the line for what is left of it."""
        if noted := await self._store.fact(_FACT):
            times = jsons.loads_own(noted)
            left_ms = min(times["until"] - self._clock.steady_ms(), times["length"])
            if left_ms > 0:
                self._line.close_for(left_ms / 1000)
