"""A token bucket per tenant key: an empty one answers 429 with Retry-After until tokens return."""

import math
from dataclasses import dataclass
from datetime import datetime

from agent.sandbox import assumed
from agent.sandbox.feed import Clock
from agent.sandbox.refusals import Refusal


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`burst` calls at once, `per_second` on average; the defaults never get in the way of a store."""

    per_second: float = 1000.0
    burst: int = 5000

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError("per_second must be positive and burst at least 1")


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: datetime


class RateLimiter:
    """Buckets live as long as the sandbox; there is one per key ever used."""

    def __init__(self, limit: RateLimit, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, key: str) -> None:
        """Spend one token of `key`. Raises Refusal (429) when there is none."""
        now = self._clock()
        bucket = self._buckets.setdefault(key, _Bucket(float(self._limit.burst), now))
        # A clock set back adds nothing; it must not take tokens away either.
        elapsed_s = max(0.0, (now - bucket.filled_at).total_seconds())
        bucket.filled_at = now
        bucket.tokens = min(self._limit.burst, bucket.tokens + elapsed_s * self._limit.per_second)
        if bucket.tokens < 1:
            wait_s = math.ceil((1 - bucket.tokens) / self._limit.per_second)
            raise Refusal(*assumed.RATE_LIMITED, "too many calls with this key", {"Retry-After": str(max(1, wait_s))})
        bucket.tokens -= 1
