"""Look-ups while Flash is away, slow, strange or refuses the key: the snapshot answers, and nobody waits in vain."""

import asyncio
from datetime import timedelta

import pytest

from agent.clock import Clock
from tests.support.agents import running, until
from tests.support.looking_up import ADA, BUDGET_MS, chosen, flash_with_ada, look, took
from tests.support.strict_flash import READ_KEY

SHORT_MS = 600


@pytest.fixture
def flash():
    with flash_with_ada() as server:
        yield server


@pytest.fixture
async def old_till(tmp_path, flash):
    """A till whose snapshots are never fresh."""
    async with running(tmp_path, chosen(flash, members={"fresh_s": 0})) as register:
        yield register


@pytest.fixture
async def hasty_till(tmp_path, flash):
    """A till whose cashiers wait for a moment only."""
    members = {"fresh_s": 0, "lookup_budget_ms": SHORT_MS}
    async with running(tmp_path, chosen(flash, members=members)) as register:

        async def met():
            return (await look(register, externalId=ADA))["source"] == "flash"

        await until(met)
        yield register


async def test_offline_the_snapshot_answers_and_says_how_old_it_is(old_till, flash):
    first = await look(old_till, externalId=ADA)
    flash.stop()
    found = await look(old_till, email="ada@example.com")
    assert (found["source"], found["stale"], found["asOf"]) == ("cache", True, first["asOf"])
    assert {name: found[name] for name in ("member", "points", "tier", "coupons", "missing")} == {
        name: first[name] for name in ("member", "points", "tier", "coupons", "missing")
    }
    answer = await old_till.call("GET", "/v1/members?externalId=never-met")
    assert (answer.status, answer.json["code"]) == (503, "member-unknown-offline")
    assert int(answer.headers["Retry-After"]) >= 1
    flash.start()


async def test_a_snapshot_outlives_a_restart(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        await look(till, externalId=ADA)
    flash.stop()
    async with running(tmp_path, chosen(flash)) as till:
        found = await look(till, externalId=ADA)
        assert (found["source"], found["points"]["balance"]) == ("cache", 1814)
    flash.start()


async def test_a_black_hole_costs_the_budget_once_and_then_nothing(hasty_till, flash):
    hole = flash.fault("hang", method="GET")
    seconds, found = await took(hasty_till, externalId=ADA)
    assert (found["source"], found["stale"]) == ("cache", True)
    assert SHORT_MS / 1000 * 0.9 < seconds < SHORT_MS / 1000 + 1.0

    async def is_known_dead():
        return (await hasty_till.status())["connectivity"] == "offline"

    await until(is_known_dead)
    seconds, found = await took(hasty_till, externalId=ADA)
    assert seconds < SHORT_MS / 1000 * 0.9
    assert found["stale"]
    assert hole.fired


async def test_what_comes_after_the_budget_is_kept(hasty_till, flash):
    flash.state.tenant("t1").member(externalId=ADA)["points"] = 2500
    flash.fault("latency", ms=SHORT_MS * 3, method="GET", times=4)
    assert (await look(hasty_till, externalId=ADA))["points"]["balance"] == 1814
    await asyncio.to_thread(flash.wait_for, lambda flash: flash.in_flight == 0)
    await hasty_till.call("POST", "/v1/drill", {"seconds": 60}, scope="operator")

    async def kept():
        found = await look(hasty_till, externalId=ADA)
        return (found["source"], found["points"]["balance"]) == ("cache", 2500)

    await until(kept)


async def test_a_look_up_finds_the_way_back_and_the_backlog_flows(old_till, flash):
    await look(old_till, externalId=ADA)
    flash.stop()
    assert (await look(old_till, externalId=ADA))["source"] == "cache"

    async def dead():
        return (await old_till.status())["connectivity"] == "offline"

    await until(dead)
    flash.start()

    async def asked_again():
        return (await look(old_till, externalId=ADA))["source"] == "flash"

    await until(asked_again, 10)
    assert (await old_till.status())["connectivity"] == "online"


class Patient(Clock):
    """A clock on which every pause is an hour long: what goes on was told to."""

    def call_later(self, delay_s, call):
        return super().call_later(3600, call)


async def test_a_backlog_need_not_wait_for_its_own_probe(tmp_path, flash):
    async with running(tmp_path, chosen(flash, members={"fresh_s": 0}), Patient()) as till:
        flash.stop()
        await till.sell("o1")

        async def dead():
            return (await till.status())["connectivity"] == "offline"

        await until(dead)
        flash.start()

        async def answered():
            return (await till.call("GET", f"/v1/members?externalId={ADA}")).status == 200

        async def awarded():
            return flash.awards == {"o1": 1}

        await until(answered)
        await until(awarded)


async def test_in_a_drill_nothing_leaves_and_nobody_waits(old_till, flash):
    await look(old_till, externalId=ADA)
    await old_till.call("POST", "/v1/drill", {"seconds": 60}, scope="operator")
    asked = len(flash.requests)
    seconds, found = await took(old_till, externalId=ADA)
    assert (found["source"], found["stale"]) == ("cache", True)
    assert seconds < BUDGET_MS / 1000 / 2
    assert (await look(old_till, 503, externalId="x"))["code"] == "member-unknown-offline"
    assert len(flash.requests) == asked


async def test_a_retry_after_is_kept_and_nobody_waits_for_it(old_till, flash):
    await look(old_till, externalId=ADA)
    flash.set(grace=2.0, strict_connection=False)  # four calls were on their way together
    flash.fault("status", status=429, retry_after=30, times=4, method="GET")
    await look(old_till, externalId=ADA)
    asked = len(flash.requests)
    answer = await old_till.call("GET", "/v1/members?externalId=never-met")
    assert answer.status == 503
    assert 20 <= int(answer.headers["Retry-After"]) <= 31
    assert (await look(old_till, externalId=ADA))["source"] == "cache"
    assert len(flash.requests) == asked


async def test_a_pause_that_a_look_up_was_told_outlives_a_restart(tmp_path, flash):
    flash.set(grace=2.0, strict_connection=False)
    for source in ("flash", "cache"):
        async with running(tmp_path, chosen(flash, members={"fresh_s": 0})) as till:
            asked = len(flash.requests)
            assert (await look(till, externalId=ADA))["source"] == source
            assert (len(flash.requests) > asked) is (source == "flash")
            flash.fault("status", status=429, retry_after=30, times=4, method="GET")
            assert (await look(till, externalId=ADA))["source"] == "cache"


@pytest.mark.parametrize("fault", ["truncated-json", "torn-answer", "captive-portal", "empty-200", "wrong-types"])
async def test_answers_that_are_none(old_till, flash, fault):
    await look(old_till, externalId=ADA)
    flash.fault(fault, method="GET")
    found = await look(old_till, externalId=ADA)
    assert found["points"] in ({"balance": 1814}, None)
    assert found["member"]["externalId"] == ADA


async def test_where_no_part_is_told_the_snapshot_has_more_to_say(old_till, flash):
    first = await look(old_till, externalId=ADA)
    flash.fault("torn-answer", method="GET", path=r"/members/[^/]+/\w+$")
    found = await look(old_till, externalId=ADA)
    assert (found["source"], found["stale"], found["points"]) == ("cache", True, first["points"])


@pytest.mark.parametrize("part", ["points", "coupons"])
async def test_a_part_whose_answer_dies_in_the_middle(old_till, flash, part):
    await look(old_till, externalId=ADA)
    flash.fault("torn-answer", method="GET", path=rf"/members/[^/]+/{part}$")
    found = await look(old_till, externalId=ADA)
    assert (found["source"], found["missing"], found[part]) == ("flash", [part], None)
    assert (await old_till.status())["connectivity"] == "online"


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_read_key_never_holds_writes(tmp_path, flash, status):
    async with running(tmp_path, chosen(flash, flash={"read_key": READ_KEY}, members={"fresh_s": 0})) as till:
        await look(till, externalId=ADA)
        flash.fault("status", status=status, method="GET")
        assert (await look(till, externalId=ADA))["source"] == "cache"
        asked = len(flash.requests)
        assert (await look(till, externalId=ADA))["source"] == "cache"
        assert len(flash.requests) == asked  # held for a minute
        assert (await till.sell("o1", wait=20)).json["status"] == "succeeded"


async def test_a_refused_key_that_serves_both_is_tried_once_a_minute_by_whomever(old_till, flash):
    await look(old_till, externalId=ADA)
    flash.fault("status", status=401, method="GET")
    assert (await look(old_till, externalId=ADA))["source"] == "cache"
    assert (await old_till.status())["connectivity"] == "unauthorized"
    asked = len(flash.requests)
    for _ in range(3):
        assert (await look(old_till, externalId=ADA))["source"] == "cache"
        await look(old_till, 503, externalId="never-met")
    assert len(flash.requests) == asked


class Shifted(Clock):
    """A till whose clock is a year off."""

    def __init__(self, days):
        super().__init__()
        self._offset_s += days * 86_400.0

    def now(self):
        return super().now() + timedelta(seconds=self._offset_s - Clock()._offset_s)


@pytest.mark.parametrize("days", [-365, 365])
async def test_a_clock_moved_by_a_year_makes_nothing_fresh_and_loses_nothing(tmp_path, flash, days):
    async with running(tmp_path, chosen(flash)) as till:
        first = await look(till, externalId=ADA)
    flash.stop()
    async with running(tmp_path, chosen(flash), Shifted(days)) as till:
        found = await look(till, externalId=ADA)
        assert (found["source"], found["stale"], found["asOf"]) == ("cache", True, first["asOf"])
    flash.start()
    async with running(tmp_path, chosen(flash), Shifted(days)) as till:
        assert (await look(till, externalId=ADA))["source"] == "flash"
        assert (await look(till, externalId=ADA))["source"] == "cache"


async def test_with_the_store_gone_flash_is_asked_all_the_same(old_till, flash, tmp_path):
    await look(old_till, externalId=ADA)
    (tmp_path / "agent.db").unlink()
    await old_till.call("GET", "/readyz")
    found = await look(old_till, externalId=ADA)
    assert (found["source"], found["points"]["balance"]) == ("flash", 1814)
