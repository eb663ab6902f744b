"""``python -m benchmarks``: measure, print, and for a full run write ``benchmarks/results.md``.

Exit codes: 0 all floors met or not measured for a stated reason, 1 a floor is missed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import machine, native_tools, report, servers, targets
from benchmarks.bench import Bench, OutOfTimeError
from benchmarks.figures import accept, cashier, drain, footprint, imports, members, slow_disk, stored
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.processes import REPOSITORY, ChildError
from benchmarks.targets import Figure, Target


@dataclass(frozen=True, slots=True)
class Group:
    """Figures that are measured together, and how much of the run's time they may take."""

    measure: Callable[[Bench], None]
    promised: tuple[Target, ...]
    share_of_time: int


GROUPS = {
    "accept": Group(accept.measure, (targets.ACCEPT, targets.NAIVE, targets.REDIS, targets.TAIL), 27),
    "slow-disk": Group(slow_disk.measure, (targets.SLOW,), 9),
    "drain": Group(drain.measure, (targets.DRAIN,), 13),
    "cashier": Group(cashier.measure, (targets.CASHIER,), 13),
    "footprint": Group(footprint.measure, (targets.RSS, targets.WAKEUPS, targets.START), 14),
    "stored": Group(stored.measure, (targets.STORED,), 24),
    "members": Group(members.measure, (targets.FRESH, targets.HOLE, targets.HELD), 12),
    "imports": Group(imports.measure, (targets.IMPORT_MEMORY,), 14),
}
RESULTS = REPOSITORY / "benchmarks" / "results.md"


def _options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2 rounds and small sizes: shows that it works")
    parser.add_argument("--only", action="append", choices=GROUPS, help="only this group; may be repeated")
    parser.add_argument("--dir", type=Path, default=REPOSITORY / "build", help="for files: on a real disk")
    parser.add_argument("--limit", type=float, default=740.0, metavar="S", help="seconds for the whole run")
    parser.add_argument("--out", type=Path, help="report file (a full run: benchmarks/results.md; else none)")
    parser.add_argument("--agent", metavar="COMMAND", help="measure this agent instead of the tree's")
    return parser.parse_args(arguments)


def _measure(bench: Bench, names: list[str], limit_s: float) -> None:
    """Every group in turn; what one leaves of its time goes to those after it."""
    all_shares = sum(GROUPS[name].share_of_time for name in names)
    for name in names:
        group, reason = GROUPS[name], ""
        bench.deadline += limit_s * group.share_of_time / all_shares
        try:
            bench.check_time(name)
            group.measure(bench)
        except (ChildError, OutOfTimeError, OSError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            reason = str(error).splitlines()[0]
            bench.remark(f"{name} was not finished: {reason}")
        done = {figure.target for figure in bench.figures}
        bench.figures += [Figure(target, None, reason) for target in group.promised if target not in done]


def _missed(figure: Figure) -> bool:
    return figure.value is not None and not figure.target.met(figure.value, figure.target.floor)


def _run(plan: Plan, options: argparse.Namespace) -> int:
    began = time.monotonic()
    options.dir.mkdir(parents=True, exist_ok=True)
    if machine.filesystem(options.dir) in {"tmpfs", "ramfs"}:
        print(
            "the directory is in memory, where an fsync costs nothing: choose another with --dir",
            file=sys.stderr,
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.dir) as scratch:
        directory = Path(scratch)
        bench = Bench(plan, directory, native_tools.build(directory), began)
        if not servers.agent_is_there():
            bench.remark("The agent was not there to be measured.")
        _measure(bench, options.only or list(GROUPS), options.limit)
        facts = machine.facts(directory)
    facts["helpers"] = bench.tools.described
    text = report.render(bench, facts, time.monotonic() - began)
    print(text)
    out = options.out or (RESULTS if plan is FULL and not options.only else None)
    if out is not None:
        out.write_text(text)
    return 1 if any(_missed(figure) for figure in bench.figures) else 0


def main() -> int:
    """Entry of the command; SIGTERM ends it the way Ctrl-C does, children included."""
    options = _options()
    if options.agent:
        servers.AgentCommand.choose(options.agent)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not Path("/proc/self/status").is_file():
        print("these measurements need Linux", file=sys.stderr)
        return 2
    return _run(QUICK if options.quick else FULL, options)


if __name__ == "__main__":
    sys.exit(main())
