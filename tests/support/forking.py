"""Agents that start in a tenth of the time: forked off a process that has imported everything already.

Where a campaign starts the agent a thousand times, importing it is most of the wait. `Forks.launch` takes the place of
`subprocess.Popen` in `AgentProcess`: the child runs the same `main` with the same arguments and is a process of its
own, to be killed like any other. POSIX only; `quickly()` starts a fresh interpreter elsewhere.

The server end, `python -m tests.support.forking`, reads a line of JSON each and answers with one.
"""

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.support.agents import Launch, launch_fresh
from tests.support.weakened import environment_of


class Child:
    """A forked agent, as far as tests treat it like a `subprocess.Popen`."""

    def __init__(self, forks: "Forks", pid: int) -> None:
        self._forks = forks
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""
        if self.returncode is None:
            self.returncode = self._forks.ask({"poll": self.pid})
        return self.returncode

    def wait(self) -> int | None:
        """Its exit code, once it has ended; looks every other millisecond, so that others can ask meanwhile."""
        while self.poll() is None:
            time.sleep(0.002)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Only while it is not waited for, so that its number is still its own."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def quickly() -> contextlib.AbstractContextManager[Launch]:
    """The quickest way there is here to launch agents, in a with statement."""
    if hasattr(os, "fork"):
        return _forks()
    return contextlib.nullcontext(launch_fresh)


@contextlib.contextmanager
def _forks() -> Iterator[Launch]:
    with Forks() as forks:
        yield forks.launch


class Forks:
    """The client end; a context manager whose end kills what is left of its children.

    `folder`: another tree, with `agent` and `tests` in it, whose agent is forked.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._server: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.forking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # what ends a test run's whole group leaves it time to end what it started
            cwd=self._folder,
            env=None if self._folder is None else environment_of(self._folder),
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.communicate()  # the end of its input tells it to go

    def launch(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes], *, stopped: bool = False
    ) -> Child:
        """Run the command line with these arguments; `stopped`: not before it gets a SIGCONT."""
        asked = {"run": [*arguments], "environment": {**environment}, "log": log.name, "stopped": stopped}
        return Child(self, self.ask(asked))

    def ask(self, request: Mapping[str, Any]) -> Any:
        """One request of the server, and its answer."""
        with self._lock:
            if self._server is None or self._server.stdin is None or self._server.stdout is None:
                raise RuntimeError("to be used in a with statement")
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            return json.loads(self._server.stdout.readline())


def serve() -> None:
    """Answer requests until there are no more; then end what was started."""
    import agent.app
    import agent.cli.commands.run
    import agent.cli.process
    import agent.outbox.salvage  # noqa: F401 - imported for the children's sake, like the others

    if threading.active_count() > 1:
        raise RuntimeError("a process with threads cannot be forked safely")
    gc.freeze()
    codes: dict[int, int | None] = {}
    try:
        for line in sys.stdin:
            print(json.dumps(_answer(json.loads(line), codes)), flush=True)
    finally:  # however the asking ended: what was forked has a session of its own, and would stay
        for pid in (pid for pid, code in codes.items() if code is None):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _answer(request: Mapping[str, Any], codes: dict[int, int | None]) -> int | None:
    """Of what was forked: its number; of what is asked about: its exit code, or None while it runs."""
    if "run" in request:
        started = _fork(request)
        codes[started] = None
        return started
    pid = request["poll"]
    if codes[pid] is None:
        ended, status = os.waitpid(pid, os.WNOHANG)
        codes[pid] = os.waitstatus_to_exitcode(status) if ended else None
    return codes[pid]


def _fork(request: Mapping[str, Any]) -> int:
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.setsid()
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, log), (2, log)):
            os.dup2(source, target)
        os.environ.clear()
        os.environ.update(request["environment"])
        if request["stopped"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        from agent.cli.main import main

        code = main(request["run"])
    except BaseException:  # as the interpreter would
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # without a word of the parent's buffers and exit handlers


if __name__ == "__main__":
    serve()
