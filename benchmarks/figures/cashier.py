"""A cashier who waits for Flash's word, on a quiet till and while the till catches up after an outage."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks import drive, servers
from benchmarks.bench import Bench
from benchmarks.drive import Posting
from benchmarks.figures import backlog
from benchmarks.processes import free_port
from benchmarks.servers import Server
from benchmarks.stats import percentile
from benchmarks.targets import CASHIER, Figure, Observation

_SPARE_S = 10.0  # until the first of the backlog arrives upstream
_PACE_MS = 5.0
_WAIT = {"Prefer": "wait=2"}
Sample = tuple[float, float, str]


class Cashier:
    """The samples of all rounds, apart for idle and for draining."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.idle: list[Sample] = []
        self.draining: list[Sample] = []
        self.drained = 0
        self.drained_s = 0.0

    def round(self) -> None:
        """One agent: idle first, then one outage after the other."""
        port = free_port()
        with self._bench.scratch() as directory:
            with (
                servers.upstream(directory, port=port),
                servers.agent(directory, upstream_port=port) as agent,
            ):
                self._serve_idle(agent)
            for _ in range(self._bench.plan.cashier_drains):
                with servers.agent(directory, upstream_port=port) as agent:
                    prefix = backlog.fill(self._bench, agent, self._bench.plan.cashier_backlog)
                    self._serve_during_drain(agent, port, prefix)

    def _serve_idle(self, agent: Server) -> None:
        seconds = self._bench.plan.cashier_idle_s
        posting = Posting(seconds=seconds, warm_up_s=0.5, pace_ms=_PACE_MS, headers=_WAIT, trace=True)
        self.idle += drive.post(self._bench, agent, posting).trace

    def _serve_during_drain(self, agent: Server, port: int, prefix: str) -> None:
        """Only sales posted between the first and the last arrival of the backlog upstream count.

        A cashier who posts without pause slows the drain down on purpose, so the round looks at a part of it.
        """
        plan = self._bench.plan
        limit_s = plan.cashier_drain_s + _SPARE_S
        posting = Posting(seconds=limit_s, pace_ms=_PACE_MS, headers=_WAIT, trace=True)
        with ExitStack() as stack, self._bench.scratch() as directory:
            upstream = stack.enter_context(servers.upstream(directory, port=port))
            finish = stack.enter_context(drive.posting_begun(self._bench, agent, posting))
            seen = backlog.watch(upstream, prefix, plan.cashier_backlog, seconds=plan.cashier_drain_s)
            samples = finish(early=True).trace
        if seen is None:
            raise agent.child.failure(f"nothing arrived in {plan.cashier_drain_s:g} s; the agent said:")
        self.draining += [one for one in samples if seen.first_at <= one[0] <= seen.last_at]
        self.drained += seen.orders
        self.drained_s += seen.last_at - seen.began_at


def _observe(bench: Bench, subject: str, samples: list[Sample]) -> float:
    ascending = sorted(latency for _, latency, _ in samples)
    p50_ms, p99_ms = percentile(ascending, 50) * 1e3, percentile(ascending, 99) * 1e3
    settled = sum(status == "200" for _, _, status in samples)
    note = f"{len(samples)} sales with Prefer: wait=2, {settled} answered with Flash's word"
    bench.observations.append(Observation(subject, 1, p50_ms=p50_ms, p99_ms=p99_ms, note=note))
    return p99_ms


def measure(bench: Bench) -> None:
    """The figure of the waiting cashier: p99 over the samples of all rounds, draining ÷ idle."""
    if not servers.agent_is_there():
        bench.figures.append(Figure(CASHIER, None, "no agent"))
        return
    cashier = Cashier(bench)
    for _ in bench.rounds("cashier"):
        cashier.round()
    idle_ms = _observe(bench, "a waiting cashier, idle", cashier.idle)
    draining_ms = _observe(bench, "a waiting cashier, during a drain", cashier.draining)
    speed = cashier.drained / cashier.drained_s if cashier.drained_s else 0.0
    note = f"a backlog of {bench.plan.cashier_backlog:,}, drained meanwhile at {speed:.0f}/s; p99 over all rounds"
    value = draining_ms / idle_ms if idle_ms and cashier.draining else None
    bench.figures.append(Figure(CASHIER, value, note))
