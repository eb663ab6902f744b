"""Durable accepts: the agent between what the disk allows, what the framework allows, and its peers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks import drive, servers
from benchmarks.bench import Bench
from benchmarks.drive import Posting
from benchmarks.figures.rounds import Bursts, Rounds
from benchmarks.peers import redis_streams
from benchmarks.processes import Child, free_port
from benchmarks.servers import Server
from benchmarks.targets import ACCEPT, NAIVE, REDIS, TAIL, Figure

CLIENTS = (1, 32)
_CALM = 1.5  # highest ÷ lowest round of the raw append
AGENT = "the agent"
AGENT_ONLINE = "the agent, sending meanwhile"
RAW = "raw append + fdatasync (32: group commit)"
HOLLOW = "the same server without storage"
PLAIN = "aiohttp + pydantic, no storage and nothing else"
NAIVE_SERVER = "aiohttp + aiosqlite, a commit per sale"
NAIVE_SHARED = "aiohttp + aiosqlite, overlapping requests share a transaction (unsafe)"
PERSIST_QUEUE = "persist-queue SQLiteAckQueue"
HUEY = "huey SqliteHuey"
REDIS_STREAMS = "Redis Streams, appendfsync always (Python client)"


class AcceptSubjects:
    """How each subject is started and loaded for one round."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._plan = bench.plan

    def seconds(self, clients: int) -> float:
        """How long a burst lasts."""
        return self._plan.burst_1_s if clients == 1 else self._plan.burst_32_s

    def _posting(self, clients: int) -> Posting:
        return Posting(clients, self.seconds(clients), warm_up_s=self._plan.warm_up_s)

    def served(self, start: Callable[[Path], AbstractContextManager[Server]]) -> Bursts:
        """A fresh server on an empty directory, one client, then many."""
        with self._bench.scratch() as directory, start(directory) as server:
            return {clients: drive.post(self._bench, server, self._posting(clients)) for clients in CLIENTS}

    def online_agent(self) -> Bursts:
        """The agent with its upstream 5 ms away: it accepts and sends at the same time."""
        with self._bench.scratch() as directory, servers.upstream(directory) as upstream:
            return self.served(lambda inner: servers.agent(inner, upstream_port=upstream.port))

    def raw(self) -> Bursts:
        """The disk alone."""
        with self._bench.scratch() as directory:
            return {
                clients: drive.raw_append(self._bench, directory, clients=clients, seconds=self.seconds(clients))
                for clients in CLIENTS
            }

    def library(self, name: str) -> Bursts:
        """A queue library, a fresh database for each number of clients."""
        bursts = {}
        for clients in CLIENTS:
            with self._bench.scratch() as directory:
                bursts[clients] = drive.library(name, directory, clients=clients, seconds=self.seconds(clients))
        return bursts

    def redis(self, executable: str) -> Bursts:
        """A Redis server of our own."""
        port = free_port()
        with self._bench.scratch() as directory:
            command = redis_streams.server_command(executable, port, str(directory))
            with Child(command, directory / "redis.log") as child:
                child.wait_until_listening(port)
                return {
                    clients: drive.redis(port, clients=clients, seconds=self.seconds(clients)) for clients in CLIENTS
                }


def _subjects(bench: Bench) -> dict[str, Callable[[], Bursts]]:
    how = AcceptSubjects(bench)
    subjects: dict[str, Callable[[], Bursts]] = {
        RAW: how.raw,
        HOLLOW: lambda: how.served(servers.without_storage),
        PLAIN: lambda: how.served(servers.plain),
        NAIVE_SERVER: lambda: how.served(servers.naive),
        NAIVE_SHARED: lambda: how.served(lambda directory: servers.naive(directory, shared=True)),
        PERSIST_QUEUE: lambda: how.library("persist-queue"),
        HUEY: lambda: how.library("huey"),
    }
    redis_server = shutil.which("redis-server")
    if redis_server is not None:
        subjects[REDIS_STREAMS] = lambda: how.redis(redis_server)
    else:
        bench.remark(f"Redis was not measured: no redis-server here ({redis_streams.INSTALL_HINT}).")
    if servers.agent_is_there():
        subjects[AGENT] = lambda: how.served(servers.agent)
        subjects[AGENT_ONLINE] = how.online_agent
    return subjects


def _remark_unrest(bench: Bench, raw_rates: list[float]) -> None:
    """Say so when the disk alone, which nothing of ours can slow down, varied much between the rounds."""
    spread = max(raw_rates) / min(raw_rates) if raw_rates else 1.0
    if spread > _CALM:
        bench.remark(f"The machine was not calm: the raw append varied by a factor of {spread:.1f} between rounds.")


def measure(bench: Bench) -> None:
    """Figures of accepting on this disk."""
    rounds = Rounds(bench)
    subjects = _subjects(bench)
    rounds.run("accept", subjects)
    hollow_note = "" if servers.hollow_is_there() else "aiohttp and pydantic alone, not the agent's own server"
    for name in (*subjects,):
        rounds.observe(name, hollow_note if name == HOLLOW else "")
    _remark_unrest(bench, rounds.rates(RAW, 1))
    raw_note = "" if bench.tools.append else "raw limit measured in Python"
    note = "; ".join(text for text in (hollow_note, raw_note) if text)
    bench.figures += [
        Figure(ACCEPT, rounds.rate_ratio(AGENT, [HOLLOW, RAW], 32), note),
        Figure(NAIVE, rounds.rate_ratio(AGENT, [NAIVE_SERVER], 32)),
        Figure(REDIS, rounds.rate_ratio(AGENT, [REDIS_STREAMS], 32)),
        Figure(TAIL, rounds.tail_ratio(AGENT, HOLLOW, 32), hollow_note),
    ]
