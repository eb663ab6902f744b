"""The command line under test: real processes, free of the developer's own settings; warnings are errors there too.

FLASH_TEST_PROGRAM names a packed program to test instead of the tree.
"""

import contextlib
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.support.agents import PROGRAM, AgentProcess

PYTHON = (sys.executable, "-W", "error")
LIMIT_S = 50.0
NOWHERE = "http://127.0.0.1:9/api/v2"
ADA = {"externalId": "POS-CUST-5512"}


def environment(**settings: str) -> dict[str, str]:
    """This process's environment with no FLASH_AGENT_ variable but `settings`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLASH_AGENT_")}
    return {**kept, "PYTHONUTF8": "1", **settings}


def flash_agent(
    *arguments: object, python: tuple[str, ...] = PYTHON, typed: str | None = None, **settings: str
) -> subprocess.CompletedProcess[str]:
    """`flash-agent …`, run to its end; `typed` is what its standard input holds."""
    command = [*(PROGRAM if PROGRAM and python is PYTHON else (*python, "-m", "agent")), *map(str, arguments)]
    return subprocess.run(
        command, check=False, env=environment(**settings), capture_output=True, text=True, timeout=LIMIT_S, input=typed
    )


class Served:
    """A command that goes on serving; `said` is what it has printed so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said = ""

    def line_with(self, words: str) -> str:
        """Read on until a line holds `words`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said += line
            if words in line:
                return line
        raise AssertionError(f"it ended without {words!r}: {self.said}")

    def end(self, number: int) -> int:
        """Send a signal, read the rest, return the exit code."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=LIMIT_S)
        self.said += rest
        return self.process.returncode


@contextlib.contextmanager
def serving(*arguments: object, **settings: str) -> Iterator[Served]:
    """`flash-agent …` as a process that goes on; killed at the end if it has not ended before."""
    command = [*(PROGRAM or (*PYTHON, "-m", "agent")), *map(str, arguments)]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, env=environment(**settings), text=True, **output) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


def free_port() -> int:
    """A port that nobody listens on, and that no other test is likely to be given.

    It is below those that systems give to connections: another test has ten thousand of them open.
    """
    while True:
        port = 20_000 + secrets.randbelow(12_000)  # not `random`: every test starts with the same seed
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def call(method: str, url: str, token: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """One HTTP call; status and parsed body."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=LIMIT_S)
    try:
        sent = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@dataclass(frozen=True)
class Flash:
    """A running `flash-agent sandbox`, as its own words describe it."""

    base_url: str
    write_key: str
    read_key: str
    store_id: str

    def place(self, order: str, amount: int) -> None:
        """An order that reached Flash some other way."""
        body = {"externalOrderId": order, "customer": ADA, "totalAmount": amount}
        assert call("POST", f"{self.base_url}/orders", self.write_key, body)[0] == 200

    def settings(self) -> dict[str, str]:
        return {"FLASH_AGENT_FLASH__WRITE_KEY": self.write_key, "FLASH_AGENT_STORE__STORE_ID": self.store_id}


def post(
    agent: AgentProcess, collection: str, body: dict[str, Any], wait: int = 0, *, scope: str = "register"
) -> dict[str, Any]:
    url = f"http://127.0.0.1:{agent.port}/v1/{collection}"
    token = (agent.data_dir / f"{scope}.token").read_text()
    status, answer = call("POST", url, token, body, Prefer=f"wait={wait}")
    assert status in {200, 202}, answer
    return answer


def sell(agent: AgentProcess, order: str, amount: float, wait: int = 0, **fields: Any) -> dict[str, Any]:
    body = {"externalOrderId": order, "customer": ADA, "totalAmount": amount, **fields}
    return post(agent, "sales", body, wait)


def fail(agent: AgentProcess, flash: Flash, order: str) -> dict[str, Any]:
    """A sale that contradicts what Flash has."""
    flash.place(order, 10)
    sale = sell(agent, order, 20, wait=10)
    assert sale["status"] == "failed"
    return sale


def of(agent: AgentProcess, *arguments: str, typed: str | None = None) -> Any:
    return flash_agent(*arguments, "--data-dir", agent.data_dir, typed=typed)


def until(holds: Callable[[], bool], seconds: float = 45.0) -> None:
    """Look again and again until it holds; fails when it does not within `seconds`, many on a quiet machine."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
