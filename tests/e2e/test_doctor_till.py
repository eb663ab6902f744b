"""What is wrong on the till is named by `flash-agent doctor`, by its own name and by no other."""

import os
import signal
import socket

import pytest

from tests.contract.test_full_disk import fill, small_disk  # noqa: F401 - a fixture
from tests.support.agents import strict_flash
from tests.support.damage import break_leaves
from tests.support.doctoring import Till, sells

pytestmark = pytest.mark.e2e


@pytest.fixture
def flash():
    with strict_flash() as running:
        yield running


@pytest.mark.parametrize("alone", [False, True], ids=["agent", "alone"])
def test_a_full_disk_is_named(tmp_path, flash, small_disk, alone):  # noqa: F811
    till = Till(small_disk, flash.base_url)
    with till.agent() as agent:
        if alone:
            agent.end(signal.SIGTERM)
        fill(small_disk)
        if not alone:
            with pytest.raises(AssertionError, match="storage-full"):  # the agent finds out, and says so to a register
                sells(agent, 2000)
        seen = till.doctor()
    assert seen.trouble == {"disk-full"} | ({"agent-absent"} if alone else set())
    assert "are free" in seen["disk-full"]["title"]
    assert seen.code == 1


def test_a_taken_port_is_named_with_who_has_it(tmp_path, flash):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        till = Till(tmp_path, flash.base_url)
        till.set(API__PORT=port)
        seen = till.doctor()
    assert seen.trouble == {"port-taken", "agent-absent"}
    assert f"{port} by " in seen["port-taken"]["title"]
    assert f"(process {os.getpid()})" in seen["port-taken"]["title"]


def test_settings_that_cannot_be_used_are_named_and_the_rest_is_still_looked_at(tmp_path):
    till = Till(tmp_path, "https://flash.example.com/api/v2")
    till.set(API__PORTT=1)
    seen = till.doctor()
    assert seen.trouble == {"config-unusable", "agent-absent"}
    assert "FLASH_AGENT_API__PORTT" in seen["config-unusable"]["title"]
    assert seen.code == 1


def test_an_agent_that_hangs_is_named(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent() as agent:
        agent.process.send_signal(signal.SIGSTOP)
        try:
            seen = till.doctor()
        finally:
            agent.process.send_signal(signal.SIGCONT)
    assert seen.trouble == {"agent-silent"}
    assert seen.took_s < 20


def test_a_killed_agent_is_absent_and_its_database_whole(tmp_path, flash):
    """Its log is not copied into the database: the doctor reads a copy, and leaves everything as it is."""
    till = Till(tmp_path, flash.base_url)
    with till.agent() as agent:
        sells(agent, 20)
        agent.kill()
    assert (till.data / "agent.db-wal").stat().st_size > 0
    before = state(till.data)
    seen = till.doctor()
    assert seen.trouble == {"agent-absent"}
    assert sum(seen["database-ok"]["details"]["operations"].values()) == 20
    assert state(till.data) == before


def test_a_damaged_database_is_named_and_left_as_it_is(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent() as agent:
        sells(agent, 200)
        agent.end(signal.SIGTERM)
    assert break_leaves(till.data / "agent.db", 3) == 3
    before = state(till.data)
    seen = till.doctor()
    assert seen.trouble == {"database-damaged", "agent-absent"}
    assert state(till.data) == before
    with till.agent():
        assert till.doctor().trouble == {"database-quarantined"}


def state(folder):
    """Every file with its content and times, but for the folder's own, where the doctor made and removed its files."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()}


def test_what_others_can_read_is_named(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent():
        pass
    till.data.chmod(0o755)
    (till.data / "data.key").chmod(0o644)
    (till.data / "register.token").chmod(0o640)
    seen = till.doctor()
    assert seen.trouble == {"data-dir-open", "key-file-open", "token-file-open", "agent-absent"}
    assert "data.key" in seen["key-file-open"]["title"]
    assert "0755" in seen["data-dir-open"]["title"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="giving files away needs root")
def test_files_of_another_account_are_named(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent():
        pass
    os.chown(till.data / "agent.db", 65534, 65534)
    assert "foreign-owner" in till.doctor().trouble
