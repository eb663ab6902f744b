"""Time, injectable: the wall clock, a steady clock and sleep.

Three readings, because a till's wall clock can be days off and can jump:

* `now()` is the wall clock, for what people read;
* `monotonic()` measures durations;
* `steady_ms()` is what deadlines in the database are compared with, and what Flash's time is counted on by: the wall
  clock at start plus the time elapsed since, so that a clock set back by a year while the agent runs delays nothing.
  The time that the machine slept has elapsed too, or a till would take yesterday's snapshot and key for today's.
"""

import asyncio
import functools
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime


def _elapsed_s() -> float:
    """Seconds from an arbitrary start, asleep or awake: Linux's monotonic clock stands still in a sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class Clock:
    """The real clock. Tests and simulations hand in one of their own with the same methods."""

    def __init__(self) -> None:
        self._offset_s = time.time() - _elapsed_s()

    def now(self) -> datetime:
        """The wall clock, UTC-aware."""
        return datetime.now(UTC)

    def today(self) -> str:
        """The till's local date (ISO 8601)."""
        return self.now().astimezone().date().isoformat()

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, as timers count them; never goes back."""
        return time.monotonic()

    def steady_ms(self) -> int:
        """Milliseconds since the epoch as the wall clock showed them at start, advancing steadily."""
        return int((self._offset_s + _elapsed_s()) * 1000)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back in `delay_s` seconds; the handle cancels."""
        return asyncio.get_running_loop().call_later(delay_s, call)

    async def sleep(self, delay_s: float) -> None:
        """Let `delay_s` seconds pass."""
        await asyncio.sleep(delay_s)


def to_ms(moment: datetime) -> int:
    """Milliseconds since the epoch."""
    return int(moment.timestamp() * 1000)


def rfc3339(milliseconds: int | None) -> str | None:
    """A time as the local API writes it (UTC, milliseconds, `Z`); None stays None."""
    if milliseconds is None:
        return None
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_to_the_second(seconds)}.{rest:03d}Z"


def local_text(moment: str) -> str:
    """An RFC 3339 time for people: by the till's own clock, to the second, with its offset; else what was given."""
    try:
        parsed = datetime.fromisoformat(moment)
        return moment if parsed.tzinfo is None else parsed.astimezone().isoformat(" ", "seconds")
    except (ValueError, OverflowError, OSError):  # another's words, or a year that the system's calendar has not
        return moment


@functools.lru_cache(maxsize=64)
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
