"""The programme's earn rules: what a sale is worth, and how much of it the day's cap still allows.

The cap fails closed: when its counter cannot be read the award is held (503) and nothing is recorded, rather
than paid out unchecked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_FLOOR, Decimal
from types import MappingProxyType

from agent.sandbox.refusals import Refusal

_DEFAULT_TIERS = MappingProxyType({"Bronze": Decimal(1), "Silver": Decimal("1.25"), "Gold": Decimal("1.5")})


@dataclass(frozen=True, slots=True)
class EarnRules:
    """`rate` points per unit of currency; new members start in `base_tier`, which must be one of `tiers`."""

    rate: Decimal = Decimal("0.05")
    tiers: Mapping[str, Decimal] = field(default_factory=lambda: _DEFAULT_TIERS)
    base_tier: str = "Bronze"
    daily_cap: int = 5000

    def __post_init__(self) -> None:
        if self.base_tier not in self.tiers:
            raise ValueError("base_tier must be one of tiers")

    def points(self, amount: Decimal, tier: str) -> int:
        return int((amount * self.rate * self.tiers[tier]).to_integral_value(ROUND_FLOOR))


class DailyCap:
    """Points granted per member on the newest day seen: a clock set back forgives nothing."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._day: date | None = None
        self._granted: dict[str, int] = {}

    def grant(self, member_id: str, points: int, day: date, *, available: bool) -> int:
        """Count `points` against the member's cap for `day` and return how many of them may be awarded."""
        if not available:
            raise Refusal(503, "CAP_UNAVAILABLE", "the daily cap cannot be checked; the award is held")
        if self._day is None or day > self._day:
            self._day, self._granted = day, {}
        used = self._granted.get(member_id, 0)
        granted = max(0, min(points, self._limit - used))
        self._granted[member_id] = used + granted
        return granted
