"""`make simulate SEEDS=300 JOBS=2`, or `make simulate SEED=17` for one with its trace.

python -m tests.simulation [--seeds N] [--first N] [--jobs N]     many seeds; exits with 1 when a promise was broken
python -m tests.simulation --seed N [--no-shrink]                 one, with its trace; shrunk when it fails
"""

import argparse
import sys
import time
from collections.abc import Sequence

from tests.simulation.many import Sum, many
from tests.simulation.plan import generate
from tests.simulation.run import Result, run
from tests.simulation.shrink import shrink


def one(seed: int, *, small: bool) -> int:
    """Run one seed and tell its story; a failing one is shrunk first."""
    result = run(generate(seed))
    if result.breaches and small:
        print(f"seed {seed} fails; looking for a smaller plan", flush=True)
        before = len(result.plan.events)
        result = shrink(result)
        print(f"{len(result.plan.events)} of {before} events are enough\n")
    print(story(result))
    return 1 if result.breaches else 0


def story(result: Result) -> str:
    """The plan, what happened, and what was broken."""
    plan = result.plan
    lines = [f"tills: {', '.join(plan.tills)}; batches of {plan.batch_size}; offline: {plan.offline}"]
    lines += ["plan:", *map(str, plan.events), "", "trace:", result.story(), ""]
    lines += [f"BROKEN {breach}" for breach in result.breaches] or ["every promise held"]
    return "\n".join([*lines, f"digest {result.digest[:16]}"])


def several(first: int, count: int, jobs: int) -> int:
    """Run many seeds; tell about the failing ones, and of the first one everything."""
    began, shown, found = time.monotonic(), 0.0, Sum()
    for found in many(range(first, first + count), jobs):
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"{found.seeds:,} of {count:,}, {len(found.failed)} failed", flush=True)
    took = time.monotonic() - began
    print(f"{found}\n{took:.0f} s, {found.seeds / took:.1f} seeds a second")
    if not found.failed:
        print("every promise held")
        return 0
    for seed, breaches in sorted(found.failed.items())[:20]:
        print(f"seed {seed}: {breaches[0]}{f' (and {len(breaches) - 1} more)' if len(breaches) > 1 else ''}")
    seed = min(found.failed)
    print(f"\nThe first of them, shrunk (again: make simulate SEED={seed}):\n")
    return one(seed, small=True)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seed", type=int, help="run this one and show what happens")
    parser.add_argument("--no-shrink", action="store_true")
    parser.add_argument("--seeds", type=int, default=300)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        return one(asked.seed, small=not asked.no_shrink)
    return several(asked.first, asked.seeds, asked.jobs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
