"""The same accepts on a till's disk: every fsync takes 2 ms longer (a preload shim that sleeps first)."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks import drive, servers
from benchmarks.bench import Bench
from benchmarks.drive import Posting
from benchmarks.figures.rounds import Bursts, Rounds
from benchmarks.native_tools import SLOW_SYNC_MS
from benchmarks.servers import Server
from benchmarks.targets import SLOW, Figure

CLIENTS = (1, 32)
_SUFFIX = f", {SLOW_SYNC_MS:g} ms fsync"
RAW = f"raw append{_SUFFIX}"
NAIVE = f"aiohttp + aiosqlite, a commit per sale{_SUFFIX}"
AGENT = f"the agent{_SUFFIX}"


def measure(bench: Bench) -> None:
    """The figure of the slow disk; skipped without a compiler."""
    if bench.tools.slow_sync is None:
        bench.figures.append(Figure(SLOW, None, "needs a C compiler"))
        return
    seconds = bench.plan.slow_burst_s
    slow = bench.tools.slow_environment()

    def load(server: Server) -> Bursts:
        return {
            clients: drive.post(bench, server, Posting(clients, seconds, warm_up_s=bench.plan.warm_up_s))
            for clients in CLIENTS
        }

    def raw() -> Bursts:
        with bench.scratch() as directory:
            return {
                clients: drive.raw_append(bench, directory, clients=clients, seconds=seconds, slow=True)
                for clients in CLIENTS
            }

    def naive() -> Bursts:
        with bench.scratch() as directory, servers.naive(directory, extra_environment=slow) as server:
            return load(server)

    def agent() -> Bursts:
        with bench.scratch() as directory, servers.agent(directory, extra_environment=slow) as server:
            return load(server)

    subjects: dict[str, Callable[[], Bursts]] = {RAW: raw, NAIVE: naive}
    if servers.agent_is_there():
        subjects[AGENT] = agent
    rounds = Rounds(bench)
    rounds.run("slow disk", subjects)
    for name in subjects:
        rounds.observe(name)
    bench.figures.append(Figure(SLOW, rounds.rate_ratio(AGENT, [RAW], 32)))
