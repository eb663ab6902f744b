"""How much is measured: a full run, and a quick one that only shows that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes and times of a run."""

    rounds: int = 5
    warm_up_s: float = 0.3
    burst_1_s: float = 0.8
    burst_32_s: float = 1.5
    slow_burst_s: float = 1.2
    drain_batched: int = 10_000
    drain_eight: int = 2_000
    drain_single: int = 400
    cashier_backlog: int = 10_000
    cashier_idle_s: float = 2.0
    cashier_drains: int = 1
    cashier_drain_s: float = 8.0
    starts: int = 7
    settle_s: float = 3.0
    idle_from_s: float = 10.0
    idle_window_s: float = 10.0
    stored_small: int = 1_000
    stored_large: int = 1_000_000
    members: int = 100_000
    import_mb: int = 50
    label: str = "full"


FULL = Plan()
QUICK = Plan(
    rounds=2,
    warm_up_s=0.2,
    burst_1_s=0.4,
    burst_32_s=0.6,
    slow_burst_s=0.6,
    drain_batched=2_000,
    drain_eight=400,
    drain_single=100,
    cashier_backlog=3_000,
    cashier_idle_s=1.0,
    cashier_drain_s=4.0,
    starts=3,
    settle_s=1.5,
    idle_from_s=8.0,
    idle_window_s=3.0,
    stored_large=20_000,
    members=5_000,
    import_mb=5,
    label="quick",
)
