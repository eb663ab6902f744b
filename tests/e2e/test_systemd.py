"""What systemd hears of an agent, over a real socket and from a real process."""

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.servicemanager.notifier import START_LIMIT_S
from tests.support.agents import AgentProcess

pytestmark = pytest.mark.e2e

NOWHERE = "http://127.0.0.1:9/api/v2"
WATCHDOG_US = 1_000_000


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(15)
        yield line


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    agent = AgentProcess(tmp_path / "data", NOWHERE, NOTIFY_SOCKET=str(tmp_path / "notify"))
    yield agent
    agent.kill()


def words(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().split("\n")


def drain(manager: socket.socket) -> None:
    """Until nothing more comes: raises TimeoutError."""
    while words(manager) == ["WATCHDOG=1"]:
        pass


def test_it_is_ready_once_it_listens_and_says_that_it_stops(manager: socket.socket, agent: AgentProcess):
    agent.start()
    assert words(manager) == [f"EXTEND_TIMEOUT_USEC={START_LIMIT_S * 1_000_000}"]
    assert words(manager) == ["READY=1", f"STATUS=listens on http://127.0.0.1:{agent.port}"]
    socket.create_connection(("127.0.0.1", agent.port), timeout=5).close()
    agent.end()
    assert words(manager)[0] == "STOPPING=1"
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):  # no watchdog was asked for: no signs of life were sent
        words(manager)


def test_signs_of_life_end_with_a_loop_that_stands_still(manager: socket.socket, agent: AgentProcess):
    agent.environment["WATCHDOG_USEC"] = str(WATCHDOG_US)
    agent.start()
    while words(manager) != ["WATCHDOG=1"]:
        pass
    assert words(manager) == words(manager) == ["WATCHDOG=1"]
    assert agent.process
    agent.process.send_signal(signal.SIGSTOP)
    manager.settimeout(2 * WATCHDOG_US / 1_000_000)
    with pytest.raises(TimeoutError):
        drain(manager)
    manager.settimeout(15)
    agent.process.send_signal(signal.SIGCONT)
    assert words(manager) == ["WATCHDOG=1"]


def test_a_watchdog_that_is_another_process_s_is_left_alone(manager: socket.socket, agent: AgentProcess):
    agent.environment.update(WATCHDOG_USEC="1000", WATCHDOG_PID="1")
    agent.start()
    assert words(manager)[0].startswith("EXTEND_TIMEOUT_USEC")
    assert words(manager)[0] == "READY=1"
    agent.end()
    assert words(manager)[0] == "STOPPING=1"


def test_a_start_that_fails_says_nothing_of_readiness(manager: socket.socket, agent: AgentProcess):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        agent.port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match="did not start"):
            agent.start()
    assert words(manager)[0].startswith("EXTEND_TIMEOUT_USEC")
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        words(manager)
