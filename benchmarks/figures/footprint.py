"""What the agent costs a till that does nothing: memory, wakeups, and how long a start takes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks import servers
from benchmarks.bench import Bench
from benchmarks.processes import REPOSITORY, environment, resident_mb, voluntary_switches
from benchmarks.stats import median, median_ratio
from benchmarks.targets import RSS, START, WAKEUPS, Figure, Observation

_IMPORT_LIMIT_S = 20.0


def _import_s() -> float:
    """Wall seconds of a Python that imports aiohttp.web and ends."""
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", "import aiohttp.web"],
        cwd=REPOSITORY,
        env=environment(),
        timeout=_IMPORT_LIMIT_S,
        check=True,
    )
    return time.monotonic() - began


def _start_s(directory: Path) -> float:
    """Seconds from the start of the process to its first accepted connection, on a directory it knows."""
    with servers.agent(directory) as agent:
        return agent.started_s


def _measure_starts(bench: Bench) -> None:
    imports, starts = [], []
    with bench.scratch() as directory:
        _start_s(directory)
        _import_s()
        for _ in range(bench.plan.starts):
            bench.check_time("starts")
            imports.append(_import_s())
            starts.append(_start_s(directory))
    note = f"median of {len(starts)} starts"
    bench.observations += [
        Observation("import aiohttp.web", p50_ms=median(imports) * 1e3, note=note),
        Observation("start to listening", p50_ms=median(starts) * 1e3, note=note),
    ]
    bench.figures.append(Figure(START, median_ratio(starts, imports)))


def _measure_idle(bench: Bench) -> None:
    sizes, wakeups = [], []
    window_s = bench.plan.idle_window_s
    for _ in bench.rounds("idle"):
        with (
            bench.scratch() as directory,
            servers.upstream(directory) as upstream,
            servers.agent(directory, upstream_port=upstream.port) as agent,
        ):
            time.sleep(bench.plan.settle_s)
            sizes.append(resident_mb(agent.child.pid))
            before, began = voluntary_switches(agent.child.pid), time.monotonic()
            time.sleep(window_s)
            switches = voluntary_switches(agent.child.pid) - before
            wakeups.append(switches / (time.monotonic() - began))
    note = f"{bench.plan.settle_s:g} s after the start, upstream reachable"
    bench.figures += [
        Figure(RSS, median(sizes), note),
        Figure(WAKEUPS, median(wakeups), f"voluntary context switches of all threads over {window_s:g} s"),
    ]


def measure(bench: Bench) -> None:
    """The figures of an idle agent."""
    if not servers.agent_is_there():
        bench.figures += [Figure(target, None, "no agent") for target in (RSS, WAKEUPS, START)]
        return
    _measure_starts(bench)
    _measure_idle(bench)
