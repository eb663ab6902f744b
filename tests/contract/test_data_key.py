"""Data keys change under a running agent: nothing is lost, nothing waits, and what was sealed before is sealed anew."""

import asyncio
import json
import os
import shutil
import sqlite3
from contextlib import closing

import pyrage
import pytest

from agent.storage import KeyFile
from tests.support.agents import running, settings, strict_flash, until

KEPT = {"protectedBy": "file"}


async def rotate(register, scope="operator"):
    return await register.call("POST", "/v1/data-key/rotate", scope=scope)


async def resealed(register):
    async def is_over():
        return not (await register.status())["dataKey"]["resealing"]

    await until(is_over)


def keys_in(data_dir):
    return sorted(json.loads((data_dir / "data.key").read_text())["sealing"])


def ids_in_use(data_dir):
    """The data key ids of everything that is sealed in the database of a stopped agent."""
    with closing(sqlite3.connect(data_dir / "agent.db")) as database:
        found = database.execute(
            "SELECT key_id FROM operation WHERE content IS NOT NULL"
            " UNION SELECT outcome_key_id FROM operation WHERE outcome IS NOT NULL"
        ).fetchall()
        for table, columns in (("member", ("profile", "points", "tier", "coupons")), ("sighting", ("content",))):
            for column in columns:
                sql = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608
                found += database.execute(sql).fetchall()
    return {int.from_bytes(value[:4], "big") if isinstance(value, bytes) else value for (value,) in found}


@pytest.mark.skipif(os.name != "posix", reason="Windows journals names by itself")
def test_keys_whose_name_a_killed_agent_did_not_sync_are_on_the_disk_before_they_seal(tmp_path, monkeypatch):
    made = KeyFile(tmp_path / "data.key").load_or_create(None)
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (synced.append(os.fstat(descriptor).st_ino), fsync(descriptor)))
    assert KeyFile(tmp_path / "data.key").load_or_create(made.check_value) == made
    assert tmp_path.stat().st_ino in synced


async def test_new_rows_take_the_new_key_and_older_ones_follow(tmp_path):
    with strict_flash() as flash:
        flash.poison("bad", 422)
        async with running(tmp_path, settings(flash.base_url)) as register:
            before = [(await register.sell(f"o{number}", wait=10)).json for number in range(3)]
            before.append((await register.sell("bad", wait=10)).json)
            seen = (await register.call("GET", "/v1/members?externalId=POS-CUST-5512")).json
            answer = await rotate(register)
            assert (answer.status, answer.json) == (
                200,
                {"current": 2, "older": [1], "resealing": True, **KEPT},
            )
            after = (await register.sell("after", wait=10)).json
            await resealed(register)
            for operation in [*before, after]:
                assert await register.operation(operation["id"]) == {**operation, "replayed": False}
        assert ids_in_use(tmp_path) == {2}
        assert keys_in(tmp_path) == ["1", "2"]  # until it is certain that nothing is on its way
        async with running(tmp_path, settings()) as register:
            assert (await register.status())["dataKey"] == {
                "current": 2,
                "older": [],
                "resealing": False,
                "protectedBy": "file",
            }
            for operation in [*before, after]:
                assert (await register.operation(operation["id"]))["request"] == operation["request"]
            again = await register.sell("o1")
            assert (again.json["id"], again.headers["Idempotency-Replayed"]) == (before[1]["id"], "true")
            known = (await register.call("GET", "/v1/members?externalId=POS-CUST-5512")).json
            assert (known["source"], known["member"]) == ("cache", seen["member"])
        assert keys_in(tmp_path) == ["2"]


async def test_many_rows_are_sealed_anew_while_registers_go_on(tmp_path):
    async with running(tmp_path) as register:
        await asyncio.gather(*(register.sell(f"o{number}") for number in range(230)))
        await rotate(register)
        sold = 0
        while (await register.status())["dataKey"]["resealing"]:
            assert (await register.sell(f"meanwhile-{sold}")).status == 202
            sold += 1
        assert sold
    assert ids_in_use(tmp_path) == {2}


async def test_large_ones_are_sealed_anew_too_a_few_at_a_time(tmp_path):
    async with running(tmp_path) as register:
        for number in range(7):
            rows = [{"externalId": "P-1", "title": f"{number}", "descriptionHtml": "x" * 100_000}]
            body = {"source": "erp", "products": rows}
            assert (await register.call("POST", "/v1/catalogs", body, scope="operator")).status == 202
            assert (await register.sell(f"o{number}")).status == 202
        await rotate(register)
        await resealed(register)
    assert ids_in_use(tmp_path) == {2}


async def test_a_rotation_that_was_interrupted_goes_on_at_the_next_start(tmp_path):
    async with running(tmp_path) as register:
        await asyncio.gather(*(register.sell(f"o{number}") for number in range(230)))
        await rotate(register)
    assert 1 in ids_in_use(tmp_path)
    async with running(tmp_path) as register:
        assert (await register.status())["dataKey"]["older"] == [1]
        await resealed(register)
    assert ids_in_use(tmp_path) == {2}
    async with running(tmp_path) as register:
        assert (await register.status())["dataKey"]["older"] == []
        assert len((await register.call("GET", "/v1/operations?limit=200")).json["operations"]) == 200


async def test_it_can_be_rotated_again_but_not_while_rows_are_sealed_anew(tmp_path):
    async with running(tmp_path) as register:
        await register.sell()
        assert (await rotate(register, "register")).status == 403
        first, second = await asyncio.gather(rotate(register), rotate(register))
        assert sorted((first.status, second.status)) == [200, 409]
        refused = first if first.status == 409 else second
        assert refused.json["code"] == "rotation-under-way"
        await resealed(register)
        assert (await rotate(register)).json["current"] == 3
        await resealed(register)
        assert (await register.call("GET", "/v1/operations")).json["operations"][0]["request"]["totalAmount"] == 120
    assert keys_in(tmp_path) == ["1", "2", "3"]


async def test_where_the_new_key_cannot_be_written_the_old_one_goes_on(tmp_path):
    async with running(tmp_path) as register:
        sold = await register.sell()
        (tmp_path / "data.key.new").mkdir()
        refused = await rotate(register)
        assert (refused.status, refused.json["code"], refused.json["stored"]) == (503, "storage-unavailable", False)
        assert (await register.status())["dataKey"] == {
            "current": 1,
            "older": [],
            "resealing": False,
            "protectedBy": "file",
        }
        (tmp_path / "data.key.new").rmdir()
        assert (await register.sell("next")).status == 202
        assert (await register.operation(sold.json["id"]))["request"]
    assert (keys_in(tmp_path), ids_in_use(tmp_path)) == (["1"], {1})


async def test_without_its_key_nothing_is_rotated(tmp_path):
    async with running(tmp_path) as register:
        await register.sell()
    (tmp_path / "data.key").unlink()
    async with running(tmp_path) as register:
        answer = await rotate(register)
        assert (answer.status, answer.json["code"]) == (503, "data-key-unavailable")
        assert (await register.status())["dataKey"] is None
    assert not (tmp_path / "data.key").exists()


@pytest.mark.parametrize("copy", ["quarantine/20260101T000000Z/agent.db", "upgrades/20260101T000000Z.db"])
async def test_an_older_key_stays_for_a_database_that_lies_elsewhere(tmp_path, copy):
    """One that was set aside, or the copy from before an upgrade, to which the till may go back."""
    async with running(tmp_path) as register:
        await register.sell()
        await rotate(register)
        await resealed(register)
    elsewhere = tmp_path / copy
    elsewhere.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(tmp_path / "agent.db", elsewhere)
    async with running(tmp_path):
        pass
    assert keys_in(tmp_path) == ["1", "2"]
    elsewhere.unlink()
    if copy.startswith("quarantine"):
        elsewhere.parent.rmdir()
    async with running(tmp_path):
        pass
    assert keys_in(tmp_path) == ["2"]


async def test_a_row_that_does_not_open_keeps_its_key_and_disturbs_nobody(tmp_path):
    async with running(tmp_path) as register:
        damaged = await register.sell("damaged")
        await register.sell("sound")
    with closing(sqlite3.connect(tmp_path / "agent.db")) as database:
        database.execute("UPDATE operation SET content = zeroblob(80) WHERE id = ?", [damaged.json["id"]])
        database.commit()
    for _ in range(2):
        async with running(tmp_path) as register:
            if keys_in(tmp_path) == ["1"]:
                await rotate(register)
            await resealed(register)
            assert (await register.operation(damaged.json["id"]))["error"]["code"] == "content-damaged"
    assert keys_in(tmp_path) == ["1", "2"]
    assert ids_in_use(tmp_path) == {1, 2}


@pytest.mark.parametrize("moment", [0, 1, 2, 5])
async def test_whoever_asked_may_hang_up(tmp_path, moment):
    async with running(tmp_path) as register:
        await register.sell()
        asked = asyncio.create_task(rotate(register))
        for _ in range(moment):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        await resealed(register)
        assert (await register.sell("next")).status == 202
        assert len((await register.call("GET", "/v1/operations")).json["operations"]) == 2


async def test_an_older_data_key_that_is_put_back_opens_nothing_and_harms_nothing(tmp_path):
    """It has the right key of hashes. With it every waiting sale would be called damaged, and its ids given again."""
    identity = pyrage.x25519.Identity.generate()
    chosen = settings(keys={"recovery": str(identity.to_public())})
    async with running(tmp_path, chosen) as register:
        shutil.copy(tmp_path / "data.key", tmp_path / "backup")
        await rotate(register)
        sold = await register.sell()
        await resealed(register)
    (tmp_path / "data.key").rename(tmp_path / "newest")
    recovery = (tmp_path / "data.key.recovery").read_bytes()
    shutil.copy(tmp_path / "backup", tmp_path / "data.key")
    with strict_flash() as flash:
        online = settings(flash.base_url, keys={"recovery": str(identity.to_public())})
        async with running(tmp_path, online) as register:
            (said,) = [c for c in (await register.status())["conditions"] if c["code"] == "data-key-unavailable"]
            assert "data key 2" in said["text"]
            assert (await register.sell("other")).status == 503
        assert (tmp_path / "data.key.recovery").read_bytes() == recovery, "it holds what nobody else may hold any more"
        (tmp_path / "newest").replace(tmp_path / "data.key")
        async with running(tmp_path, online) as register:
            assert (await register.settled(sold.json["id"]))["status"] == "succeeded"


async def test_a_change_that_was_killed_before_the_database_knew_of_it_is_known_at_the_next_start(tmp_path):
    async with running(tmp_path) as register:
        await register.sell()
    file = KeyFile(tmp_path / "data.key")
    before = file.load_or_create(None)
    shutil.copy(tmp_path / "data.key", tmp_path / "backup")
    file.save(before.renewed())
    async with running(tmp_path) as register:
        assert (await register.sell("sealed with it")).status == 202
    shutil.copy(tmp_path / "backup", tmp_path / "data.key")
    async with running(tmp_path) as register:
        assert "data-key-unavailable" in await register.conditions()
