"""A full disk: registers are told, nothing acknowledged is lost, a start comes up or says why, space mends it."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess

import aiohttp
import pytest

from agent.app import Agent
from agent.errors import ConfigError
from tests.support.agents import agent_process, running, settings, strict_flash, until
from tests.support.tills import Till

PAGE = 4096


def fill(disk):
    """Take all space there is; returns the file that does."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"\0" * PAGE) == PAGE:
            pass
    assert shutil.disk_usage(disk).free < PAGE
    return ballast


@pytest.fixture
def small_disk(tmp_path):
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


async def test_a_full_disk_is_said_loses_nothing_and_is_recovered_from(tmp_path, small_disk):
    data_dir = small_disk / "agent"
    async with running(data_dir) as register:
        sold = {(await register.sell("first")).json["id"]}
        ballast = fill(small_disk)
        refused = None
        for number in range(2000):
            answer = await register.sell(f"o{number}")
            if answer.status != 202:
                refused = answer
                break
            sold.add(answer.json["id"])
        assert refused is not None
        assert (refused.status, refused.json["code"]) == (507, "storage-full")
        assert (refused.json["retryable"], refused.json["stored"]) == (True, False)
        assert int(refused.headers["Retry-After"]) > 0
        assert "storage-full" in await register.conditions()
        assert (await register.call("GET", "/readyz")).status in {503, 507}
        assert (await register.call("GET", "/healthz")).status == 200
        assert await shown(register) == sold
        ballast.unlink()
        again = await register.sell(f"o{number}")
        assert (again.status, again.json["replayed"]) == (202, False)
        sold.add(again.json["id"])
        assert "storage-full" not in await register.conditions()
        assert (await register.call("GET", "/readyz")).status == 200
    async with running(data_dir) as register:
        assert await shown(register) == sold
        assert "database-quarantined" not in await register.conditions()


async def shown(register):
    return {
        operation["id"] for operation in (await register.call("GET", "/v1/operations?limit=200")).json["operations"]
    }


async def test_a_start_on_a_full_disk_serves_and_goes_on_when_there_is_space(tmp_path, small_disk):
    """What the killed agent had in hand cannot be given back yet, which is no reason to stay away."""
    data_dir = small_disk / "agent"
    with strict_flash() as flash:
        flash.fault("hang")
        with agent_process(data_dir, flash.base_url) as process:
            async with aiohttp.ClientSession() as session:
                await Till(process, session).sell_until_accepted("o1")
            assert await asyncio.to_thread(flash.wait_for, lambda seen: len(seen.requests) > 0)
            process.kill()
        ballast = fill(small_disk)
        flash.clear()
        async with running(data_dir, settings(flash.base_url)) as register:
            (sold,) = await shown(register)
            refused = await register.sell("o2")
            assert (refused.status, refused.json["code"]) == (507, "storage-full")
            assert "storage-full" in await register.conditions()
            ballast.unlink()
            assert (await register.settled(sold))["status"] == "succeeded"
            assert (await register.sell("o2")).status == 202


async def test_a_first_start_on_a_full_disk_says_so(tmp_path, small_disk):
    fill(small_disk)
    with pytest.raises(ConfigError, match=r"No space left on device\. Free space and start again"):
        await Agent(settings(), small_disk / "agent").start()


async def test_a_spooled_file_waits_while_the_disk_is_full_and_is_taken_then(tmp_path, small_disk):
    folder = tmp_path / "spool"
    folder.mkdir()
    chosen = settings(spool={"folders": {"canonical": str(folder)}, "settle_s": 0.05})
    document = {"customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20, "metadata": {"note": "n" * 500}}
    sales = [{"kind": "sale", "document": {**document, "externalOrderId": f"S-{n}"}} for n in range(150)]
    async with running(small_disk / "agent", chosen) as register:
        ballast = fill(small_disk)
        (folder / "sales.jsonl").write_text("".join(json.dumps(sale) + "\n" for sale in sales))

        async def is_full():
            return "storage-full" in await register.conditions()

        async def is_taken():
            return len(list(folder.glob("done/*/sales.jsonl"))) == 1

        await until(is_full)
        assert (folder / "sales.jsonl").exists()
        ballast.unlink()
        await until(is_taken)
        assert list((folder / "failed").iterdir()) == []
        assert (await register.status())["pending"] == 150
