"""Whether an accept gets slower with what is stored already."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from benchmarks import drive, fill, servers
from benchmarks.bench import Bench
from benchmarks.drive import Posting
from benchmarks.figures.rounds import Bursts, Rounds
from benchmarks.servers import Server
from benchmarks.stats import median_ratio
from benchmarks.targets import STORED, Figure, Observation


def _fill(directory: Path, count: int) -> None:
    """An agent makes the database and the keys; the sales are written while it is stopped."""
    with servers.agent(directory) as agent:
        drive.get_json(agent, "/v1/status")  # it listens before its database is ready
    fill.fill(directory / "data" / "agent.db", count)


def measure(bench: Bench) -> None:
    """p50 with one client, two agents side by side; all stored sales are settled."""
    if not servers.agent_is_there():
        bench.figures.append(Figure(STORED, None, "no agent"))
        return
    plan = bench.plan
    few, many = plan.stored_small, plan.stored_large
    with bench.scratch() as small_directory, bench.scratch() as large_directory, ExitStack() as stack:
        _fill(small_directory, few)
        _fill(large_directory, many)
        small = stack.enter_context(servers.agent(small_directory))
        large = stack.enter_context(servers.agent(large_directory))
        for agent in (small, large):
            drive.get_json(agent, "/v1/status")  # as above

        def load(agent: Server) -> Bursts:
            return {1: drive.post(bench, agent, Posting(1, plan.burst_1_s, warm_up_s=plan.warm_up_s))}

        names = [f"the agent with {few:,} stored", f"the agent with {many:,} stored"]
        rounds = Rounds(bench)
        rounds.run("stored", {names[0]: lambda: load(small), names[1]: lambda: load(large)})
        large.child.stop()
        with servers.agent(large_directory) as again:
            starts_ms = again.started_s * 1e3
    for name in names:
        rounds.observe(name)
    bench.observations.append(Observation(f"start to listening with {many:,} stored", p50_ms=starts_ms, note="once"))
    low, high = ([burst.p50_ms for burst in rounds.bursts(name, 1)] for name in names)
    value = median_ratio(high, low) if low and high else None
    bench.figures.append(Figure(STORED, value, f"{many:,} ÷ {few:,}, written straight into the stopped agent's tables"))
