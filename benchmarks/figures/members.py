"""Members at the counter: a whole store synced into snapshots, and how long a look-up takes then."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import servers
from benchmarks.bench import Bench
from benchmarks.processes import ChildError, resident_mb
from benchmarks.servers import Server
from benchmarks.stats import percentile
from benchmarks.targets import FRESH, HELD, HOLE, Figure, Observation

BUDGET_MS = 800
_SYNC_LIMIT_S = 600.0
_LOOKED_UP = 100
_FRESH_S = 5.0
_CASHIERS = 4
_HOLE_S = 7.0  # less than an attempt's time limit: afterwards the line is known dead, and nobody waits
_SETTLE_S = 3.0


class _Till:
    """Calls of one register, on a connection of its own."""

    def __init__(self, agent: Server, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=30)
        self._headers = {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str) -> tuple[int, dict[str, object], float]:
        """Status, document and milliseconds."""
        began = time.perf_counter()
        self._connection.request(method, path, headers=self._headers)
        response = self._connection.getresponse()
        body = response.read()
        taken_ms = (time.perf_counter() - began) * 1e3
        return response.status, json.loads(body), taken_ms

    def look_up(self, number: int) -> tuple[int, str, float]:
        """Status, source and milliseconds of one look-up."""
        status, document, taken_ms = self.call("GET", f"/v1/members?externalId=POS-CUST-{number:08d}")
        return status, str(document.get("source", "")), taken_ms


def _file_mb(directory: Path) -> float:
    return sum(file.stat().st_size for file in (directory / "data").glob("agent.db*")) / 1e6


def _sync(operator: _Till, pid: int) -> tuple[float, int, float]:
    """Seconds, members held, and the most memory seen (MB)."""
    began, most_mb = time.monotonic(), 0.0
    operator.call("POST", "/v1/sync")
    while True:
        _, state, _ = operator.call("GET", "/v1/sync")
        most_mb = max(most_mb, resident_mb(pid))
        if state["state"] == "idle":
            break
        if time.monotonic() - began > _SYNC_LIMIT_S:
            raise ChildError("the sync took too long")
        time.sleep(0.1)
    if state["error"]:
        raise ChildError(f"the sync ended early: {state['error']}")
    return time.monotonic() - began, int(str(state["members"])), most_mb


def _fresh(till: _Till, count: int) -> list[float]:
    """Ascending milliseconds of look-ups that a fresh snapshot answered."""
    numbers = [place * (count // _LOOKED_UP) for place in range(_LOOKED_UP)]
    for number in numbers:
        till.look_up(number)
    taken: list[float] = []
    until = time.monotonic() + _FRESH_S
    while time.monotonic() < until:
        for number in numbers:
            _, source, taken_ms = till.look_up(number)
            if source == "cache":
                taken.append(taken_ms)
    return sorted(taken)


@contextmanager
def _black_hole(upstream: Server) -> Iterator[None]:
    """Connections are made and bytes are taken, and no answer comes: a stopped process."""
    os.kill(upstream.child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(upstream.child.pid, signal.SIGCONT)


def _in_the_hole(agent: Server, upstream: Server, count: int) -> list[float]:
    """Ascending milliseconds of look-ups by several cashiers, of members that are held and not fresh."""
    taken: list[float] = []
    until = time.monotonic() + _HOLE_S

    def cashier(place: int) -> None:
        till = _Till(agent, agent.token)
        number = place * 7 + 3
        while time.monotonic() < until:
            taken.append(till.look_up(number % count)[2])
            number += _CASHIERS * 7

    with _black_hole(upstream):
        cashiers = [threading.Thread(target=cashier, args=(place,)) for place in range(_CASHIERS)]
        for each in cashiers:
            each.start()
        for each in cashiers:
            each.join()
    return sorted(taken)


def measure(bench: Bench) -> None:
    """Sync, look up, cut the line, look up."""
    if not servers.agent_is_there():
        bench.figures += [Figure(target, None, "no agent") for target in (FRESH, HOLE, HELD)]
        return
    count = bench.plan.members
    settings = {
        "FLASH_AGENT_MEMBERS__HOLD_ALL": "true",
        "FLASH_AGENT_MEMBERS__MAX_MEMBERS": str(count + 1000),
        "FLASH_AGENT_MEMBERS__LOOKUP_BUDGET_MS": str(BUDGET_MS),
    }
    with (
        bench.scratch() as directory,
        servers.upstream(directory, members=count) as upstream,
        servers.agent(directory, upstream_port=upstream.port, settings=settings) as agent,
    ):
        token_file = directory / "data" / "operator.token"
        agent.child.wait_for_file(token_file)
        operator = _Till(agent, token_file.read_text().strip())
        till = _Till(agent, agent.token)
        till.look_up(0)  # loads what a look-up needs
        time.sleep(_SETTLE_S)
        before_mb, pid = resident_mb(agent.child.pid), agent.child.pid
        seconds, held, most_mb = _sync(operator, pid)
        time.sleep(_SETTLE_S)
        after_mb, file_mb = resident_mb(pid), _file_mb(directory)
        fresh = _fresh(till, count)
        hole = _in_the_hole(agent, upstream, count)
    bench.observations += [
        Observation(
            f"{held:,} members synced into snapshots",
            rate_per_s=held / seconds,
            note=f"{seconds:.1f} s, {file_mb:.0f} MB on disk; RSS {before_mb:.0f}, {most_mb:.0f} and {after_mb:.0f} MB "
            "before, at most and after",
        ),
        _look_ups("look-up, fresh snapshot", fresh, 1),
        _look_ups("look-up, line black-holed and not yet known dead", hole, _CASHIERS),
    ]
    bench.figures += [
        Figure(FRESH, percentile(fresh, 50), f"{held:,} members held"),
        Figure(HOLE, percentile(hole, 99) - BUDGET_MS, f"{len(hole)} look-ups, budget {BUDGET_MS} ms"),
        Figure(HELD, after_mb / before_mb, f"{before_mb:.0f} to {after_mb:.0f} MB"),
    ]


def _look_ups(subject: str, taken: list[float], clients: int) -> Observation:
    return Observation(
        subject,
        clients=clients,
        p50_ms=percentile(taken, 50),
        p99_ms=percentile(taken, 99),
        note=f"{len(taken):,} look-ups, longest {taken[-1]:.0f} ms" if taken else "none",
    )
