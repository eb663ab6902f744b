"""`flash-agent support-bundle`: what support needs is in it; nothing of a customer and no key, wherever they lie."""

import asyncio
import json
import os
import random
import stat
import subprocess
import zipfile

import aiohttp
import pytest

from tests.support.agents import AgentProcess, agent_process, strict_flash
from tests.support.canaries import Canaries
from tests.support.canary_till import CanaryTill
from tests.support.commands import NOWHERE, PYTHON, environment, flash_agent
from tests.support.damage import overwrite
from tests.support.echoing_flash import echoing_flash

pytestmark = pytest.mark.e2e

PARTS = {
    "README.txt", "doctor.json", "status.json", "diagnostics.json", "metrics.txt", "settings.txt", "versions.json",
    "files.json", "database.json", "upgrade.json", "failed.json", "log.txt",
}  # fmt: skip


def bundle(data_dir, output, *more, **settings):
    """What is in it, by name; the command's own words are in it, too."""
    done = flash_agent("support-bundle", "--data-dir", data_dir, "--output", output, *more, **settings)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert all(f"{name} " in done.stdout for name in PARTS - {"README.txt"})
    with zipfile.ZipFile(output) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert set(contents) == PARTS
    assert b"could not be made" not in b"".join(contents.values())
    return {**contents, "what it printed": done.stdout.encode()}


def plant(data_dir, canaries):
    """Canaries where a till might have them: in a log that others wrote into, and in names of files."""
    persons, key = canaries.persons, canaries.keys["write key"]
    (data_dir / "logs").mkdir(exist_ok=True)
    lines = [
        '{"event": "started", "level": "info", "port": 8455, "timestamp": "2026-11-26T05:00:00Z"}',
        json.dumps({"event": "sale", "level": "info", "customer": persons["email"], "key": key, "count": key}),
        json.dumps({"event": f"wrote to {persons['email']} with {key}", "level": "info"}),
        f"2026-11-26T05:00:00.1Z [info     ] started   port=8455 customer='{canaries.full_name}' path={key}",
        f"Traceback (most recent call last): {canaries.full_name}",
        f"ValueError: {canaries.full_name} {persons['external id']} is no customer",
        f"  /usr/lib/agent/app.py:12 in start {persons['first name']}",
        f"{persons['email']} {key} {persons['phone']}",
        f"flash-agent: the address {persons['email']} with {key} cannot be used",
        f"WARNING aiohttp.server web_log:10 in log {persons['last name']}",
    ]
    (data_dir / "logs" / "agent.log").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for folder in (data_dir, data_dir / "logs", data_dir / "imports"):
        folder.mkdir(exist_ok=True)
        (folder / f"{persons['external id']} {persons['last name']}.txt").write_text(canaries.full_name)
        (folder / f"{key}.key").write_text(key)


def search(contents, canaries):
    for name, content in contents.items():
        found = [what for what, _ in canaries.found_in(content + name.encode())]
        assert found == [], f"{name}: {found}"


async def sell_everything(agent, canaries):
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        till = CanaryTill(canaries, agent, session)
        await till.sells("day", wait=1)
        await till.sends_rubbish()
        await till.call("POST", "/v1/key", {"which": "read", "key": canaries.keys["kept key"]})
        _, made = await till.call("POST", "/v1/tokens", {"name": "lane-3"})
        return made["token"]


def test_no_canary_gets_into_it(tmp_path):
    chance = random.Random(23)
    canaries = Canaries.invented(chance).with_keys({"kept key": f"fl_live_Kept{chance.randrange(10**12):012}"})
    key, data = canaries.keys["write key"], tmp_path / "data"
    settings = {"FLASH_AGENT_FLASH__WRITE_KEY": key}
    with echoing_flash() as echo:
        agent = AgentProcess(data, echo.base_url, **settings)
        settings |= {"FLASH_AGENT_FLASH__BASE_URL": echo.base_url, "FLASH_AGENT_STORE__STORE_ID": "st_1"}
        try:
            agent.start()
            token = asyncio.run(sell_everything(agent, canaries))
            own = {f"{scope} token": (data / f"{scope}.token").read_text() for scope in ("register", "operator")}
            canaries = canaries.with_keys({**own, "lane-3 token": token})
            plant(data, canaries)
            running = bundle(data, tmp_path / "running.zip", **settings)
        finally:
            agent.kill()
    search(running, canaries)
    search(bundle(data, tmp_path / "killed.zip", "--offline", **settings), canaries)
    log = running["log.txt"].decode()
    assert '"event": "started"' in log
    assert "ValueError" in log
    assert "left out" in log
    assert json.loads(running["status.json"])["pending"] >= 1
    assert b"flash_agent_pending" in running["metrics.txt"]
    assert {each["status"] for each in json.loads(running["failed.json"])} == {"failed"}


def test_settings_that_cannot_be_used_and_a_damaged_database_are_no_hindrance(tmp_path):
    canaries = Canaries.invented(random.Random(24))
    data, config = tmp_path / "data", tmp_path / "agent.toml"
    with strict_flash() as flash, agent_process(data, flash.base_url) as agent:
        agent.end()
    key, email = canaries.keys["write key"], canaries.persons["email"]
    config.write_text(f'[flash]\nwrite_key = "{key}"\nbase_url = "{email}"\n[api]\nport = "{email}"\nx = "{key}"\n')
    overwrite(data / "agent.db", 4096, b"damaged " * 512)
    before = (data / "agent.db").read_bytes()
    contents = bundle(data, tmp_path / "made.zip", "--offline", FLASH_AGENT_CONFIG=str(config))
    search(contents, canaries)
    assert b"[api] port" in contents["settings.txt"]
    assert json.loads(contents["database.json"])["quickCheck"] != "ok"
    codes = {each["code"] for each in json.loads(contents["doctor.json"])["findings"]}
    assert {"config-unusable", "database-damaged", "agent-absent"} <= codes
    assert (data / "agent.db").read_bytes() == before


def test_where_there_is_nothing_it_is_made_all_the_same(tmp_path):
    contents = bundle(tmp_path / "nowhere", tmp_path / "made.zip", "--offline", FLASH_AGENT_FLASH__BASE_URL=NOWHERE)
    assert contents["files.json"] == b"There is no data directory.\n"
    assert contents["status.json"] == b"No agent answers.\n"
    assert json.loads(contents["versions.json"])["sqlite"]
    assert not (tmp_path / "nowhere").exists()


def test_it_is_its_owners_alone_named_by_the_time_and_writes_over_nothing(tmp_path):
    done = flash_agent("support-bundle", "--offline", "--data-dir", tmp_path / "nowhere", "--output", tmp_path)
    assert done.returncode == 0, done.stderr
    (made,) = tmp_path.glob("flash-agent-support-*.zip")
    assert str(made) in done.stdout
    if os.name == "posix":
        assert stat.S_IMODE(made.stat().st_mode) == 0o600
    again = flash_agent("support-bundle", "--offline", "--data-dir", tmp_path / "nowhere", "--output", made)
    assert (again.returncode, again.stdout) == (1, "")
    assert f"There is a file {made} already" in again.stderr
    lost = flash_agent("support-bundle", "--offline", "--data-dir", tmp_path, "--output", tmp_path / "no" / "made.zip")
    assert lost.returncode == 1
    assert "Name another place with --output" in lost.stderr


@pytest.mark.skipif(os.name != "posix", reason="a file's size is limited on POSIX alone")
def test_one_that_cannot_be_written_whole_is_not_there(tmp_path):
    """A full disk, as far as a file's greatest size can stand for one."""
    limited = "import resource, sys; sys.dont_write_bytecode = True; from agent.cli.main import main; "  # or it is torn
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); sys.exit(main(sys.argv[1:]))"
    output = tmp_path / "bundle.zip"
    done = subprocess.run(
        [*PYTHON, "-c", limited, "support-bundle", "--offline", "--data-dir", tmp_path / "none", "--output", output],
        env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "bundle.zip cannot be written: File too large" in done.stderr) == (1, True), done.stderr
    assert list(tmp_path.iterdir()) == []
