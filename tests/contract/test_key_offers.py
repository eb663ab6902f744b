"""A key that is not to be used, or not yet: it is refused or waits, and the one before goes on."""

import pytest

from tests.support.agents import WRITE_KEY, running, settings, until
from tests.support.rotating import (
    FAST,
    FOREIGN_KEY,
    NEW_KEY,
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


@pytest.mark.parametrize(
    ("key", "code"), [("fl_live_nobody_knows", "flash-key-refused"), (FOREIGN_KEY, "flash-key-foreign")]
)
@pytest.mark.parametrize("which", ["write", "read"])
async def test_a_wrong_key_is_refused_and_the_old_one_stays(tmp_path, flash, key, code, which):
    async with selling_with(tmp_path, flash) as register:
        assert (await give(register, READ_KEY, "read")).json["state"] == "in-force"
        before = await keys(register)
        refused = await give(register, key, which)
        assert (refused.status, refused.json["code"]) == (409, code)
        assert key not in str(refused.json)
        assert await keys(register) == before
        assert (await register.sell(wait=10)).json["status"] == "succeeded"
        assert "flash-key-waiting" not in await register.conditions()
    async with running(tmp_path, keyless(flash)) as register:
        after = await keys(register)
        assert [after[name]["fingerprint"] for name in after] == [before[name]["fingerprint"] for name in before]
    assert not [seen for seen in seen_with(flash, key) if seen.request.write or seen.request.route != "GET /stores"]


async def test_a_read_only_key_does_not_become_the_write_key(tmp_path, flash):
    async with selling_with(tmp_path, flash) as register:
        refused = await give(register, READ_KEY)
        assert (refused.status, refused.json["code"]) == (409, "flash-key-reads-only")
        assert (await register.sell(wait=10)).json["status"] == "succeeded"
    async with running(tmp_path / "fresh", keyless(flash)) as register:
        assert (await give(register, READ_KEY)).json["code"] == "flash-key-reads-only"
        assert flash.violations == []


async def test_a_wrong_key_that_is_forced_waits_and_is_never_used(tmp_path, flash):
    async with selling_with(tmp_path, flash) as register:
        forced = await give(register, FOREIGN_KEY, force=True)
        assert (forced.json["state"], forced.json["waiting"]["reason"]) == ("waiting", "not-shown")
        assert "flash-key-waiting" in await register.conditions()
        assert (await register.sell(wait=10)).json["status"] == "succeeded"
        assert not seen_with(flash, FOREIGN_KEY, writes=True)
        again = await give(register, WRITE_KEY)  # the one in force, given again, ends the waiting
        assert (again.json["state"], again.json["waiting"]) == ("in-force", None)
        assert "flash-key-waiting" not in await register.conditions()
    assert not (tmp_path / "flash-write.next.key").exists()


async def test_a_first_read_key_that_is_foreign_and_forced_is_not_used_after_a_restart_either(tmp_path, flash):
    async with selling_with(tmp_path, flash) as register:
        assert (await give(register, FOREIGN_KEY, "read", force=True)).json["state"] == "waiting"
    for _ in range(2):
        async with running(tmp_path, keyless(flash, members={"fresh_s": 0})) as register:
            shown = (await keys(register))["read"]
            assert (shown["source"], shown["waiting"]["source"]) == (None, "kept")
            await register.call("GET", "/v1/members?externalId=POS-CUST-5512")
            assert {seen.request.route for seen in seen_with(flash, FOREIGN_KEY)} == {"GET /stores"}


async def test_a_key_given_while_flash_is_away_waits_and_comes_into_force_when_it_is_back(tmp_path, flash):
    async with selling_with(tmp_path, flash, relay={"hold_probe_s": 3600.0}) as register:
        flash.stop()
        sold = (await register.sell("1", 10)).json["id"]
        given = await give(register, NEW_KEY)
        assert (given.json["state"], given.json["waiting"]["reason"]) == ("waiting", "unreachable")
        assert (await keys(register))["write"]["previous"] is None
        assert "flash-key-waiting" in await register.conditions()
        flash.start()
        assert (await register.settled(sold))["status"] == "succeeded"

        async def is_in_force():
            return (await keys(register))["write"]["previous"] is not None

        await until(is_in_force)
        assert "flash-key-waiting" not in await register.conditions()
        flash.revoke(WRITE_KEY)
        assert (await register.sell("2", wait=10)).json["status"] == "succeeded"
        assert refusals(flash) == []


async def test_a_key_that_waits_outlives_a_restart_and_the_old_one_goes_on(tmp_path, flash):
    async with selling_with(tmp_path, flash) as register:
        old = (await keys(register))["write"]["fingerprint"]
        flash.stop()
        assert (await give(register, NEW_KEY)).json["state"] == "waiting"
    async with running(tmp_path, keyless(flash)) as register:
        shown = (await keys(register))["write"]
        assert (shown["fingerprint"], shown["verified"]) == (old, True)
        assert "flash-key-waiting" in await register.conditions()
        flash.start()

        async def is_in_force():
            return (await keys(register))["write"]["fingerprint"] != old

        await until(is_in_force)
        assert not (tmp_path / "flash-write.next.key").exists()


async def test_a_key_that_waits_does_not_take_the_place_of_one_that_the_settings_name_since(tmp_path, flash):
    async with selling_with(tmp_path, flash) as register:
        flash.stop()
        waiting = (await give(register, NEW_KEY)).json["waiting"]["fingerprint"]
    flash.start()
    async with running(tmp_path, settings(flash.base_url, relay=FAST)) as register:
        assert (await register.sell("1", wait=10)).json["status"] == "succeeded"
        shown = (await keys(register))["write"]
        assert (shown["source"], shown["outranked"], shown["waiting"]) == ("setting", waiting, None)
    assert not seen_with(flash, NEW_KEY)


async def test_a_key_that_may_not_see_stores_waits_for_the_operators_word(tmp_path, flash):
    flash.deny(NEW_KEY, "GET /stores")
    async with selling_with(tmp_path, flash) as register:
        given = await give(register, NEW_KEY)
        assert (given.json["state"], given.json["waiting"]["reason"]) == ("waiting", "unreadable")
        assert (await register.sell("old", wait=10)).json["status"] == "succeeded"
        assert not seen_with(flash, NEW_KEY, writes=True)
        assert (await register.call("POST", "/v1/key/confirm", scope="operator")).status == 200
        shown = (await keys(register))["write"]
        assert (shown["waiting"], shown["verified"]) == (None, True)
        assert (await register.sell("new", wait=10)).json["status"] == "succeeded"
        assert len(seen_with(flash, NEW_KEY, writes=True)) == 1


async def test_a_key_that_flash_refuses_cannot_be_confirmed(tmp_path, flash):
    async with selling_with(tmp_path, flash) as register:
        assert (await give(register, "fl_live_nobody_knows", force=True)).json["state"] == "waiting"
        refused = await register.call("POST", "/v1/key/confirm", scope="operator")
        assert (refused.status, refused.json["code"]) == (409, "flash-key-refused")


async def test_a_foreign_key_in_a_replaced_file_waits_and_the_old_one_goes_on(tmp_path, flash):
    file = tmp_path / "write.key"
    file.write_text(WRITE_KEY)
    async with running(tmp_path / "data", keyless(flash, flash={"write_key_file": file})) as register:
        file.write_text(FOREIGN_KEY)
        answer = await register.call("POST", "/v1/key/reload", scope="operator")
        assert answer.json["keys"][0]["waiting"]["reason"] == "not-shown"
        again = await register.call("POST", "/v1/key/reload", scope="operator")
        assert again.json["keys"][0]["waiting"] == answer.json["keys"][0]["waiting"]
        assert (await register.sell(wait=10)).json["status"] == "succeeded"
        assert not seen_with(flash, FOREIGN_KEY, writes=True)


async def test_what_outranks_a_given_key_is_said_and_nothing_changes(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        given = await give(register, NEW_KEY)
        assert (given.json["state"], given.json["source"]) == ("outranked", "setting")
        shown = (await keys(register))["write"]
        assert (shown["source"], shown["outranked"]) == ("setting", given.json["fingerprint"])
        assert (await register.sell(wait=10)).json["status"] == "succeeded"
        assert not seen_with(flash, NEW_KEY, writes=True)
        refused = await give(register, FOREIGN_KEY)
        assert refused.status == 409
    async with running(tmp_path, keyless(flash)) as register:  # the setting is gone: the kept one follows, once shown
        assert (await register.sell("next", wait=10)).json["status"] in {"pending", "succeeded"}
        await drained(register)
        assert seen_with(flash, NEW_KEY, writes=True)
