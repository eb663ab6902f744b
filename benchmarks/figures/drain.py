"""Draining a backlog to an upstream 5 ms away: one by one, eight at once, by batches."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks import servers
from benchmarks.bench import Bench
from benchmarks.figures import backlog
from benchmarks.processes import free_port
from benchmarks.stats import median, median_ratio
from benchmarks.targets import DRAIN, Figure, Observation

_LIMIT_S = 45.0


@dataclass(frozen=True, slots=True)
class Manner:
    """A way to send: how many orders a request carries and how many requests may be under way."""

    name: str
    count: int
    settings: dict[str, str]


def _manners(bench: Bench) -> tuple[Manner, Manner, Manner]:
    def settings(batch_size: int, in_flight: int) -> dict[str, str]:
        return {
            "FLASH_AGENT_RELAY__BATCH_SIZE": str(batch_size),
            "FLASH_AGENT_RELAY__MAX_IN_FLIGHT": str(in_flight),
            "FLASH_AGENT_RELAY__START_JITTER_S": "0",
        }

    plan = bench.plan
    return (
        Manner("drain, one at a time", plan.drain_single, settings(1, 1)),
        Manner("drain, 8 at once", plan.drain_eight, settings(1, 8)),
        Manner("drain, by batches", plan.drain_batched, settings(100, 8)),
    )


def _drain(bench: Bench, manner: Manner) -> backlog.Drained:
    """Accept while the line is dead, restart with a living upstream, count what arrives there."""
    port = free_port()
    with bench.scratch() as directory:
        with servers.agent(directory, upstream_port=port) as agent:
            prefix = backlog.fill(bench, agent, manner.count)
        with (
            servers.upstream(directory, port=port) as upstream,
            servers.agent(directory, upstream_port=port, settings=manner.settings) as agent,
        ):
            drained = backlog.wait_until_drained(upstream, agent, prefix, manner.count, limit_s=_LIMIT_S)
            backlog.wait_until_settled(agent)
            return drained


def measure(bench: Bench) -> None:
    """The figure of draining."""
    if not servers.agent_is_there():
        bench.figures.append(Figure(DRAIN, None, "no agent"))
        return
    manners = _manners(bench)
    seen: dict[str, list[backlog.Drained]] = {manner.name: [] for manner in manners}
    for _ in bench.rounds("drain"):
        for manner in manners:
            seen[manner.name].append(_drain(bench, manner))
    for manner in manners:
        rows = seen[manner.name]
        requests = median([row.requests for row in rows])
        at_once = max(row.most_at_once for row in rows)
        note = f"{manner.count:,} sales in {requests:.0f} requests, {at_once} at most at once"
        rates = [row.rate_per_s for row in rows]
        ends = (min(rates), max(rates))
        bench.observations.append(Observation(manner.name, rate_per_s=median(rates), range_per_s=ends, note=note))
    single, _, batched = ([row.rate_per_s for row in seen[manner.name]] for manner in manners)
    bench.figures.append(Figure(DRAIN, median_ratio(batched, single)))
