"""Child processes: each is started here, waited for with a limit, and ended whatever happens.

Children get a small environment of their own, so that a developer's settings never leak into a measurement.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).resolve().parent.parent
STORE_PYTHON = REPOSITORY / ".store-venv" / "bin" / "python"  # with what a store installs, made by `make bench`
START_LIMIT_S = 60.0
STOP_LIMIT_S = 30.0

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "HOME", "VIRTUAL_ENV")


class ChildError(RuntimeError):
    """A child did not start, answer or end as it should; carries the end of what it printed."""


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child."""
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {**kept, **(extra or {})}


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Child:
    """A running process with its output in a file; a context manager that ends it."""

    def __init__(
        self, command: Sequence[str], output: Path, *, extra_environment: Mapping[str, str] | None = None
    ) -> None:
        self._output = output
        self.began_at = time.monotonic()
        with output.open("ab") as sink:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                env=environment(extra_environment),
            )

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to end, insist after a while."""
        if self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(STOP_LIMIT_S)

    def failure(self, what: str) -> ChildError:
        """An error that shows the end of the child's output."""
        tail = self._output.read_text(errors="replace")[-1500:]
        return ChildError(f"{what} (exit code {self.process.poll()})\n{tail}")

    def wait_until_listening(self, port: int, *, pause_s: float = 0.002) -> float:
        """Seconds from start to the first accepted connection."""
        while time.monotonic() - self.began_at < START_LIMIT_S:
            if self.process.poll() is not None:
                raise self.failure("ended before it listened")
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1.0):
                    return time.monotonic() - self.began_at
            except OSError:
                time.sleep(pause_s)
        raise self.failure(f"did not listen within {START_LIMIT_S:g} s")

    def wait_for_file(self, path: Path) -> None:
        """Wait until a file exists and holds something."""
        while time.monotonic() - self.began_at < START_LIMIT_S:
            if path.is_file() and path.stat().st_size > 0:
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise self.failure(f"did not write {path.name}")


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def run_json(
    command: Sequence[str], *, limit_s: float, extra_environment: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Run to the end and parse what it printed."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=REPOSITORY,
            env=environment(extra_environment),
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ChildError(f"{Path(command[0]).name} took longer than {limit_s:g} s") from error
    if done.returncode != 0:
        raise ChildError(f"{' '.join(command[1:4])} failed\n{done.stderr.decode(errors='replace')[-1500:]}")
    parsed = json.loads(done.stdout)
    assert isinstance(parsed, dict)
    return parsed


def resident_mb(pid: int) -> float:
    """Resident memory of a process, in MB of 10⁶ bytes as the targets count."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def peak_mb(pid: int | str = "self") -> float:
    """The most memory that a process has had resident so far, as `resident_mb`; 0.0 where it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM:")), 0.0)


def voluntary_switches(pid: int) -> int:
    """How often the threads of a process have gone to sleep so far: each is a wakeup that ended."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total
