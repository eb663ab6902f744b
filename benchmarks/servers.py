"""The servers under load, each behind the same small face: where it listens, how it lets us in."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.upstream import BASE_PATH
from benchmarks.processes import REPOSITORY, STORE_PYTHON, Child, free_port, python
from benchmarks.sales import STORE_ID

_NO_LISTENER_PORT = 9  # discard: nothing answers there, so the line is dead at once


@dataclass(frozen=True, slots=True)
class Server:
    """A server that listens; ``started_s`` is start to listening."""

    child: Child
    port: int
    token: str = ""
    started_s: float = 0.0

    @property
    def headers(self) -> dict[str, str]:
        """What a request needs to be let in."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class AgentCommand:
    """How the agent is started: from the tree, unless the command line names another."""

    words: tuple[str, ...] = tuple(python("agent"))
    from_tree = True

    @classmethod
    def choose(cls, command: str) -> None:
        """Measure this one instead, for example an installed ``flash-agent``."""
        cls.words, cls.from_tree = tuple(shlex.split(command)), False


def store_words() -> tuple[str, ...]:
    """The agent over what a store installs, where that is there: it would load some of our own libraries too."""
    if AgentCommand.from_tree and STORE_PYTHON.is_file():
        return (str(STORE_PYTHON), "-m", "agent")
    return AgentCommand.words


def agent_is_there() -> bool:
    """Whether there is an agent that can be started."""
    return not AgentCommand.from_tree or (REPOSITORY / "agent" / "__main__.py").is_file()


def upstream_url(port: int | None) -> str:
    """The base URL of the stand-in, or of a line where nobody answers."""
    return f"http://127.0.0.1:{port or _NO_LISTENER_PORT}{BASE_PATH}"


@contextmanager
def agent(
    directory: Path,
    *,
    upstream_port: int | None = None,
    settings: Mapping[str, str] | None = None,
    extra_environment: Mapping[str, str] | None = None,
    words: Sequence[str] | None = None,
) -> Iterator[Server]:
    """The agent itself, a black box; without an upstream it is offline and only accepts."""
    port = free_port()
    config_file = directory / "agent.toml"  # empty: a till's own settings must not leak into a measurement
    config_file.touch()
    environment = {
        "FLASH_AGENT_CONFIG": str(config_file),
        "FLASH_AGENT_API__PORT": str(port),
        "FLASH_AGENT_FLASH__BASE_URL": upstream_url(upstream_port),
        "FLASH_AGENT_FLASH__WRITE_KEY": "fl_live_benchmark_0123456789abcdef",
        "FLASH_AGENT_STORE__STORE_ID": STORE_ID,
        "FLASH_AGENT_STORE__TILL_ID": "till-1",
        "FLASH_AGENT_STORE__CURRENCY": "USD",
        **(settings or {}),
        **(extra_environment or {}),
    }
    data = directory / "data"
    command = [*(words or AgentCommand.words), "run", "--data-dir", str(data)]
    with Child(command, directory / "agent.log", extra_environment=environment) as child:
        started_s = child.wait_until_listening(port)
        token_file = data / "register.token"
        child.wait_for_file(token_file)
        yield Server(child, port, token_file.read_text().strip(), started_s)


@contextmanager
def naive(
    directory: Path, *, shared: bool = False, extra_environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """aiohttp and aiosqlite, a commit per sale."""
    port = free_port()
    options = ["--shared"] if shared else []
    command = python("benchmarks.peers.naive", "--port", str(port), "--dir", str(directory), *options)
    with Child(command, directory / "naive.log", extra_environment=extra_environment) as child:
        yield Server(child, port, started_s=child.wait_until_listening(port))


def hollow_is_there() -> bool:
    """Whether the agent's own server can be built without its storage."""
    return AgentCommand.from_tree and agent_is_there()


@contextmanager
def without_storage(directory: Path) -> Iterator[Server]:
    """The agent's own server over an outbox that keeps nothing; aiohttp and pydantic alone without a tree."""
    own = hollow_is_there()
    with agent(directory, words=python("benchmarks.peers.hollow")) if own else plain(directory) as server:
        yield server


@contextmanager
def plain(directory: Path) -> Iterator[Server]:
    """aiohttp and pydantic, no storage and nothing else."""
    port = free_port()
    with Child(python("benchmarks.peers.plain", "--port", str(port)), directory / "plain.log") as child:
        yield Server(child, port, started_s=child.wait_until_listening(port))


@contextmanager
def upstream(directory: Path, *, port: int | None = None, members: int = 0) -> Iterator[Server]:
    """The stand-in for Flash, 5 ms away."""
    chosen = port or free_port()
    command = python("benchmarks.peers.upstream", "--port", str(chosen), "--members", str(members))
    with Child(command, directory / "upstream.log") as child:
        child.wait_until_listening(chosen)
        yield Server(child, chosen)
