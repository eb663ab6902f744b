"""Where the Flash keys come from: the settings first, then a credential, then what the agent was given to keep."""

import contextlib
import hashlib
import json
import os
import subprocess

import pytest

from agent.storage.protection import CREDENTIAL
from tests.support.agents import WRITE_KEY, AgentProcess, agent_process, running, settings, strict_flash
from tests.support.commands import PYTHON, environment, flash_agent

SECRET = "the secret that systemd hands over, 32 bytes at least"


def without_key(base_url, **more):
    return settings(base_url, flash={"write_key": None}, **more)


async def keep(register, which="write", key=WRITE_KEY, **how):
    how.setdefault("scope", "operator")
    return await register.call("POST", "/v1/key", {"which": which, "key": key}, **how)


async def test_a_key_that_was_given_is_used_at_once_and_after_the_next_start(tmp_path):
    with strict_flash() as flash:
        async with running(tmp_path, without_key(flash.base_url)) as register:
            sold = await register.sell(wait=1)
            assert (await register.status())["flashKeys"] == {"write": None, "read": None}
            assert "flash-key-missing" in await register.conditions()
            given = await keep(register)
            assert (given.status, given.json) == (
                200,
                {
                    "which": "write",
                    "fingerprint": hashlib.sha256(WRITE_KEY.encode()).hexdigest()[:8],
                    "state": "in-force",
                    "protectedBy": "file",
                    "source": "kept",
                    "waiting": None,
                    "previous": None,
                },
            )
            assert (await register.settled(sold.json["id"]))["status"] == "succeeded"
            assert "flash-key-missing" not in await register.conditions()
        async with running(tmp_path, without_key(flash.base_url)) as register:
            assert (await register.status())["flashKeys"] == {"write": "kept", "read": None}
            assert (await register.sell("next", wait=10)).json["status"] == "succeeded"
        if os.name == "posix":
            assert (tmp_path / "flash-write.key").stat().st_mode & 0o777 == 0o600


async def test_the_settings_go_before_what_was_kept(tmp_path):
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            flash.add_key("fl_live_another_one", "t1")
            given = await keep(register, key="fl_live_another_one")
            assert (given.json["state"], given.json["source"]) == ("outranked", "setting")
        async with running(tmp_path, settings(flash.base_url)) as register:
            assert (await register.status())["flashKeys"]["write"] == "setting"
            assert (await register.sell(wait=10)).json["status"] == "succeeded"


@pytest.mark.parametrize(
    "key", ["", "short", "with a blank in it", "fl_live_é", "x" * 513, 7, None, ["fl_live_0123456"]]
)
async def test_what_is_no_key_is_refused_and_not_repeated(tmp_path, key):
    async with running(tmp_path) as register:
        refused = await keep(register, key=key)
        assert (refused.status, refused.json["code"]) == (422, "validation")
        assert refused.json["errors"][0]["field"] == "key"
        if isinstance(key, str) and key:
            assert key not in json.dumps(refused.json, ensure_ascii=False).replace("fl_live_…", "")
        assert (await keep(register, which="third", key=WRITE_KEY)).status == 422
        assert (await keep(register, scope="register")).status == 403
    assert not list(tmp_path.glob("flash-*.key"))


async def test_a_key_that_cannot_be_written_is_not_said_to_be_kept(tmp_path):
    async with running(tmp_path) as register:
        (tmp_path / "flash-write.key.new").mkdir()
        refused = await keep(register)
        assert (refused.status, refused.json["code"]) == (503, "storage-unavailable")


async def test_a_kept_key_that_does_not_open_is_missing_and_sales_are_kept(tmp_path):
    async with running(tmp_path, without_key("http://127.0.0.1:9/api/v2")) as register:
        await keep(register)
    (tmp_path / "flash-write.key").write_text('{"format": 2}')
    async with running(tmp_path, without_key("http://127.0.0.1:9/api/v2")) as register:
        assert "flash-key-missing" in await register.conditions()
        assert (await register.sell()).status == 202


def test_a_service_takes_key_and_protection_from_systemds_credentials(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / CREDENTIAL).write_text(SECRET)
    (credentials / "flash-write-key").write_text(f"{WRITE_KEY}\n")
    data = tmp_path / "data"
    with strict_flash() as flash:
        agent = AgentProcess(data, flash.base_url, CREDENTIALS_DIRECTORY=str(credentials))
        del agent.environment["FLASH_AGENT_FLASH__WRITE_KEY"]
        with contextlib.ExitStack() as stack:
            stack.callback(agent.kill)
            agent.start()
            said = flash_agent("status", "--data-dir", data)
            assert "number 1 (credentials)" in said.stdout
            assert "write: credential, read: none" in said.stdout
            assert json.loads((data / "data.key").read_text())["store"] == "credentials"
            agent.kill()
            del agent.environment["CREDENTIALS_DIRECTORY"]
            agent.start()
            said = flash_agent("status", "--data-dir", data)
            assert "data-key-unavailable" in said.stdout
            assert "LoadCredential" in said.stdout


def test_the_command_reads_the_key_from_standard_input(tmp_path):
    with agent_process(tmp_path / "data", "http://127.0.0.1:9/api/v2") as agent:
        command = [*PYTHON, "-m", "agent", "key", "set", "read", "--data-dir", str(agent.data_dir)]
        done = subprocess.run(
            command, input=f"{WRITE_KEY}\n", env=environment(), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "The read key is kept (protected by: file). It is not in force yet: Flash has not" in done.stdout
        assert WRITE_KEY not in done.stdout + done.stderr
        done = subprocess.run(command, input="bad", env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "8 to 512" in done.stderr


def test_the_commands_change_the_data_key_and_show_it(tmp_path):
    with agent_process(tmp_path / "data", "http://127.0.0.1:9/api/v2") as agent:
        place = ("--data-dir", agent.data_dir)
        done = flash_agent("data-key", "rotate", *place)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Data key 2 seals from now on." in done.stdout
        assert "number 2 (file); older ones kept: 1" in flash_agent("status", *place).stdout
    nobody = flash_agent("data-key", "rotate", *place)
    assert (nobody.returncode, nobody.stdout) == (1, "")
