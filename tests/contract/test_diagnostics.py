"""`GET /v1/diagnostics`: the agent tries its keys with calls that change nothing, and is no burden to Flash."""

import asyncio

from tests.support.agents import WRITE_KEY, running, settings, strict_flash, until
from tests.support.strict_flash import READ_KEY


async def diagnose(register):
    answer = await register.call("GET", "/v1/diagnostics", scope="operator")
    assert answer.status == 200
    return answer.json


def verdicts(said, key="write"):
    return {each["call"]: each["verdict"] for each in said["calls"] if each["key"] == key}


async def test_a_pause_that_flash_asks_for_meanwhile_holds_for_everything_and_outlives_a_restart(tmp_path):
    with strict_flash() as flash:
        chosen = settings(flash.base_url)
        async with running(tmp_path, chosen) as register:
            assert (await register.sell("1", wait=5)).json["status"] == "succeeded"
            flash.fault("status", status=429, times=1, retry_after=600, method="GET", path="/stores")
            said = await diagnose(register)
            assert verdicts(said) == {"GET /stores": "throttled"}
            assert (await register.status())["connectivity"] == "throttled"
            seen = len(flash.requests)
            assert (await register.sell("2", wait=0.5)).json["status"] == "pending"
            assert len(flash.requests) == seen
        async with running(tmp_path, chosen) as register:
            assert (await diagnose(register))["keptOff"] == {"write": "paused", "read": "paused"}
            assert len(flash.requests) == seen


async def test_several_that_ask_at_once_are_told_the_same(tmp_path):
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            said = await asyncio.gather(*(diagnose(register) for _ in range(5)))
            assert {each["askedAt"] for each in said} == {said[0]["askedAt"]}
            tried = [seen.request for seen in flash.requests if seen.request.key.startswith("doctor-")]
            assert len(tried) == 4


async def test_a_key_that_is_not_verified_is_tried_with_a_read_alone(tmp_path):
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            await register.sell("1", wait=5)
        flash.add_key("fl_live_another_0001", "t1")
        chosen = settings(
            flash.base_url, flash={"write_key": "fl_live_another_0001"}, store={"store_id": "st_elsewhere"}
        )
        async with running(tmp_path, chosen) as register:

            async def unverified():
                return "flash-key-unverified" in await register.conditions()

            await until(unverified)
            before = sum(seen.request.write for seen in flash.requests)
            said = await diagnose(register)
            assert (said["keyVerified"], said["storeShown"]) == (False, False)
            assert verdicts(said) == {"GET /stores": "allowed"}
            assert sum(seen.request.write for seen in flash.requests) == before


async def test_a_read_key_of_its_own_is_tried_for_what_it_should_not_do(tmp_path):
    with strict_flash() as flash:
        chosen = settings(flash.base_url, flash={"read_key": READ_KEY})
        async with running(tmp_path, chosen) as register:
            said = await diagnose(register)
            assert said["ownReadKey"] is True
            assert verdicts(said, "read") == {
                "GET /members": "allowed",
                "GET /orders": "allowed",
                "POST /orders": "scope-refused",
            }
            assert set(verdicts(said).values()) == {"allowed"}
            assert said["schemaVersions"]["outbox"] >= 1
            assert said["rateLimit"] == {}
            assert flash.violations == []


async def test_a_refusal_met_here_holds_nothing(tmp_path):
    """The relay's own probes decide; a diagnosis is no operation."""
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            flash.deny(WRITE_KEY, "POST /orders/batch")
            assert verdicts(await diagnose(register))["POST /orders"] == "scope-refused"
            flash.allow(WRITE_KEY)
            assert (await register.sell("1", wait=5)).json["status"] == "succeeded"
            assert "flash-endpoint-refused" not in await register.conditions()


async def test_a_new_key_is_diagnosed_anew(tmp_path):
    with strict_flash() as flash:
        flash.add_key("fl_live_another_0001", "t1")
        async with running(tmp_path, settings(flash.base_url, flash={"write_key": None})) as register:
            order = {"which": "write", "key": READ_KEY, "force": True}
            assert (await register.call("POST", "/v1/key", order, scope="operator")).status == 200
            assert verdicts(await diagnose(register))["POST /orders"] == "scope-refused"
            order["key"] = "fl_live_another_0001"
            assert (await register.call("POST", "/v1/key", order, scope="operator")).status == 200
            assert verdicts(await diagnose(register))["POST /orders"] == "allowed"
