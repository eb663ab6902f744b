"""Windows' way to know that the agent has its port: who announced himself there lives. Tried on any system."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agent.cli.announced import announced
from agent.cli.listeners import leads_to_announced
from agent.errors import AgentError
from agent.storage import DataDir

PORT = 8455
LATER_S = 60.0  # a process's start is known to the second


@pytest.fixture
def child():
    """A process that lives until it is killed."""
    with subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def announce(place: Path, pid: int, *, after_its_start_s: float = LATER_S, port: int = PORT, **more: object) -> None:
    about = place / "agent.json"
    about.write_text(json.dumps({"pid": pid, "port": port, **more}))
    at = psutil.Process(pid).create_time() + after_its_start_s
    os.utime(about, (at, at))


def connected() -> None:
    """Nothing is in the way."""


def test_a_process_that_lives_since_before_its_announcement_is_the_agent(tmp_path, child):
    announce(tmp_path, child.pid)
    assert leads_to_announced(tmp_path, PORT, connected)


def test_an_agent_that_was_killed_is_not_at_the_other_end(tmp_path, child):
    announce(tmp_path, child.pid)
    child.kill()
    child.wait()
    assert not leads_to_announced(tmp_path, PORT, connected)


def test_one_that_is_killed_while_a_command_connects_is_not_either(tmp_path, child):
    announce(tmp_path, child.pid)

    def killed() -> None:
        child.kill()
        child.wait()

    assert not leads_to_announced(tmp_path, PORT, killed)


def test_a_process_that_was_given_a_dead_agents_number_is_a_stranger(tmp_path, child):
    announce(tmp_path, child.pid, after_its_start_s=-LATER_S)
    assert not leads_to_announced(tmp_path, PORT, connected)


def test_a_clock_that_was_set_back_while_the_agent_started_makes_no_stranger_of_it(tmp_path, child):
    began = psutil.Process(child.pid).create_time()
    announce(tmp_path, child.pid, after_its_start_s=-LATER_S, began=began)
    assert leads_to_announced(tmp_path, PORT, connected)


def test_the_announced_beginning_is_what_a_given_number_is_known_by(tmp_path, child):
    began = psutil.Process(child.pid).create_time()
    announce(tmp_path, child.pid, began=began - 1)
    assert not leads_to_announced(tmp_path, PORT, connected)


def test_an_agent_announces_when_it_began(tmp_path):
    DataDir(tmp_path).announce(PORT, psutil.Process().create_time())
    assert leads_to_announced(tmp_path, PORT, connected)
    os.utime(tmp_path / "agent.json", (0, 0))
    assert leads_to_announced(tmp_path, PORT, connected)


def test_a_port_that_is_not_the_announced_one_is_a_strangers(tmp_path, child):
    announce(tmp_path, child.pid, port=PORT + 1)
    assert not leads_to_announced(tmp_path, PORT, connected)


def test_an_agent_that_announces_itself_once_a_stranger_was_met_is_not_what_was_met(tmp_path, child):
    """The stranger may have given up the port in between, and have kept the connection."""
    assert not leads_to_announced(tmp_path, PORT, lambda: announce(tmp_path, child.pid))
    announce(tmp_path, child.pid)
    assert not leads_to_announced(tmp_path, PORT, lambda: announce(tmp_path, child.pid, after_its_start_s=2 * LATER_S))


def test_an_agent_that_withdraws_may_have_given_up_its_port(tmp_path):
    announce(tmp_path, os.getpid())
    assert not leads_to_announced(tmp_path, PORT, DataDir(tmp_path).withdraw)


def test_a_port_where_nobody_listens_is_said_as_the_system_says_it(tmp_path, child):
    announce(tmp_path, child.pid)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        leads_to_announced(tmp_path, PORT, lambda: socket.create_connection(("127.0.0.1", port)).close())


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b'{"pid": 1}', b'{"pid": null, "port": 1}', b'{"pid": 1, "port": 1, "began": []}'],
)
def test_an_announcement_that_cannot_be_read_is_none(tmp_path, content):
    (tmp_path / "agent.json").write_bytes(content)
    assert announced(tmp_path) is None
    assert not leads_to_announced(tmp_path, PORT, connected)


def test_a_system_that_does_not_tell_gets_nothing_sent_and_says_so(tmp_path, child, monkeypatch):
    announce(tmp_path, child.pid)
    (tmp_path / str(child.pid) / "stat").mkdir(parents=True)  # what is to be read cannot be
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))  # psutil's own: where Linux has its processes
    with pytest.raises(AgentError, match=r"does not tell whether .* nothing was sent .* as administrator"):
        leads_to_announced(tmp_path, PORT, connected)
