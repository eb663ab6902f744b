"""The few statistics used here, without a dependency."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def percentile(ascending: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile of an ascending sequence; 0.0 when it is empty."""
    if not ascending:
        return 0.0
    rank = min(len(ascending) - 1, int(len(ascending) * percent / 100))
    return ascending[rank]


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios within each round: a slow minute of the machine hits both halves."""
    ratios = [a / b for a, b in zip(over, under, strict=True) if b > 0]
    return statistics.median(ratios) if ratios else 0.0


def median(values: Sequence[float]) -> float:
    """The median; 0.0 when there is nothing."""
    return statistics.median(values) if values else 0.0
