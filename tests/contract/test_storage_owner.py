"""One agent, one data directory, one port, one key: a second one is told who has it, and touches nothing."""

import asyncio
import os
import socket
import subprocess
import sys

import pytest

from agent.errors import AlreadyRunningError, PortTakenError
from tests.support.agents import agent_process, running, settings
from tests.support.listening import listening

UNREACHABLE = "http://127.0.0.1:9/api/v2"


async def test_a_second_agent_is_told_who_runs(tmp_path):
    async with running(tmp_path) as register:
        with pytest.raises(AlreadyRunningError) as caught:
            async with running(tmp_path):
                pass
        said = str(caught.value)
        assert str(os.getpid()) in said
        assert str(register.agent.port) in said
        assert str(tmp_path) in said
        assert (await register.sell()).status == 202
    async with running(tmp_path) as register:
        assert (await register.status())["pending"] == 1


def test_a_second_process_ends_with_2_and_says_who_runs(tmp_path):
    with agent_process(tmp_path, UNREACHABLE) as first:
        command = [sys.executable, "-m", "agent", "run", "--data-dir", str(tmp_path), "--port", "0"]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert second.returncode == 2
        assert f"process {first.process.pid}" in second.stderr
        assert str(first.port) in second.stderr
        assert "Traceback" not in second.stderr


async def test_an_agent_withdraws_its_announcement_before_it_gives_up_its_port(tmp_path):
    """Or a command could meet somebody else on the port of an agent that is there still."""
    async with running(tmp_path) as register:
        token = (tmp_path / "register.token").read_text()
        async with listening(register.agent.port, token) as stream:
            assert (tmp_path / "agent.json").exists()
            stopping = asyncio.create_task(register.agent.stop())
            await stream.to_the_end()  # streams are ended before the door is closed
            assert not (tmp_path / "agent.json").exists()
            await stopping


async def test_a_killed_agents_lock_is_not_in_the_way(tmp_path):
    with agent_process(tmp_path, UNREACHABLE) as first:
        first.kill()
    assert (tmp_path / "agent.lock").exists()
    async with running(tmp_path) as register:
        assert (await register.sell()).status == 202


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
async def test_a_taken_port_is_said_with_its_holder_and_nothing_is_touched(tmp_path, family, host):
    try:
        holder = socket.create_server((host, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with holder:
        port = holder.getsockname()[1]
        with pytest.raises(PortTakenError) as caught:
            async with running(tmp_path, settings(api={"port": port})):
                pass
        said = str(caught.value)
        assert f"Port {port} is taken" in said
        assert f"process {os.getpid()}" in said
        assert not (tmp_path / "agent.db").exists()
    async with running(tmp_path, settings(api={"port": port})) as register:
        assert register.agent.port == port


async def assert_locked_up(tmp_path, sale):
    """Serves, says what is wrong, takes nothing, and makes no key."""
    async with running(tmp_path) as register:
        assert "data-key-unavailable" in await register.conditions()
        for answer in (await register.sell("new"), await register.call("GET", sale.json["href"])):
            assert (answer.status, answer.json["code"]) == (503, "data-key-unavailable"), answer
            assert int(answer.headers["Retry-After"]) > 0
        assert (await register.sell("new")).json["stored"] is False
        assert (await register.call("GET", "/healthz")).status == 200
        assert (await register.call("GET", "/readyz")).status == 503
        confirmed = await register.call("POST", "/v1/key/confirm", scope="operator")
        assert (confirmed.status, confirmed.json["code"]) == (503, "data-key-unavailable")


@pytest.mark.parametrize("trouble", ["missing", "another", "damaged", "empty"])
async def test_without_its_data_key_the_agent_takes_nothing_and_makes_no_new_key(tmp_path, trouble):
    data_dir, key = tmp_path / "a", tmp_path / "a" / "data.key"
    async with running(data_dir) as register:
        sale = await register.sell()
    right = key.read_bytes()
    if trouble == "another":
        async with running(tmp_path / "b"):
            pass
        wrong = (tmp_path / "b" / "data.key").read_bytes()
    else:
        wrong = {"missing": None, "damaged": right[:-9], "empty": b""}[trouble]
    key.unlink()
    if wrong is not None:
        key.write_bytes(wrong)
    for _ in range(2):
        await assert_locked_up(data_dir, sale)
        assert (key.read_bytes() if key.exists() else None) == wrong
    key.write_bytes(right)
    async with running(data_dir) as register:
        assert await register.conditions() <= {"flash-offline", "loopback-partial", "disk-low"}
        assert (await register.operation(sale.json["id"]))["status"] == "pending"
        assert (await register.sell("new")).status == 202


async def test_a_missing_key_is_never_made_anew_over_a_damaged_database(tmp_path):
    async with running(tmp_path) as register:
        await register.sell()
    (tmp_path / "data.key").unlink()
    path = tmp_path / "agent.db"
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 4096 // 2 * 4096)
        file.write(b"\xff" * 4096)
    async with running(tmp_path) as register:
        assert "data-key-unavailable" in await register.conditions()
        assert (await register.sell("new")).status == 503
    assert not (tmp_path / "data.key").exists()
