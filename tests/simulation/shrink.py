"""A failing plan made small: events are left out for as long as the same promise stays broken (delta debugging)."""

from collections.abc import Callable
from dataclasses import replace

from tests.simulation.plan import Event, Plan
from tests.simulation.run import Result, run

MOST_RUNS = 400


def promise_of(breach: str) -> str:
    """What a breach breaks; it is named before the first colon."""
    return breach.partition(":")[0]


def shrink(result: Result, most_runs: int = MOST_RUNS) -> Result:
    """The smallest run that was found in which the first breach's promise is broken too."""
    broken = promise_of(result.breaches[0])
    smallest = result
    runs = 0

    def still_fails(plan: Plan) -> bool:
        nonlocal smallest, runs
        runs += 1
        seen = run(plan)
        if all(promise_of(breach) != broken for breach in seen.breaches):
            return False
        smallest = seen
        return True

    plan = result.plan
    for _ in range(2):  # what was needed at first may not be needed any more
        plan = fewer_events(plan, still_fails, lambda: runs < most_runs)
    return smallest


def fewer_events(plan: Plan, still_fails: Callable[[Plan], bool], may_go_on: Callable[[], bool]) -> Plan:
    """Leave out halves, then quarters, … down to single events."""
    size = max(1, len(plan.events) // 2)
    while True:
        at = 0
        while at < len(plan.events) and may_go_on():
            rest: tuple[Event, ...] = plan.events[:at] + plan.events[at + size :]
            if still_fails(replace(plan, events=rest)):
                plan = replace(plan, events=rest)
            else:
                at += size
        if size == 1 or not may_go_on():
            return plan
        size //= 2
