"""The status as Prometheus text: no labels that name a person or an order. Loaded at the first scrape."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.delivery import Fate, Kind

_CONNECTIVITY = ("starting", "online", "offline", "throttled", "unauthorized")


class _Facts(Collector):
    def __init__(
        self,
        status: Mapping[str, Any],
        attempts: Mapping[tuple[Kind, Fate], int],
        members: int,
        look_ups: Mapping[str, int],
    ) -> None:
        self._status = status
        self._attempts = attempts
        self._members = members
        self._look_ups = look_ups

    def collect(self) -> Iterator[Metric]:
        status = self._status
        yield InfoMetricFamily("flash_agent", "The agent.", {"version": status["version"], "till": status["tillId"]})
        yield GaugeMetricFamily("flash_agent_pending", "Operations not confirmed yet.", status["pending"])
        yield GaugeMetricFamily("flash_agent_failed", "Operations that wait for a person.", status["failed"])
        age = status["oldestPendingAgeSeconds"] or 0
        yield GaugeMetricFamily("flash_agent_oldest_pending_age_seconds", "Age of the oldest pending operation.", age)
        if status["clockSkewSeconds"] is not None:
            skew = status["clockSkewSeconds"]
            yield GaugeMetricFamily("flash_agent_clock_skew_seconds", "Flash's time less the till's.", skew)
        for name, text in (("freeBytes", "Free space on the data disk."), ("walBytes", "Size of the write-ahead log.")):
            yield GaugeMetricFamily(f"flash_agent_disk_{name[:-5].lower()}_bytes", text, status["disk"][name])
        yield from _redemptions(status["redemptions"], status["exposure"])
        yield _spool(status["spool"])
        line = GaugeMetricFamily("flash_agent_connectivity", "What the last contact showed.", labels=["state"])
        for state in _CONNECTIVITY:
            line.add_metric([state], float(state == status["connectivity"]))
        yield line
        conditions = GaugeMetricFamily("flash_agent_condition", "Faults that hold now.", labels=["code", "severity"])
        for condition in status["conditions"]:
            conditions.add_metric([condition["code"], condition["severity"]], 1)
        yield conditions
        attempts = CounterMetricFamily("flash_agent_attempts", "Attempts since the start.", labels=["kind", "fate"])
        for (kind, fate), count in sorted(self._attempts.items()):
            attempts.add_metric([kind.value, fate.value], count)
        yield attempts
        yield GaugeMetricFamily("flash_agent_members", "Members whom this till remembers.", self._members)
        look_ups = CounterMetricFamily("flash_agent_look_ups", "Look-ups since the start.", labels=["source"])
        for source, count in sorted(self._look_ups.items()):
            look_ups.add_metric([source], count)
        yield look_ups


def _spool(folders: Sequence[Mapping[str, Any]]) -> Metric:
    files = GaugeMetricFamily("flash_agent_spool_files", "Files in spool folders.", labels=["adapter", "state"])
    for folder in folders:
        for name, state in (("waiting", "waiting"), ("doneToday", "done-today"), ("failed", "failed")):
            files.add_metric([folder["adapter"], state], folder[name])
    return files


def _redemptions(open_: Mapping[str, int], exposure: Mapping[str, Any]) -> Iterator[Metric]:
    texts = {
        "unconfirmed": "Redemptions of which it is not known whether they burned the coupon.",
        "creditsOpen": "Coupons burned and not honored.",
        "lost": "Coupons honored offline and refused by Flash, which nobody has looked at.",
    }
    redemptions = GaugeMetricFamily("flash_agent_redemptions", "; ".join(texts.values()), labels=["state"])
    for name in texts:
        redemptions.add_metric([name], open_[name])
    yield redemptions
    for name, text in (("count", "Coupons honored offline today."), ("lost", "Those of today that Flash refused.")):
        yield GaugeMetricFamily(f"flash_agent_exposure_{name}", text, exposure[name])
    for name, text in (("value", "What they are worth."), ("lostValue", "What the refused ones are worth.")):
        metric = f"flash_agent_exposure_{'lost_' if name != 'value' else ''}value"
        yield GaugeMetricFamily(metric, text, float(exposure[name] or 0))


def exposition(
    status: Mapping[str, Any], attempts: Mapping[tuple[Kind, Fate], int], members: int, look_ups: Mapping[str, int]
) -> bytes:
    """The text of one scrape. `members` are remembered; `look_ups` by the source of their answer."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Facts(status, attempts, members, look_ups))
    return generate_latest(registry)
