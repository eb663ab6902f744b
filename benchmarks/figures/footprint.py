"""What the agent costs a till that does nothing: memory, wakeups, and how long a start takes."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import servers
from benchmarks.bench import Bench
from benchmarks.processes import REPOSITORY, environment, resident_mb, voluntary_switches
from benchmarks.stats import median, median_ratio
from benchmarks.targets import RSS, START, WAKEUPS, Figure, Observation

_IMPORT_LIMIT_S = 20.0


def _import_s() -> float:
    """Wall seconds of the agent's Python that imports aiohttp.web and ends."""
    words = servers.store_words()
    python = words[0] if servers.AgentCommand.from_tree else sys.executable
    began = time.monotonic()
    subprocess.run(
        [python, "-c", "import aiohttp.web"],
        cwd=REPOSITORY,
        env=environment(),
        timeout=_IMPORT_LIMIT_S,
        check=True,
    )
    return time.monotonic() - began


def _libraries() -> str:
    """With which libraries around it the agent was measured."""
    if not servers.AgentCommand.from_tree:
        return "as installed"
    alone = servers.store_words() != servers.AgentCommand.words
    return "with what a store installs" if alone else "among the libraries of development, some of which it loads"


def _start_s(directory: Path) -> float:
    """Seconds from the start of the process to its first accepted connection, on a directory it knows."""
    with servers.agent(directory, words=servers.store_words()) as agent:
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
    """Several agents at once, for an idle one is in nobody's way; each with an upstream that it can reach."""
    plan = bench.plan
    with ExitStack() as stack:
        directories = [stack.enter_context(bench.scratch()) for _ in range(plan.rounds)]
        upstream = stack.enter_context(servers.upstream(directories[0]))
        agents = [
            stack.enter_context(servers.agent(directory, upstream_port=upstream.port, words=servers.store_words()))
            for directory in directories
        ]
        pids = [agent.child.pid for agent in agents]
        time.sleep(plan.settle_s)
        sizes = [resident_mb(pid) for pid in pids]
        time.sleep(max(0.0, plan.idle_from_s - plan.settle_s))
        before, began = [voluntary_switches(pid) for pid in pids], time.monotonic()
        time.sleep(plan.idle_window_s)
        taken_s = time.monotonic() - began
        wakeups = [(voluntary_switches(pid) - count) / taken_s for pid, count in zip(pids, before, strict=True)]
    window = f"from {plan.idle_from_s:g} to {plan.idle_from_s + plan.idle_window_s:g} s after the start"
    bench.figures += [
        Figure(RSS, median(sizes), f"{plan.settle_s:g} s after the start, {len(pids)} agents, {_libraries()}"),
        Figure(WAKEUPS, median(wakeups), f"voluntary context switches of all threads {window}"),
    ]


def measure(bench: Bench) -> None:
    """The figures of an idle agent."""
    if not servers.agent_is_there():
        bench.figures += [Figure(target, None, "no agent") for target in (RSS, WAKEUPS, START)]
        return
    _measure_starts(bench)
    _measure_idle(bench)
