"""The agent under test: in this process for most tests, as a process of its own where it is to be killed."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import aiohttp

from agent.app import Agent
from agent.clock import Clock
from agent.config import Settings
from tests.support.strict_flash import StrictFlash

WRITE_KEY = "fl_live_test_write_0001"
PROGRAM = tuple(filter(None, [os.environ.get("FLASH_TEST_PROGRAM")]))  # a packed one, to be tested instead of the tree


def settings(base_url: str = "http://127.0.0.1:9/api/v2", **sections: dict[str, Any]) -> Settings:
    """Settings for a test: a free port, no start jitter, short time limits; `relay={"batch_size": 1}` and so on."""
    chosen: dict[str, dict[str, Any]] = {
        "flash": {"base_url": base_url, "write_key": WRITE_KEY, "attempt_timeout_s": 3.0},
        "store": {"store_id": "st_1", "till_id": "till-1"},
        "api": {"port": 0},
        "relay": {"start_jitter_s": 0.0},
    }
    for name, values in sections.items():
        chosen[name] = {**chosen.get(name, {}), **values}
    return Settings.isolated(**chosen)


class Register:
    """A register: speaks to the agent over a real socket."""

    def __init__(self, agent: Agent, session: aiohttp.ClientSession) -> None:
        self.agent = agent
        self.session = session
        self.base_url = f"http://127.0.0.1:{agent.port}"

    def headers(self, scope: str = "register", **more: str) -> dict[str, str]:
        token = self.agent.data_dir.token_path(scope).read_text()
        return {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in more.items()}}

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        scope: str = "register",
        raw: bytes | None = None,
        **headers: str,
    ) -> "Answer":
        """One call; header names are written with underscores (`Prefer="wait=2"`, `Idempotency_Key="k"`)."""
        sent = self.headers(scope, **headers)
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with self.session.request(method, self.base_url + path, data=data, headers=sent) as response:
            content = await response.read()
            parsed = json.loads(content) if "json" in response.content_type else content.decode()
            return Answer(response.status, parsed, dict(response.headers))

    async def sell(
        self, order: str = "90871", amount: Any = 120, *, wait: float | None = None, **fields: Any
    ) -> "Answer":
        """Post a sale of member POS-CUST-5512."""
        body = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": amount, **fields}
        headers = {"Prefer": f"wait={wait}"} if wait is not None else {}
        return await self.call("POST", "/v1/sales", body, **headers)

    async def status(self) -> dict[str, Any]:
        return (await self.call("GET", "/v1/status")).json

    async def operation(self, operation_id: str) -> dict[str, Any]:
        return (await self.call("GET", f"/v1/operations/{operation_id}")).json

    async def settled(self, operation_id: str, seconds: float = 15.0) -> dict[str, Any]:
        """The operation once it is no longer pending."""

        async def is_settled() -> bool:
            return (await self.operation(operation_id))["status"] != "pending"

        await until(is_settled, seconds)
        return await self.operation(operation_id)

    async def conditions(self) -> set[str]:
        return {condition["code"] for condition in (await self.status())["conditions"]}


class Answer:
    """Status, parsed body and headers."""

    def __init__(self, status: int, body: Any, headers: dict[str, str]) -> None:
        self.status = status
        self.json = body
        self.headers = headers

    def __repr__(self) -> str:
        return f"<{self.status} {self.json}>"


@contextlib.asynccontextmanager
async def running(
    data_dir: Path, chosen: Settings | None = None, clock: Clock | None = None
) -> AsyncIterator[Register]:
    """An agent in this process, and a register that speaks to it."""
    agent = Agent(chosen or settings(), data_dir, clock)
    await agent.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Register(agent, session)
    finally:
        await agent.stop()


@dataclass
class RawAnswer:
    """An answer off a raw socket; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> RawAnswer:
    """The next answer on a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = 0 if head_only else int(headers.get("content-length", "0"))
    return RawAnswer(int(first.split(" ")[1]), headers, await reader.readexactly(length))


async def exchange(port: int, raw: bytes, *, host: str = "127.0.0.1", head_only: bool = False) -> RawAnswer:
    """Send bytes on a connection of their own, whatever they are, and read one answer."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(raw)
            return await read_answer(reader, head_only=head_only)
        finally:
            writer.transport.abort()


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 45.0) -> None:
    """Look again and again until `holds()`; fails when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not await holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def strict_flash(state: Path | None = None, **options: Any) -> Iterator[StrictFlash]:
    """A strict Flash that takes the agent's key and knows member POS-CUST-5512, who has 1814 points."""
    with StrictFlash(state, **options) as flash:
        flash.add_key(WRITE_KEY, "t1")
        flash.add_member(externalId="POS-CUST-5512", email="ada@example.com", points=1814)
        yield flash


class Process(Protocol):
    """What is needed of a `subprocess.Popen`."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self) -> int | None: ...
    def kill(self) -> None: ...
    def send_signal(self, number: int, /) -> None: ...


Launch = Callable[[Sequence[str], Mapping[str, str], IO[bytes]], Process]


def launch_fresh(arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> Process:
    """`python -m agent`, or the packed program under test, with these arguments; stderr goes to `log`."""
    return subprocess.Popen([*(PROGRAM or (sys.executable, "-m", "agent")), *arguments], env=environment, stderr=log)


class AgentProcess:
    """`python -m agent run` as a process that can be killed; `start` returns when it listens.

    `launch` starts it: a fresh interpreter, or what `tests.support.forking` has ready.
    """

    def __init__(self, data_dir: Path, base_url: str, *, launch: Launch = launch_fresh, **environment: str) -> None:
        self.data_dir = data_dir
        self.launch = launch
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("FLASH_AGENT_")},
            "FLASH_AGENT_FLASH__BASE_URL": base_url,
            "FLASH_AGENT_FLASH__WRITE_KEY": WRITE_KEY,
            "FLASH_AGENT_STORE__STORE_ID": "st_1",
            "FLASH_AGENT_RELAY__START_JITTER_S": "0",
            **environment,
        }
        self.log = data_dir.with_name(f"{data_dir.name}.log")  # a file: a pipe that nobody reads would block the agent
        self.process: Process | None = None
        self.port = 0

    def start(self) -> None:
        """Start and wait for the line that says where it listens."""
        command = ["run", "--data-dir", str(self.data_dir), "--port", str(self.port)]
        with self.log.open("ab") as log, self.log.open("rb") as said:
            said.seek(0, os.SEEK_END)
            self.process = self.launch(command, self.environment, log)
            while True:
                over = self.process.poll() is not None
                for line in iter(said.readline, b""):
                    if line.startswith(b"flash-agent listens on ") and line.endswith(b"\n"):
                        self.port = int(line.rsplit(b":", 1)[1])
                        return
                if over:
                    raise AssertionError(f"the agent did not start: {self.log.read_text(errors='replace')[-4000:]}")
                time.sleep(0.01)

    @property
    def token(self) -> str:
        return (self.data_dir / "register.token").read_text()

    def end(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal, and wait until it is gone."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def agent_process(
    data_dir: Path, base_url: str, *, launch: Launch = launch_fresh, **environment: str
) -> Iterator[AgentProcess]:
    """A started agent process, killed at the end."""
    agent = AgentProcess(data_dir, base_url, launch=launch, **environment)
    try:
        agent.start()
        yield agent
    finally:
        agent.kill()
