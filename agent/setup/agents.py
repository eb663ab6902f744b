"""The running agent: brought up by the system's service, waited for, and given its keys.

A key goes to the agent over its local API, for the agent alone can protect it as its own account; where none runs, and
none is to, it is kept for this user as the agent would. Raises AgentError saying what did not happen.
"""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from agent import config
from agent.errors import AgentError
from agent.flashkeys import FlashKeys, Which
from agent.setup.place import Place
from agent.storage import DataDir, KeyFile

READY_WITHIN_S = 90.0
_LOOK_EVERY_S = 0.1


class Client(Protocol):
    """Speaks to one running agent."""

    port: int

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call; raises AgentError."""
        ...


Connect = Callable[[Path], Client]  # by data directory; raises AgentError where no agent runs


class Service(Protocol):
    """The system's service manager, as `agent.servicemanager` is one."""

    def state(self) -> str: ...
    def install(self) -> None: ...
    def start(self) -> None: ...
    def restart(self) -> None: ...


def running(place: Place, connect: Connect) -> Client | None:
    """The agent that runs with this data directory, if one does."""
    try:
        client = connect(place.data_dir)
        client.call("GET", "/readyz")
    except AgentError:
        return None
    return client


def must_have_service(service: Service) -> None:
    """On Linux a package brings the unit: without one nothing can be set up; raises AgentError."""
    if sys.platform != "win32" and service.state() in {"absent", "unknown"}:
        raise AgentError(
            "There is no service flash-agent.service here, or systemd does not answer. Install the package "
            "flash-pos-agent, or set up without a service: --no-service."
        )


def bring_up(service: Service, place: Place, connect: Connect, *, changed: bool) -> Client:
    """Have the service, which is installed, run with the configuration as it is now.

    Returns once the agent can take sales.
    """
    if service.state() not in {"running", "starting"}:
        service.start()
    elif changed:
        service.restart()
    return wait_until_ready(place, connect)


def wait_until_ready(place: Place, connect: Connect) -> Client:
    """The agent, once it is ready. A service that was started listens; it may have to migrate first."""
    within_s = READY_WITHIN_S
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if (client := running(place, connect)) is not None:
            return client
        time.sleep(_LOOK_EVERY_S)
    log = place.data_dir / "logs" / "agent.log"
    where = f"its log {log}" if sys.platform == "win32" else "journalctl -u flash-agent -n 50"
    raise AgentError(f"The service was started, but the agent did not get ready in {within_s:.0f} s. See {where}.")


def hand_over(client: Client, keys: Mapping[Which, SecretStr]) -> list[str]:
    """Give the agent its keys, which it uses from then on; returns what a person should know of them.

    Raises AgentError where Flash tells the agent that a key is none for this till.
    """
    notes = []
    for which, key in keys.items():
        given = client.call("POST", "/v1/key", {"which": which, "key": key.get_secret_value()})
        if given["state"] == "outranked":
            notes.append(
                f"The {which} key was kept, but another goes before it (source: {given['source']}): take that away, "
                "and restart the agent."
            )
        elif given["waiting"] is not None:
            notes.append(f"The {which} key is kept and not in force yet. {given['waiting']['text']}")
    return notes


def keep_here(place: Place, keys: Mapping[Which, SecretStr]) -> None:
    """Keep them for an agent that this user starts later."""
    settings = config.load(str(place.config))
    directory = DataDir(place.data_dir)
    directory.take()
    try:
        kept = FlashKeys(settings, KeyFile(directory.data_key, settings.keys.store), place.data_dir)
        for which, key in keys.items():
            kept.keep(which, key)
    finally:
        directory.release()
