"""The outage drill: nothing leaves the till while it runs, nothing is lost by it, and it ends by itself."""

import asyncio
from datetime import timedelta

import pytest
from pydantic import SecretStr

from agent.clock import Clock, local_text
from agent.delivery import Contact, Fate, Kind, Parcel
from agent.flash.address import FlashAddress
from agent.flash.client import FlashClient
from tests.support.agents import WRITE_KEY, running, settings, strict_flash, until


class Jumping(Clock):
    """A till's clock that somebody sets."""

    shift = timedelta()

    def now(self):
        return super().now() + self.shift


class Patient(Clock):
    """A clock on which every pause is an hour long: what goes on was told to."""

    def call_later(self, delay_s, call):
        return super().call_later(3600, call)


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def till(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        yield register


async def start(register, seconds=600, scope="operator"):
    return await register.call("POST", "/v1/drill", {"seconds": seconds}, scope=scope)


async def stop(register):
    return await register.call("DELETE", "/v1/drill", scope="operator")


async def connectivity(register):
    return (await register.status())["connectivity"]


async def drained(register):
    async def nothing_pending():
        return (await register.status())["pending"] == 0

    await until(nothing_pending, 5.0)


async def test_nothing_leaves_the_till_and_everything_goes_on(till, flash):
    await till.sell("before", wait=5)
    heard = len(flash.requests)
    answer = await start(till)
    assert (answer.status, answer.json["active"], answer.json["secondsLeft"]) == (200, True, 600)
    assert answer.json["endsAt"].endswith("Z")
    sales = [await till.sell(f"o{number}", 20, wait=2) for number in range(5)]
    assert {sale.json["status"] for sale in sales} == {"pending"}
    assert (await till.sell("before")).json["status"] == "succeeded"
    assert await connectivity(till) == "offline"
    assert len(flash.requests) == heard
    assert (await stop(till)).json == {"active": False, "endsAt": None, "secondsLeft": None}
    await drained(till)
    assert flash.awards == {"before": 1, **{f"o{number}": 1 for number in range(5)}}
    assert flash.violations == []


async def test_the_drill_is_shown_as_one_and_not_as_an_outage(till):
    await start(till)
    conditions = {raised["code"]: raised for raised in (await till.status())["conditions"]}
    assert conditions["outage-drill"]["severity"] == "info"
    assert local_text((await till.call("GET", "/v1/drill")).json["endsAt"]) in conditions["outage-drill"]["text"]
    assert "drill" in conditions["flash-offline"]["text"]
    await stop(till)
    assert await till.conditions() == set()
    assert await connectivity(till) == "starting"


async def test_a_till_that_was_online_is_online_again_although_it_has_nothing_to_send(till):
    await till.sell("o1", wait=5)
    await start(till)
    await till.sell("o2", wait=1)
    await stop(till)
    await drained(till)
    assert await connectivity(till) == "online"
    assert await till.conditions() == set()


async def test_it_ends_by_itself_and_the_backlog_flows_at_once(till, flash):
    await till.sell("o1", wait=5)
    await start(till, seconds=1)
    for number in range(2, 6):
        await till.sell(f"o{number}", 10, wait=0.2)
    assert set(flash.awards) == {"o1"}
    await drained(till)
    assert len(flash.awards) == 5
    assert (await till.call("GET", "/v1/drill")).json["active"] is False


async def test_no_pause_of_a_probe_is_waited_out(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url), Patient()) as till:
        await start(till)
        for number in range(3):
            await till.sell(f"o{number}", 10)

        await stop(till)
        await drained(till)
    assert len(flash.awards) == 3


async def test_a_retry_after_outlasts_the_drill(till, flash):
    flash.fault("status", status=429, retry_after=30, times=1)
    await till.sell("o1", wait=1)
    assert await connectivity(till) == "throttled"
    heard = len(flash.requests)
    await start(till)
    assert await connectivity(till) == "offline"
    await stop(till)
    assert await connectivity(till) == "throttled"
    sale = await till.sell("o2", wait=1)
    assert sale.json["status"] == "pending"
    assert len(flash.requests) == heard


async def test_a_request_under_way_finishes(till, flash):
    flash.fault("latency", ms=700, times=1)
    sale = asyncio.create_task(till.sell("o1", wait=5))
    assert await asyncio.to_thread(flash.wait_for, lambda seen: seen.in_flight == 1)
    await start(till)
    assert (await sale).json["status"] == "succeeded"
    assert await connectivity(till) == "offline"
    assert (await till.sell("o2", wait=1)).json["status"] == "pending"
    await stop(till)
    await drained(till)
    assert await connectivity(till) == "online"


async def test_every_call_is_answered_as_a_dead_network_answers_and_none_leaves(flash):
    client = FlashClient(FlashAddress(flash.base_url, "till-1"), Clock(), write_key=SecretStr(WRITE_KEY))
    client.is_cut_off = lambda: True
    parcel = Parcel(Kind.SALE, "/orders", b"{}", "sale-1")
    for outcome in (
        await client.send(parcel),
        await client.send_batch([parcel, parcel]),
        await client.probe(write_key=True),
        await client.probe(write_key=False),
    ):
        assert (outcome.contact, outcome.fate, outcome.unsent) == (Contact.UNREACHABLE, Fate.RETRY, True)
    assert await client.shows_store("st_1") is None
    await client.close()
    assert not flash.requests


async def test_the_metrics_show_it(till):
    await start(till)
    metrics = (await till.call("GET", "/metrics", scope="operator")).json
    assert 'flash_agent_condition{code="outage-drill",severity="info"} 1.0' in metrics


async def test_a_restart_ends_it(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as till:
        await start(till)
        await till.sell("o1")
    async with running(tmp_path, settings(flash.base_url)) as till:
        await drained(till)
        assert (await till.call("GET", "/v1/drill")).json["active"] is False


async def test_the_till_s_clock_may_jump(tmp_path, flash):
    clock = Jumping()
    async with running(tmp_path, settings(flash.base_url), clock) as till:
        await start(till, seconds=60)
        clock.shift = timedelta(days=400)
        shown = (await till.call("GET", "/v1/drill")).json
        assert (shown["active"], 55 <= shown["secondsLeft"] <= 60) == (True, True)
        clock.shift = timedelta(days=-400)
        assert (await till.call("GET", "/v1/drill")).json["active"] is True


@pytest.mark.parametrize("seconds", [0, -1, 7201, 1.5, "600", None, True])
async def test_it_is_bounded(till, seconds):
    answer = await start(till, seconds)
    assert (answer.status, answer.json["code"]) == (422, "validation")
    assert [fault["field"] for fault in answer.json["errors"]] == ["seconds"]
    assert (await till.call("GET", "/v1/drill")).json["active"] is False


async def test_ten_minutes_unless_said_otherwise_and_a_second_start_counts_anew(till):
    assert (await till.call("POST", "/v1/drill", {}, scope="operator")).json["secondsLeft"] == 600
    assert (await start(till, 7200)).json["secondsLeft"] == 7200
    assert (await start(till, 60)).json["secondsLeft"] == 60


async def test_a_register_sees_it_and_does_not_start_it(till):
    assert (await start(till, scope="register")).json["code"] == "forbidden"
    assert (await till.call("DELETE", "/v1/drill")).json["code"] == "forbidden"
    assert (await till.call("GET", "/v1/drill")).status == 200
    assert "drill" in (await till.status())["features"]
