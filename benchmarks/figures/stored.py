"""Whether an accept gets slower with what is stored already."""

from __future__ import annotations

import time

from benchmarks import drive, servers
from benchmarks.bench import Bench
from benchmarks.drive import Posting
from benchmarks.figures.backlog import FILL_CLIENTS
from benchmarks.figures.rounds import Bursts, Rounds
from benchmarks.servers import Server
from benchmarks.stats import median_ratio
from benchmarks.targets import STORED, Figure, Observation

_CHUNK = 20_000
_KEEP_FOR_ROUNDS_S = 40.0


def _fill(bench: Bench, agent: Server, count: int) -> int:
    """Store sales through the API, in chunks, as many as the time allows; returns how many."""
    stored, give_up_at = 0, bench.deadline - _KEEP_FOR_ROUNDS_S
    bench.check_time("filling the store")
    while stored < count and (stored == 0 or time.monotonic() < give_up_at):
        chunk = min(_CHUNK, count - stored)
        drive.post(bench, agent, Posting(FILL_CLIENTS, count=chunk))
        stored += chunk
    return stored


def measure(bench: Bench) -> None:
    """p50 with one client, two agents side by side; all stored sales are pending, the worst case."""
    if not servers.agent_is_there():
        bench.figures.append(Figure(STORED, None, "no agent"))
        return
    plan = bench.plan
    with (
        bench.scratch() as small_directory,
        bench.scratch() as large_directory,
        servers.agent(small_directory) as small,
        servers.agent(large_directory) as large,
    ):
        few = _fill(bench, small, plan.stored_small)
        many = _fill(bench, large, plan.stored_large)

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
    short = f", {plan.stored_large:,} did not fit into the time" if many < plan.stored_large else ""
    bench.figures.append(Figure(STORED, value, f"{many:,} ÷ {few:,}{short}"))
