"""Following the feed of changed members: those met here, resumable, polite; or the whole store's."""

import asyncio
import time
from datetime import timedelta

import pytest

from agent.clock import Clock
from tests.support.agents import WRITE_KEY, running, settings, strict_flash, until

ADA = "POS-CUST-5512"


@pytest.fixture
def flash():
    with strict_flash(in_flight_limit=16) as server:
        yield server
        assert server.violations == []


def chosen(flash, **members):
    return settings(flash.base_url, members={"lookup_budget_ms": 3000, "fresh_s": 0, **members})


async def look(register, status=200, **key):
    answer = await register.call("GET", f"/v1/members?{'&'.join(f'{n}={v}' for n, v in key.items())}")
    assert answer.status == status, answer
    return answer.json


async def state(register):
    return (await register.call("GET", "/v1/sync")).json


async def synced(register):
    assert (await register.call("POST", "/v1/sync", scope="operator")).status == 200

    async def is_over():
        return (await state(register))["state"] == "idle"

    await until(is_over, 50)
    return await state(register)


def change(flash, member_id, **fields):
    flash.state.seed("member", "t1", {**flash.state.tenant("t1").members[member_id], **fields})


def feed_reads(flash):
    return [seen.request.query for seen in flash.requests if "updatedSince" in seen.request.query]


async def test_only_members_met_here_are_followed(tmp_path, flash):
    ada = flash.add_member(externalId=ADA)
    others = [flash.add_member(externalId=f"C-{number}", email=f"c{number}@example.com") for number in range(30)]
    async with running(tmp_path, chosen(flash)) as till:
        assert (await synced(till))["seen"] == 0  # nobody to follow: Flash is not asked
        assert feed_reads(flash) == []
        await look(till, externalId=ADA)
        change(flash, ada, points=5000, email="ada@new.example.com")
        change(flash, others[0], points=9)
        done = await synced(till)
        assert (done["error"], done["members"], done["kept"], done["refreshed"], done["due"]) == (None, 1, 1, 1, 0)
        assert done["seen"] >= 2
        assert done["watermark"]
        flash.stop()
        found = await look(till, email="ada@new.example.com")
        assert (found["source"], found["points"]["balance"]) == ("cache", 5000)
        await look(till, 503, email="ada@example.com")  # no longer hers
        await look(till, 503, externalId="C-0")
        flash.start()


async def test_whoever_may_not_be_asked_for_ends_no_run_and_is_left_to_the_next_look_up(tmp_path, flash):
    ada = flash.add_member(externalId=ADA)
    async with running(tmp_path, chosen(flash)) as till, asyncio.timeout(40):
        await look(till, externalId=ADA)
        change(flash, ada, points=5000)
        flash.deny(WRITE_KEY, *(f"GET /members/{{id}}{part}" for part in ("", "/points", "/tier", "/coupons")))
        done = await synced(till)
        assert (done["error"], done["refreshed"], done["due"]) == (None, 1, 0)


@pytest.mark.parametrize("cursors", [True, False])
async def test_a_whole_store_is_held_where_that_is_wished(tmp_path, flash, cursors):
    flash.set(cursors=cursors)
    for number in range(450):
        flash.add_member(externalId=f"C-{number}", email=f"c{number}@example.com")
    async with running(tmp_path, chosen(flash, hold_all=True)) as till:
        done = await synced(till)
        assert (done["error"], done["members"]) == (None, 451)
        assert done["pages"] >= 3
        again = await synced(till)
        assert again["members"] == 451
        assert again["pages"] <= 2
        flash.stop()
        found = await look(till, externalId="C-449")
        assert (found["source"], found["member"]["email"]) == ("cache", "c449@example.com")
        flash.start()


async def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path, flash):
    for number in range(900):
        flash.add_member(externalId=f"C-{number}")
    slow = flash.fault("latency", ms=100, method="GET")
    async with running(tmp_path, chosen(flash, hold_all=True)) as till:
        await till.call("POST", "/v1/sync", scope="operator")

        async def some_pages():
            return (await state(till))["pages"] >= 2

        await until(some_pages)
        pages = (await state(till))["pages"]
    before = len(feed_reads(flash))
    assert slow.fired
    flash.clear()
    async with running(tmp_path, chosen(flash, hold_all=True)) as till:
        done = await synced(till)
        assert (done["error"], done["members"]) == (None, 901)
        assert done["pages"] <= 5 - pages + 1
        assert "cursor" in feed_reads(flash)[before]


async def test_a_retry_after_is_waited_out(tmp_path, flash):
    for number in range(450):
        flash.add_member(externalId=f"C-{number}")
    async with running(tmp_path, chosen(flash, hold_all=True)) as till:
        flash.fault("status", status=429, retry_after=1, times=1, method="GET")
        began = time.monotonic()
        done = await synced(till)
        assert (done["error"], done["members"]) == (None, 451)
        assert time.monotonic() - began > 0.9


@pytest.mark.parametrize(("status", "code"), [(401, ""), (403, "")])
async def test_a_refused_key_ends_the_run_and_says_so(tmp_path, flash, status, code):
    async with running(tmp_path, chosen(flash, hold_all=True)) as till:
        flash.fault("status", status=status, method="GET")
        done = await synced(till)
        assert done["error"]["code"]
        assert done["members"] == 0


async def test_the_size_is_bounded(tmp_path, flash):
    for number in range(300):
        flash.add_member(externalId=f"C-{number}")
    async with running(tmp_path, chosen(flash, hold_all=True, max_members=50)) as till:
        await look(till, externalId=ADA)
        done = await synced(till)
        assert done["members"] == 50
        for number in range(60):
            await look(till, externalId=f"C-{number}")
        done = await synced(till)
        assert done["members"] <= 50
        flash.stop()
        assert (await look(till, externalId="C-59"))["source"] == "cache"  # the last met stay
        flash.start()


async def test_after_a_long_holiday_those_met_are_asked_for_without_the_feed(tmp_path, flash):
    ada = flash.add_member(externalId=ADA)
    async with running(tmp_path, chosen(flash)) as till:
        await look(till, externalId=ADA)
        for number in range(1200):
            flash.add_member(externalId=f"C-{number}")
        change(flash, ada, points=77)
        done = await synced(till)
        assert (done["error"], done["pages"], done["refreshed"]) == (None, 0, 1)
        assert len(feed_reads(flash)) == 1
        flash.stop()
        assert (await look(till, externalId=ADA))["points"]["balance"] == 77
        flash.start()
        again = await synced(till)
        assert again["error"] is None


class Later(Clock):
    """The real clock, some days on."""

    def __init__(self, days):
        super().__init__()
        self._days = timedelta(days=days)
        self._offset_s += self._days.total_seconds()

    def now(self):
        return super().now() + self._days


async def test_the_old_are_let_go_by_flashs_clock_alone(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        await look(till, externalId=ADA)
    async with running(tmp_path, chosen(flash), Later(400)) as till:
        await synced(till)
        assert (await state(till))["members"] == 1  # the till's clock alone says so
    flash.set(clock_skew=400 * 86_400.0)
    async with running(tmp_path, chosen(flash), Later(400)) as till:
        await till.sell("o1", wait=20)
        await synced(till)
        assert (await state(till))["members"] == 0


class Swift(Clock):
    """A clock on which every pause of a minute or more is over at once."""

    def call_later(self, delay_s, call):
        return super().call_later(0.05 if delay_s >= 60 else delay_s, call)


@pytest.mark.parametrize("minutes", [0, 15])
async def test_the_size_is_bounded_although_nothing_is_followed(tmp_path, flash, minutes):
    for number in range(30):
        flash.add_member(externalId=f"C-{number}")
    async with running(tmp_path, chosen(flash, max_members=10, sync_minutes=minutes), Swift()) as till:
        for number in range(30):
            await look(till, externalId=f"C-{number}")

        async def few():
            return (await state(till))["members"] <= 10

        await until(few)
        assert bool(feed_reads(flash)) is (minutes > 0)


async def test_a_member_whom_flash_no_longer_has_is_let_go(tmp_path, flash):
    ada = flash.add_member(externalId=ADA)
    async with running(tmp_path, chosen(flash)) as till:
        await look(till, externalId=ADA)
        tenant = flash.state.tenant("t1")
        row = tenant.members.pop(ada)
        tenant.index.clear()
        await look(till, 404, externalId=ADA)
        assert (await state(till))["members"] == 0
        tenant.members[ada] = row


async def test_cashiers_go_first(tmp_path, flash):
    for number in range(1200):
        flash.add_member(externalId=f"C-{number}")
    async with running(tmp_path, chosen(flash, hold_all=True)) as till:
        await till.call("POST", "/v1/sync", scope="operator")
        sales = await asyncio.gather(*(till.sell(f"o{number}", 10, wait=20) for number in range(20)))
        assert {sale.json["status"] for sale in sales} == {"succeeded"}
        assert (await synced(till))["members"] == 1201
