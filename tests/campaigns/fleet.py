"""A regional outage ends: ten thousand tills return to one Flash that is limited to so many calls a minute.

In virtual time (`tests/support/fleet.py`), with the product's own decisions. The limit is 1.2 calls a minute and till,
little more than twice what the registers that sell meanwhile ask for themselves; what each till sold in the outage
waits there.
What is counted as the peak: the calls that arrive in any minute, from when the first contacts are over (every till
probes within 15 s of the return, for no pause of a probe is longer), as a share of the limit.
"""

import random
import statistics

from agent.outbox.retry import LINE_CEILING_S
from tests.support.campaign import Campaign, Control, Size, Tally, is_control
from tests.support.fleet import Fleet, FleetTill, LimitedFlash, VirtualTime
from tests.support.weakened import Change

TILLS = 2_000 if is_control() else 10_000
CALLS_A_MINUTE_AND_TILL = 1.2
SALE_EVERY_S = 120.0
BUSY = (0.3, 3.0)  # how much more or less than the average a till sold
PEAK = 1.2
HORIZON_S = 2 * 3600.0
OUTAGES_S = {
    Size.SHORT: [8 * 3600.0 if is_control() else 3600.0],
    Size.LONG: [600.0, 1800.0, 3600.0, 3 * 3600.0, 8 * 3600.0, 86_400.0] * 3,
}


def run(size: Size, seed: int) -> Tally:
    """Let fleets return, one after another."""
    tally = Tally()
    before = random.getstate()
    random.seed(seed)  # of the pauses that the product draws itself
    try:
        returns = [_return(tally, outage_s, seed + number) for number, outage_s in enumerate(OUTAGES_S[size])]
    finally:
        random.setstate(before)
    peaks, drained, refused = zip(*returns, strict=True)
    tally.figures["peak after the first contacts"] = (
        f"{max(peaks):.2f} times the limit (median {statistics.median(peaks):.2f})"
    )
    tally.figures["all drained after"] = f"{max(drained) / 60:.0f} min at the most"
    tally.figures["calls refused with 429"] = f"{max(refused):.1%} at the most"
    return tally


def _return(tally: Tally, outage_s: float, seed: int) -> tuple[float, float, float]:
    """One fleet's return: peak, seconds until all that had waited was sent, share of calls that were refused."""
    time, chance = VirtualTime(-4 * LINE_CEILING_S), random.Random(seed)
    flash = LimitedFlash(time, round(TILLS * CALLS_A_MINUTE_AND_TILL), 60.0)
    fleet = Fleet(time, flash, chance, outage_s, SALE_EVERY_S)
    for _ in range(TILLS):
        FleetTill(fleet, max(1, round(outage_s / SALE_EVERY_S * chance.uniform(*BUSY))))
    time.run(HORIZON_S, lambda: not fleet.owing)
    tally.tries += TILLS
    peak = flash.peak(LINE_CEILING_S)
    name = f"after an outage of {outage_s / 60:.0f} min (seed {seed})"
    if fleet.early:
        tally.breaches.append(f"{name}: {fleet.early} calls inside a Retry-After")
    if peak > PEAK:
        tally.breaches.append(f"{name}: {peak:.2f} times the limit arrived in one minute")
    if fleet.owing:
        tally.breaches.append(f"{name}: {fleet.owing} tills had not drained after {HORIZON_S / 3600:.0f} h")
    return peak, fleet.drained_at, flash.refused / max(1, flash.arrivals.total())


LINE, PACE = "agent/outbox/line.py", "agent/outbox/pace.py"
CAMPAIGN = Campaign(
    name="fleet",
    promise="Ten thousand tills that return at once stay near Flash's limit, call nobody too early, and all drain",
    unit="tills",
    run=run,
    controls=(
        Control(
            "Retry-After ignored",
            (Change(LINE, "wait_s = retry_after_s or max(", "wait_s = 0.0 * max("),),
        ),
        Control(
            "the backlog not spread after an outage",
            (Change(PACE, "        if outage_s >= OUTAGE_LEAST_S:\n", "        if outage_s < 0:\n"),),
        ),
        Control(
            "the backlog hurried by a 429",
            (
                Change(
                    PACE,
                    "self._spread(wider_s if is_news else self.spread_s, until)",
                    "self._spread(0.0, until)",
                ),
            ),
        ),
    ),
)
