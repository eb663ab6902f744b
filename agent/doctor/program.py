"""The agent, its service, its port, its version, and how the last upgrade went."""

from collections.abc import Iterator

import psutil

from agent import __version__, servicemanager
from agent.api.loopback import listen_on_loopback
from agent.clock import local_text
from agent.doctor import log_sources
from agent.doctor.case import Case
from agent.doctor.catalogue import found
from agent.doctor.findings import Finding, Kind, Severity, fine
from agent.errors import AgentError, PortTakenError
from agent.storage import DataDir, upgrade_record

_SEVERITY = {"info": Severity.NOTE, "warning": Severity.WARNING, "critical": Severity.ERROR}


def look_at_agent(case: Case) -> Iterator[Finding]:
    """Does one run and answer, is it this version, and what does it say of itself?"""
    about = {name: value for name, value in (case.announced or {}).items() if case.agent != "absent"}
    if case.agent == "running" and case.status is not None:
        status = case.status
        queue = f"{status['pending']} pending, {status['failed']} failed"
        yield fine("agent", f"It runs and answers ({status['connectivity']}; {queue}).", **about)
        yield from _version(status["version"])
        yield from _conditions(case)
    elif case.agent == "absent":
        yield found("agent-absent")
    elif case.agent == "silent":
        yield found("agent-silent", **about)
    elif case.agent == "unknown":
        yield found("agent-unseen")
    elif case.agent == "refuses":
        yield found("agent-refuses", _who_has(case.port), **about)


def _version(running: str) -> Iterator[Finding]:
    if running == __version__:
        yield fine("version", f"The running agent is this version, {running}.")
    else:
        yield found("version-differs", f"{running} runs, {__version__} is installed.")


def _conditions(case: Case) -> Iterator[Finding]:
    """The agent's own word, as findings; those that a check names too are left out of the report."""
    conditions = (case.status or {}).get("conditions", [])
    for condition in conditions:
        severity = _SEVERITY.get(condition["severity"], Severity.WARNING)
        kind = Kind(condition["code"], "conditions", severity, condition["text"], "", condition["mend"])
        yield Finding(kind, details={"since": condition["since"]})
    if not conditions:
        yield fine("conditions", "The agent reports nothing that wants a person.")


def look_at_service(case: Case) -> Iterator[Finding]:
    """Is it installed, does it run, and is the agent that answers the service?"""
    state = _service_state()
    if state == "running":
        yield fine("service", "It runs.")
    elif state == "stopped":
        yield found("service-aside") if case.agent == "running" else found("service-stopped", _last_words(case))
    elif state == "starting":
        yield found("service-starting", _last_words(case))
    else:
        yield found(f"service-{state}")


def _last_words(case: Case) -> str:
    """A start that fails again and again looks like one that is under way: what it says tells them apart.

    It may know better than the checks: its account may not read what whoever runs this may.
    """
    words = "" if case.agent == "running" else log_sources.last_words(case.data_dir)
    return words and f"It said last: {words}"


def _service_state() -> str:
    try:
        return servicemanager.state()
    except (AgentError, OSError):
        return "unknown"


def look_at_port(case: Case) -> Iterator[Finding]:
    """Does the agent answer on it; else is it free, or whose is it?"""
    configured = case.settings.api.port if case.settings else None
    if case.agent in {"running", "silent", "refuses"}:
        if case.port and configured and case.port != configured:
            yield found("port-differs", f"{case.port}, not {configured}.", listens=case.port, configured=configured)
        elif case.agent == "running":
            yield fine("port", f"The agent answers on {case.port}.", port=case.port)
        return
    if configured is None:
        return
    try:
        for taken in listen_on_loopback(configured):
            taken.close()
    except PortTakenError:
        if case.agent == "absent":
            yield found("port-taken", f"{configured}{_who_has(configured)}", port=configured)
    else:
        yield fine("port", f"{configured or 'Any port'} is free.", port=configured)


def _who_has(port: int | None) -> str:
    """` by NAME (process PID).` where the system tells."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            if connection.status == psutil.CONN_LISTEN and address and address.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})."
    except (psutil.Error, OSError):
        pass
    return "; the system does not tell whose it is (run this as administrator)."


def look_at_upgrade(case: Case) -> Iterator[Finding]:
    """How the last one went."""
    record = upgrade_record.read(upgrade_record.path_in(DataDir(case.data_dir).upgrades))
    if record is None:
        return
    facts = {"phase": record.phase, "to": record.to.program, "at": record.at}
    at = local_text(record.at)
    if record.phase == "put-back":
        yield found("upgrade-rolled-back", f"to {record.to.program}, at {at}.", **facts)
    elif record.phase == "begun" and case.agent != "running":
        yield found("upgrade-open", f"to {record.to.program}, since {at}.", **facts)
    else:
        yield fine("upgrade", f"Version {record.to.program} got ready at {at}, with its database.", **facts)
