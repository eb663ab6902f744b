"""A port for the registers: whether it is free, who holds a taken one, and which is the next that is free."""

import contextlib
from pathlib import Path
from typing import Literal

from agent.api.loopback import holder_of, listen_on_loopback
from agent.errors import AgentError, PortTakenError
from agent.storage import DataDir

NEIGHBOURS = 200  # so many are tried


def settle(asked: int | Literal["auto"], data_dir: Path, usual: int) -> int:
    """The port to use; raises AgentError naming who holds the one that was asked for, and a free one.

    `auto` takes `usual` or the next free one. What our own agent of this data directory holds is free for it.
    """
    if asked == "auto":
        return usual if is_free(usual, data_dir) else next_free(usual)
    if not is_free(asked, data_dir):
        free = next_free(asked)
        raise AgentError(f"Port {asked} is taken{by(asked)}. Free it, or take another: port = {free} is free.")
    return asked


def is_free(port: int, data_dir: Path) -> bool:
    """Whether the agent of this data directory can listen there."""
    if can_listen(port):
        return True
    announced = DataDir(data_dir).announced()
    holder = holder_of(port)
    return announced.get("port") == port and (holder is None or holder.pid == announced.get("pid"))


def can_listen(port: int) -> bool:
    """Whether nobody listens there; raises AgentError where it cannot be found out."""
    try:
        sockets = listen_on_loopback(port)
    except PortTakenError:
        return False
    except OSError as error:
        raise AgentError(f"Port {port} cannot be tried: {error.strerror}.") from None
    for each in sockets:
        each.close()
    return True


def next_free(port: int) -> int:
    """The first free one above; raises AgentError."""
    for candidate in range(port + 1, min(port + NEIGHBOURS, 65536)):
        if can_listen(candidate):
            return candidate
    raise AgentError(f"No port above {port} is free. Free one, and run this again.")


def by(port: int) -> str:
    """` by NAME (process PID)`, as far as the system tells."""
    with contextlib.suppress(OSError):
        if holder := holder_of(port):
            return f" by {holder.name} (process {holder.pid})"
    return " by another program"
