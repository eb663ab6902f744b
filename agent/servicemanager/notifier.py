"""What systemd is told of a service of `Type=notify`: that it starts, is ready, stops, and is alive (sd_notify(3)).

    service = Notifier()             silent, and free, where no service manager listens
    with service.starting(): ...     the time limit of the start moves on as long as the event loop turns
    service.ready("listens on …")    from now on a loop that stands still is found out, where a watchdog is asked for
    service.stopping()

Words go out from the event loop, so that what keeps the loop from turning keeps them back. No words are lost by a
socket that is full or gone: the next ones say the same.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Mapping

START_LIMIT_S = 120  # how long a start may stand still; the unit's own limit is for what comes before the first word
_START_PULSE_S = 20.0


class Notifier:
    """One process's words to its service manager."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address  # abstract, or a path
        self._watchdog_s = _watchdog(environ) if address else None
        self._pulse: asyncio.TimerHandle | None = None

    @contextlib.contextmanager
    def starting(self) -> Iterator[None]:
        """While it lasts, the start may take as long as it needs: a database is checked or migrated, say."""
        if self._address:
            self._beat(f"EXTEND_TIMEOUT_USEC={START_LIMIT_S * 1_000_000}", _START_PULSE_S)
        try:
            yield
        finally:
            self._rest()

    def ready(self, status: str) -> None:
        """The service does its work; `status` is what `systemctl status` shows."""
        self._tell(f"READY=1\nSTATUS={status}")
        if self._watchdog_s is not None:
            self._beat("WATCHDOG=1", self._watchdog_s / 2)

    def stopping(self) -> None:
        """The service was told to stop."""
        self._rest()
        self._tell("STOPPING=1\nSTATUS=stops")

    def _beat(self, words: str, every_s: float) -> None:
        self._tell(words)
        self._pulse = asyncio.get_running_loop().call_later(every_s, self._beat, words, every_s)

    def _rest(self) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None

    def _tell(self, words: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.setblocking(False)  # a manager that does not read must not hold up a register
            line.sendto(words.encode(), self._address)


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """How often a sign of life is wanted, in seconds; None where it is not, or not of this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        return int(environ["WATCHDOG_USEC"]) / 1_000_000 or None
    except (KeyError, ValueError):
        return None
