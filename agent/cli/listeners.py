"""Who listens on a port of this machine, so that a token or a key goes to the agent and to nobody else.

An agent that was killed leaves its port free, and its agent.json names it still: any user could listen there.
"""

import http.client
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from agent.cli.announced import announced

_LISTENS = "0A"
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
# The closest match gets the connection, as the kernel has it.
_PLACES = [socket.inet_pton(socket.AF_INET, each) for each in ("127.0.0.1", "0.0.0.0")] + [  # noqa: S104 - compared
    socket.inet_pton(socket.AF_INET6, each) for each in ("::ffff:127.0.0.1", "::")
]


def reach(data_dir: Path, connection: http.client.HTTPConnection) -> bool:
    """Connect to 127.0.0.1; whether the data directory's agent is at the other end. Nothing is sent to anybody.

    Raises OSError where nobody listens, AgentError where Windows does not tell.
    """
    if sys.platform == "win32":
        return leads_to_announced(data_dir, connection.port, connection.connect)
    connection.connect()
    return not is_strange(data_dir, connection.sock)


def leads_to_announced(data_dir: Path, port: int, connect: Callable[[], None]) -> bool:
    """Connect; whether the process that wrote agent.json was listening on that port all the while.

    It was announced before, lived after, and had not withdrawn it by then: nobody else can have taken the connection.
    """
    before = announced(data_dir)
    connect()
    if before is None or before.port != port:
        return False
    return before.lives() and announced(data_dir) == before


def is_strange(data_dir: Path, connection: socket.socket) -> bool:
    """Whether the other end of a connection to 127.0.0.1 is neither the data directory's owner's nor root's.

    False where the system does not tell. Asked of a connection that is made: what listened before may be gone.
    """
    if os.name != "posix":
        return False
    own, port = connection.getsockname()[1], connection.getpeername()[1]
    rows = [row for table in _TABLES for row in _rows(table)]
    if not any(number == own for (_, number), _, _ in rows):
        return False  # a system without the table, or with an empty one
    holders = {address: user for (address, number), state, user in rows if number == port and state == _LISTENS}
    holder = next((holders[place] for place in _PLACES if place in holders), None)
    return holder not in {0, data_dir.stat().st_uid}


def _rows(table: Path) -> list[tuple[tuple[bytes, int], str, int]]:
    """Local address and port, state, and the user's number of each socket."""
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return []
    return [(_end(local), state, int(user)) for _, local, _, state, _, _, _, user, *_ in map(str.split, lines)]


def _end(text: str) -> tuple[bytes, int]:
    """`0100007F:2107`: words as this machine stores them, and the port."""
    words, port = text.split(":")
    return b"".join(struct.pack("=I", int(words[at : at + 8], 16)) for at in range(0, len(words), 8)), int(port, 16)
