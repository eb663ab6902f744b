"""Runs the checks: each in a thread of its own, within its time limit, and whatever one does harms no other."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from agent import tracebacks
from agent.doctor import account, configuration, database, disk, keys, network, package, permissions, program
from agent.doctor.bounded import Bounded
from agent.doctor.case import Case
from agent.doctor.catalogue import CHECKS, found
from agent.doctor.findings import Finding, ordered

_LAST_LINES = 6  # of a fault of our own


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its time limit in seconds. `alone`: it measures, and nothing else is to run beside it."""

    name: str
    look: Callable[[Case], Iterable[Finding]]
    limit_s: float
    alone: bool = False


ALL = (
    Check("disk", disk.look, 5.0, alone=True),
    Check("configuration", configuration.look, 3.0),
    Check("permissions", permissions.look, 5.0),
    Check("account", account.look, 5.0),
    Check("agent", program.look_at_agent, 3.0),
    Check("service", program.look_at_service, 5.0),
    Check("port", program.look_at_port, 5.0),
    Check("upgrade", program.look_at_upgrade, 3.0),
    Check("package", package.look, 4.0),
    Check("database", database.look, 10.0),
    Check("recovery", database.look_at_recovery, 3.0),
    Check("network", network.look, 12.0),
    Check("key", keys.look, 12.0),
)


def examine(case: Case, checks: Sequence[Check] = ALL) -> list[Finding]:
    """All findings, the gravest first."""
    findings: list[Finding] = []
    for alone in (True, False):
        findings += _side_by_side(case, [check for check in checks if check.alone is alone])
    return ordered(findings, CHECKS)


def _side_by_side(case: Case, checks: Sequence[Check]) -> Iterator[Finding]:
    begun = [(check, time.monotonic(), Bounded(partial(_look, check, case), check.name)) for check in checks]
    for check, at, thread in begun:
        try:
            yield from thread.outcome(at + check.limit_s)
        except TimeoutError:
            yield found("check-timed-out", f"{check.name}, after {check.limit_s:.0f} s.")
        except Exception as error:  # noqa: BLE001 - a check that fails is a finding of its own
            yield found("check-crashed", f"{check.name}.", where=tracebacks.spell(error).splitlines()[-_LAST_LINES:])


def _look(check: Check, case: Case) -> list[Finding]:
    return list(check.look(case))
