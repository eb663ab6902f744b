"""An agent under strace, which can kill it at its n-th call of the kernel, or let that call fail.

The agent is forked and held until strace is on it, so that the very first call is seen. Counting is strace's: each
thread of the agent has its own.
"""

import collections
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.support.forking import Child, Forks

SYNCS = ("fdatasync", "fsync")
WRITES = ("pwrite64", "ftruncate", "rename", "renameat2", "unlink", "unlinkat", "mkdir")
CALLS = (*SYNCS, *WRITES)
MEND = "install it: sudo apt-get install strace"
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?([a-z0-9]+)(?:\(| resumed)")


def missing() -> str | None:
    """Why nothing can be traced here, and what mends it."""
    if shutil.which("strace") is None:
        return f"there is no strace; {MEND}"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"strace may not trace here: {tried.stderr.strip()}; allow ptrace, or run as root"
    return None


class Tracer:
    """`launch` for an `AgentProcess`, with what is to befall it: `fdatasync:when=3:signal=KILL`; empty: nothing."""

    def __init__(self, forks: Forks, log: Path, inject: str = "") -> None:
        self._forks = forks
        self.log = log
        self._inject = inject
        self._strace: subprocess.Popen[bytes] | None = None
        self.made: dict[str, int] = {}  # once it is closed: how often each call was made by its busiest thread

    def launch(self, arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> Child:
        """Fork, trace, then let it run."""
        child = self._forks.launch(arguments, environment, log, stopped=True)
        _wait_for_line(child.pid, "State:", "T")
        command = ["strace", "-f", "-q", "-o", str(self.log), "-e", "trace=" + ",".join(CALLS)]
        command += ["-e", f"inject={self._inject}"] if self._inject else []
        self._strace = subprocess.Popen([*command, "-p", str(child.pid)], stderr=subprocess.DEVNULL)
        _wait_for_line(child.pid, "TracerPid:", str(self._strace.pid))
        child.send_signal(signal.SIGCONT)
        return child

    def close(self) -> None:
        """After the agent's end: strace goes by itself then."""
        if self._strace is not None:
            self._strace.wait()
            self._strace = None
            self.made = self._counts()

    def _counts(self) -> dict[str, int]:
        made: collections.Counter[tuple[str, str]] = collections.Counter()
        for line in self.log.read_text(errors="replace").splitlines():
            if (found := _LINE.match(line)) and "resumed" not in line.split("(", 1)[0]:
                made[found[2], found[1]] += 1
        most: dict[str, int] = {}
        for (call, _), count in made.items():
            most[call] = max(count, most.get(call, 0))
        return most


def _wait_for_line(pid: int, name: str, value: str, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while True:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        if any(line.startswith(name) and line.split()[1].startswith(value) for line in lines):
            return
        if time.monotonic() > until:
            raise TimeoutError(f"process {pid} never had {name} {value}")
        time.sleep(0.002)
