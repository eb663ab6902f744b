"""Sockets on loopback that are ours alone; a taken port is said with its holder."""

import errno
import os
import socket

import msgspec

from agent.errors import PortTakenError

BACKLOG = 256  # fewer than the connections that there may be: who waits here is served before a flood drives it out

_REFUSED = 10013  # Windows: somebody has it for himself alone, or the system does


def listen_on_loopback(port: int) -> list[socket.socket]:
    """Sockets on 127.0.0.1 and ::1, exclusively ours; the second may be missing where the system has no IPv6."""
    first = _bind(socket.AF_INET, "127.0.0.1", port)
    sockets = [first]
    try:
        sockets.append(_bind(socket.AF_INET6, "::1", first.getsockname()[1]))
    except PortTakenError:
        first.close()
        raise
    except OSError:
        pass  # no IPv6 here; the health condition says so
    return sockets


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "nt":  # pragma: no cover - without it another program could take our requests
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        if _is_taken(error):
            raise PortTakenError(_taken(port, error)) from None
        raise
    return bound


def _is_taken(error: OSError) -> bool:
    return error.errno in {errno.EADDRINUSE, errno.EACCES} or getattr(error, "winerror", None) in {_REFUSED, 10048}


def _taken(port: int, error: OSError) -> str:
    """Who has it, where the system tells, and the mend."""
    mend = "choose another with [api] port (or FLASH_AGENT_API__PORT, or --port) and tell the register."
    if holder := holder_of(port):
        return f"Port {port} is taken by {holder.name} (process {holder.pid}). Free it, or {mend}"
    if getattr(error, "winerror", None) == _REFUSED:
        return (
            f"Windows refuses port {port}, and names no program that has it: it may keep a range for virtual machines "
            f"(netsh interface ipv4 show excludedportrange protocol=tcp). Restart Windows, or {mend}"
        )
    return f"Port {port} is taken. Free it, or {mend}"


class Holder(msgspec.Struct, frozen=True):
    """A program that listens on a port."""

    pid: int
    name: str


def holder_of(port: int) -> Holder | None:
    """Who listens on the port, where the system tells us."""
    import psutil  # noqa: PLC0415 - only where a port is taken

    try:
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            listens = connection.status == psutil.CONN_LISTEN and address and address.port == port
            if listens and connection.pid:
                return Holder(connection.pid, psutil.Process(connection.pid).name())
    except (psutil.Error, OSError):
        pass
    return None
