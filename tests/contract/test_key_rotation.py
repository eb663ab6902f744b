"""A new Flash key takes over while the agent sells: checked first, kept, in force from the next call on."""

import asyncio
import subprocess

import pytest

from tests.support.agents import WRITE_KEY, agent_process, running, until
from tests.support.commands import PYTHON, environment, flash_agent, sell
from tests.support.redeeming import burns, coupon, posts, redeem
from tests.support.rotating import (
    FOREIGN_KEY,
    NEW_KEY,
    OTHER_READ_KEY,
    READ_KEY,
    drained,
    flash_with_keys,
    give,
    keyless,
    keys,
    refusals,
    seen_with,
    selling_with,
)


@pytest.fixture
def flash():
    with flash_with_keys() as server:
        yield server


async def test_keys_are_swapped_under_load_and_the_old_one_is_revoked_unnoticed(tmp_path, flash):
    flash.fault("latency", ms=30)
    async with selling_with(tmp_path, flash) as register:
        sold, over = [], asyncio.Event()

        async def lane(name):
            number = 0
            while not over.is_set():
                answer = await register.sell(f"{name}-{number}", 10, wait=5 if name == "a" else None)
                assert answer.status in {200, 202}
                sold.append(answer.json["request"]["externalOrderId"])
                number += 1

        lanes = [asyncio.create_task(lane(name)) for name in "abcd"]
        in_force = WRITE_KEY
        for number in range(2, 6):
            key, before = f"fl_live_test_write_000{number}", len(sold)
            flash.add_key(key, "t1")
            given = await give(register, key)
            assert given.json["state"] == "in-force"

            async def old_one_rests():
                previous = (await keys(register))["write"]["previous"]
                return previous["callsUnderWay"] == 0

            await until(old_one_rests)
            flash.revoke(in_force)
            in_force = key

            async def more_were_sold(goal=before + 20):
                return len(sold) > goal

            await until(more_were_sold)
        over.set()
        await asyncio.gather(*lanes)
        await drained(register)
        assert refusals(flash) == []
        assert flash.awards == dict.fromkeys(sold, 1)
        assert flash.violations == []
        assert not flash.doubles()
        assert "flash-key-refused" not in await register.conditions()


async def test_a_call_that_is_turned_away_because_its_key_was_replaced_goes_again_with_the_new_one(tmp_path, flash):
    async with selling_with(tmp_path, flash) as register:
        flash.fault("latency", ms=600, method="POST", times=1)
        selling = asyncio.create_task(register.sell("slow", 10, wait=10))
        assert await asyncio.to_thread(flash.wait_for, lambda seen: seen_with(seen, WRITE_KEY, writes=True))
        given = await give(register, NEW_KEY)
        assert given.json["previous"]["callsUnderWay"] == 1
        flash.revoke(WRITE_KEY)
        assert (await selling).json["status"] == "succeeded"
        assert flash.awards == {"slow": 1}
        assert (await register.status())["connectivity"] == "online"


async def test_a_redemption_under_way_ends_with_the_old_key_and_burns_once(tmp_path, flash):
    coupon(flash)
    async with selling_with(tmp_path, flash) as register:
        flash.fault("latency", ms=400, method="POST", times=1)
        flash.fault("lost-answer", times=1)
        redeeming = asyncio.create_task(redeem(register, wait=10))
        assert await asyncio.to_thread(flash.wait_for, lambda seen: seen_with(seen, WRITE_KEY, writes=True))
        assert (await give(register, NEW_KEY)).json["state"] == "in-force"
        answer = await redeeming
        assert answer.json["honor"] is True, answer
        assert len({seen.request.key for seen in posts(flash)}) == 1
        assert {seen.request.headers["authorization"][-4:] for seen in posts(flash)} == {"0001", "0002"}
        assert burns(flash) == 1
        assert flash.violations == []


async def test_a_read_key_is_swapped_and_look_ups_use_it(tmp_path, flash):
    async with selling_with(tmp_path, flash, members={"fresh_s": 0}) as register:
        flash.revoke(READ_KEY)
        flash.add_key("fl_live_test_read_00002", "t1", scope="read")
        assert (await give(register, "fl_live_test_read_00002", "read")).json["state"] == "in-force"
        flash.add_key(READ_KEY, "t1", scope="read")
        assert (await give(register, READ_KEY, "read")).json["state"] == "in-force"
        flash.revoke("fl_live_test_read_00002")
        found = await register.call("GET", "/v1/members?externalId=POS-CUST-5512")
        assert found.status == 200
        assert [seen for seen in seen_with(flash, READ_KEY) if seen.request.route.startswith("GET /members")]
        assert refusals(flash) == []
        assert (await register.status())["flashKeys"] == {"write": "kept", "read": "kept"}


@pytest.mark.parametrize("trouble", ["revoked", "scope"])
async def test_what_the_old_read_key_was_refused_is_asked_at_once_with_the_new_one(tmp_path, flash, trouble):
    async with selling_with(tmp_path, flash, members={"fresh_s": 0}) as register:
        assert (await give(register, READ_KEY, "read")).json["state"] == "in-force"
        address = "/v1/members?externalId=POS-CUST-5512"
        assert (await register.call("GET", address)).json["source"] == "flash"
        if trouble == "revoked":
            flash.revoke(READ_KEY)
            assert (await register.call("GET", address)).json["source"] == "cache"
        else:
            flash.deny(READ_KEY, "GET /members/{id}/coupons")
            assert (await register.call("GET", address)).json["missing"] == ["coupons"]
        assert (await give(register, OTHER_READ_KEY, "read")).json["state"] == "in-force"
        found = (await register.call("GET", address)).json
        assert (found["source"], found["missing"]) == ("flash", [])


async def test_rotation_releases_a_401_hold_and_what_waited_is_sent(tmp_path, flash):
    async with selling_with(tmp_path, flash, relay={"hold_probe_s": 3600.0}) as register:
        flash.revoke(WRITE_KEY)
        sold = [(await register.sell(str(number), 10)).json["id"] for number in range(5)]

        async def is_held():
            return "flash-key-refused" in await register.conditions()

        await until(is_held)
        assert (await give(register, NEW_KEY)).json["state"] == "in-force"
        assert [(await register.settled(each))["status"] for each in sold] == ["succeeded"] * 5
        assert await register.conditions() <= {"loopback-partial", "disk-low"}
        assert flash.awards == {str(number): 1 for number in range(5)}
        assert flash.violations == []


async def test_a_key_with_more_scopes_releases_the_calls_that_the_old_one_was_refused(tmp_path, flash):
    async with selling_with(tmp_path, flash, relay={"hold_probe_s": 3600.0}) as register:
        flash.deny(WRITE_KEY, "POST /orders", "POST /orders/batch")
        sold = (await register.sell(wait=5)).json
        assert sold["status"] == "pending"
        assert (await keys(register))["write"]["refusedCalls"] == ["sale"]
        assert (await give(register, NEW_KEY)).json["state"] == "in-force"
        assert (await register.settled(sold["id"]))["status"] == "succeeded"
        assert "flash-endpoint-refused" not in await register.conditions()


async def test_a_file_that_was_replaced_is_taken_up_at_the_next_401(tmp_path, flash):
    file = tmp_path / "write.key"
    file.write_text(WRITE_KEY)
    chosen = keyless(flash, flash={"write_key_file": file})
    async with running(tmp_path / "data", chosen) as register:
        assert (await register.sell("1", 10, wait=10)).json["status"] == "succeeded"
        file.write_text(f"{NEW_KEY}\n")
        flash.revoke(WRITE_KEY)
        sold = (await register.sell("2", 10)).json["id"]
        assert (await register.settled(sold))["status"] == "succeeded"
        assert (await register.status())["flashKeys"]["write"] == "file"
        assert flash.awards == {"1": 1, "2": 1}


async def test_files_are_looked_at_again_when_asked_to(tmp_path, flash):
    write, read = tmp_path / "write.key", tmp_path / "read.key"
    write.write_text(WRITE_KEY)
    read.write_text(READ_KEY)
    chosen = keyless(flash, flash={"write_key_file": write, "read_key_file": read})
    async with running(tmp_path / "data", chosen) as register:
        before = await keys(register)
        write.write_text("no")
        refused = await register.call("POST", "/v1/key/reload", scope="operator")
        assert (refused.status, refused.json["code"]) == (409, "flash-key-unreadable")
        assert (await keys(register))["write"] == before["write"]
        write.write_text(NEW_KEY)
        answer = await register.call("POST", "/v1/key/reload", scope="operator")
        after = {each["which"]: each for each in answer.json["keys"]}
        assert after["write"]["previous"]["fingerprint"] == before["write"]["fingerprint"]
        assert after["read"]["fingerprint"] == before["read"]["fingerprint"]
        flash.revoke(WRITE_KEY)
        assert (await register.sell(wait=10)).json["status"] == "succeeded"
        assert refusals(flash) == []


async def test_fingerprints_tell_nothing_and_are_not_for_registers(tmp_path, flash):
    async with selling_with(tmp_path, flash) as register:
        listed = await register.call("GET", "/v1/key", scope="operator")
        assert WRITE_KEY not in str(listed.json)
        assert not any(WRITE_KEY[at : at + 6] in str(listed.json) for at in range(len(WRITE_KEY) - 5))
        for method, path in (("GET", "/v1/key"), ("POST", "/v1/key/reload")):
            assert (await register.call(method, path)).status == 403


async def test_a_till_that_was_killed_right_after_the_swap_starts_with_the_new_key(tmp_path, flash):
    environ = {"FLASH_AGENT_RELAY__HOLD_PROBE_S": "0.1"}
    with agent_process(tmp_path / "data", flash.base_url, **environ) as agent:
        agent.end()  # a first start with the key as a setting; then the kept ones
        del agent.environment["FLASH_AGENT_FLASH__WRITE_KEY"]
        agent.start()
        place = ("--data-dir", agent.data_dir)
        assert rotated(WRITE_KEY, *place).returncode == 0
        done = rotated(NEW_KEY, *place)
        assert done.returncode == 0, done.stderr
        assert "can now be revoked at Flash" in done.stdout
        agent.kill()
        flash.revoke(WRITE_KEY)
        agent.start()
        sell(agent, "after", 10, wait=10)
        assert flash.awards == {"after": 1}
        assert refusals(flash) == []
        listed = flash_agent("keys", "list", *place)
        assert "kept" in listed.stdout
        assert "verified" in listed.stdout


def rotated(key, *place, which="write", action="rotate"):
    command = [*PYTHON, "-m", "agent", "keys", action, which, *map(str, place)]
    return subprocess.run(
        command, input=f"{key}\n", env=environment(), capture_output=True, text=True, check=False, timeout=50
    )


def test_the_commands_say_what_became_of_a_key(tmp_path, flash):
    with agent_process(tmp_path / "data", flash.base_url) as agent:
        place = ("--data-dir", agent.data_dir)
        outranked = rotated(NEW_KEY, *place)
        assert outranked.returncode == 1
        assert "It is not used." in outranked.stdout
        assert "[flash] write_key of the settings" in outranked.stderr
        refused = rotated(FOREIGN_KEY, *place, which="read")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "tenant has no store with this till's store id" in refused.stderr
        read = rotated(READ_KEY, *place, which="read")
        assert read.returncode == 0, read.stderr
        assert "There was no other key in force before it" in read.stdout
        listed = flash_agent("keys", "list", *place)
        assert listed.returncode == 0, listed.stderr
        assert "is kept and not used; the setting goes before it." in listed.stdout
        reloaded = flash_agent("key", "reload", *place)  # the other name
        assert reloaded.returncode == 0, reloaded.stderr
        everything = outranked.stdout + outranked.stderr + read.stdout + listed.stdout + refused.stderr
        assert not [key for key in (WRITE_KEY, NEW_KEY, READ_KEY, FOREIGN_KEY) if key in everything]
