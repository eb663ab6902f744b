"""The outage drill: for a bounded time nothing leaves the till for Flash, so that a store can rehearse an outage.

While it runs the Flash client answers every call itself, as unreachable and never sent, and the line is shown as
offline; requests that were under way finish. Everything else goes on. It ends by itself, on the steady clock, at a
word, or with the agent; what piled up is sent at once then. A real pause (Retry-After, a refused key) outlasts it.

Built by the composition root, started and stopped through the service. Nothing is timed while none runs.
"""

import asyncio
import math
from collections.abc import Callable

from agent import logs
from agent.clock import Clock, local_text, rfc3339, to_ms
from agent.health import Health
from agent.outbox.line import Line


class Drill:
    """At most one drill. `ended` is called when it is over, however that came."""

    def __init__(self, clock: Clock, line: Line, health: Health) -> None:
        self._clock = clock
        self._line = line
        self._health = health
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._log = logs.get()
        self.ended: Callable[[], None] = lambda: None

    @property
    def is_on(self) -> bool:
        """Whether nothing may leave now."""
        return self._timer is not None

    @property
    def left_s(self) -> int | None:
        """Seconds until it ends by itself, rounded up; None when none runs."""
        return max(0, math.ceil(self._until - self._clock.monotonic())) if self.is_on else None

    @property
    def ends_at(self) -> str | None:
        """When it ends by itself, by the till's clock as it is now; None when none runs."""
        if not self.is_on:
            return None
        left_s = self._until - self._clock.monotonic()
        return rfc3339(round(to_ms(self._clock.now()) / 1000 + left_s) * 1000)

    def start(self, seconds: int, by: str) -> None:
        """Begin, or let the one that runs last so long from now on."""
        if self._timer is not None:
            self._timer.cancel()
        self._until = self._clock.monotonic() + seconds
        self._timer = self._clock.call_later(seconds, lambda: self.stop("time"))
        self._log.warning("outage drill begins", duration_s=seconds, by=by)
        self.show()
        self._line.begin_drill()

    def stop(self, by: str) -> None:
        """End it, if one runs: the line is again what it was before, and the backlog flows."""
        if self._timer is None:
            return
        self.close()
        self._log.warning("outage drill ends", by=by)
        self.show()
        self._line.end_drill()
        self.ended()

    def close(self) -> None:
        """The agent stops: nothing is timed any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def show(self) -> None:
        """Raise or clear the condition that says so."""
        ends_at = self.ends_at
        detail = f"It ends at {local_text(ends_at)}." if ends_at else ""
        self._health.set("outage-drill", active=self.is_on, detail=detail)
