"""`GET /v1/flash-orders`: Flash's feed of changed orders through the agent, polite and without anybody's data."""

import asyncio
import time
from itertools import pairwise

import pytest

from agent.reconcile.feed import PAGE_EVERY_S
from tests.contract.test_openapi import check, served
from tests.support.agents import running, settings, strict_flash, until
from tests.support.strict_flash import READ_KEY

FEED = "/v1/flash-orders"
SINCE = f"{FEED}?updatedSince=2020-01-01T00:00:00Z"


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server
        assert server.violations == []


@pytest.fixture
async def till(tmp_path, flash):
    keys = {"base_url": flash.base_url, "read_key": READ_KEY}
    async with running(tmp_path, settings(flash=keys)) as register:
        yield register


async def page(till, path=SINCE, status=200):
    answer = await till.call("GET", path, scope="operator")
    assert answer.status == status, answer
    check(await served(till), "GET", FEED, answer)
    return answer.json


async def pages(till, first):
    yield first
    while (cursor := first["nextCursor"]) is not None:
        first = await page(till, f"{FEED}?cursor={cursor}")
        yield first


def reads(flash):
    return [seen for seen in flash.requests if seen.request.route == "GET /orders"]


async def test_an_order_is_shown_as_flash_has_it_and_without_its_customer(till, flash):
    await till.sell("1", 120.5, wait=10)
    await till.sell("gone", 5, wait=10)
    flash.state.set_order("lane-2", storeId="st_9", memberId="mem_t1_1")
    shown = await page(till)
    one, _, other = shown["orders"]
    moment = one.pop("updatedAt")
    assert moment
    assert one == {
        "upstreamOrderId": "1", "totalAmount": "120.5", "storeId": "st_1", "refunded": "0.0", "awarded": 6,
        "here": "kept",
    }  # fmt: skip
    assert other["here"] == "unknown"
    assert (shown["total"], shown["unread"], shown["stuckAt"], shown["nextCursor"]) == (3, 0, None, None)
    assert "mem_t1" not in str(shown)
    assert {seen.request.token for seen in reads(flash)} == {READ_KEY}
    await till.call("POST", "/v1/members/forget", {"externalId": "POS-CUST-5512"}, scope="operator")
    assert [order["here"] for order in (await page(till))["orders"]] == ["stripped", "stripped", "unknown"]


async def test_what_flash_does_not_tell_is_null(till, flash):
    flash.set(tells_refunds=False)
    flash.state.set_order("1", awarded="six")
    (order,) = (await page(till))["orders"]
    assert (order["storeId"], order["refunded"], order["awarded"]) == (None, None, None)


async def test_only_operators_read_it(till):
    assert (await till.call("GET", SINCE)).status == 403


@pytest.mark.parametrize("cursors", [True, False])
async def test_every_order_is_on_some_page(till, flash, cursors):
    flash.set(cursors=cursors)
    for number in range(450):
        flash.state.set_order(f"o-{number}")
    shown = [each async for each in pages(till, await page(till))]
    assert {order["upstreamOrderId"] for each in shown for order in each["orders"]} == {f"o-{n}" for n in range(450)}
    assert len(shown) == len(reads(flash)) == 3
    times = [seen.request.at for seen in reads(flash)]
    assert all(later - earlier > PAGE_EVERY_S * 0.9 for earlier, later in pairwise(times))


async def test_several_readers_take_turns(till, flash):
    await asyncio.gather(*(page(till) for _ in range(3)))
    times = [seen.request.at for seen in reads(flash)]
    assert times[2] - times[0] > 2 * PAGE_EVERY_S * 0.9


async def test_a_cursor_that_flash_has_forgotten_is_no_loss(till, flash):
    for number in range(450):
        flash.state.set_order(f"o-{number}")
    first = await page(till)
    flash.fault("status", status=410, times=1, method="GET", path="^/orders")
    shown = [each async for each in pages(till, first)]
    assert {order["upstreamOrderId"] for each in shown for order in each["orders"]} == {f"o-{n}" for n in range(450)}
    assert [seen.status for seen in reads(flash)] == [200, 410, 200, 200]
    assert reads(flash)[2].request.query["updatedSince"] == first["orders"][-1]["updatedAt"]


async def test_a_place_outlives_a_restart(tmp_path, flash):
    for number in range(250):
        flash.state.set_order(f"o-{number}")
    async with running(tmp_path, settings(flash.base_url)) as till:
        first = await page(till)
    async with running(tmp_path, settings(flash.base_url)) as till:
        second = await page(till, f"{FEED}?cursor={first['nextCursor']}")
    assert len(first["orders"]) + len(second["orders"]) == 250


async def test_more_changes_in_one_moment_than_fit_on_a_page_are_said(till, flash):
    flash.set(cursors=False)
    moment = flash.state.now()
    flash.state.now = lambda: moment
    for number in range(201):
        flash.state.set_order(f"o-{number}")
    first = await page(till)
    second = await page(till, f"{FEED}?cursor={first['nextCursor']}")
    assert (second["stuckAt"], second["nextCursor"]) == (moment, None)


@pytest.mark.parametrize(
    "query",
    ["", "?updatedSince=", "?updatedSince=2026-11-22", "?updatedSince=2026-11-22T00:00:00", "?cursor=", "?cursor=e30",
     "?cursor=WyJhIiwiYiIsbnVsbF0", "?cursor=a/b", "?updatedSince=0001-01-01T00:00:00%2B14:00",
     f"?cursor={'A' * 5000}"],
)  # fmt: skip
async def test_what_names_no_place_is_refused(till, flash, query):
    refused = await page(till, f"{FEED}{query}", 422)
    assert refused["errors"][0]["field"] in {"updatedSince", "cursor"}
    assert reads(flash) == []


async def test_a_pause_that_flash_asks_for_is_kept_and_told(till, flash):
    flash.fault("status", status=429, retry_after=2, times=1, method="GET", path="^/orders")
    began = time.monotonic()
    refused = await page(till, status=503)
    assert refused["code"] == "flash-throttled"
    again = await till.call("GET", SINCE, scope="operator")
    assert (again.status, again.headers["Retry-After"]) in {(503, "1"), (503, "2")}
    assert len(reads(flash)) == 1  # not asked within the pause

    async def is_over():
        return (await till.call("GET", SINCE, scope="operator")).status == 200

    await until(is_over)
    assert time.monotonic() - began >= 2


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"name": "status", "status": 401}, "flash-key-refused"),
        ({"name": "status", "status": 403}, "flash-key-refused"),
        ({"name": "status", "status": 404}, "flash-has-no-feed"),
        ({"name": "status", "status": 422}, "flash-unexpected"),
        ({"name": "status", "status": 500}, "flash-offline"),
        ({"name": "captive-portal"}, "flash-offline"),
        ({"name": "empty-200"}, "flash-offline"),
        ({"name": "drop-before-commit"}, "flash-offline"),
        ({"name": "status", "status": 200, "body": {"data": {}}}, "flash-unexpected"),
    ],
)
async def test_why_flash_was_not_understood_is_said(till, flash, fault, code):
    flash.fault(**fault, method="GET", path="^/orders")
    refused = await till.call("GET", SINCE, scope="operator")
    assert (refused.status, refused.json["code"]) == (503, code)
    assert int(refused.headers["Retry-After"]) > 0


async def test_nothing_leaves_in_a_drill_or_on_a_dead_line(till, flash):
    await till.call("POST", "/v1/drill", {"minutes": 1}, scope="operator")
    assert (await page(till, status=503))["code"] == "flash-not-asked"
    await till.call("DELETE", "/v1/drill", scope="operator")
    assert reads(flash) == []
    flash.stop()
    assert (await page(till, status=503))["code"] == "flash-offline"
    flash.start()

    async def is_back():
        return (await till.call("GET", SINCE, scope="operator")).status == 200

    await until(is_back)  # the asking itself finds the way


async def test_a_register_that_waits_goes_first(till, flash):
    """A read of the feed stands aside while a cashier waits for Flash."""
    flash.fault("latency", ms=1500, times=1, method="POST")
    sale = asyncio.create_task(till.sell("1", 5, wait=10))
    assert await asyncio.to_thread(flash.wait_for, lambda server: server.in_flight)
    answer = await page(till)
    assert [order["upstreamOrderId"] for order in answer["orders"]] == ["1"]  # read after it
    assert (await sale).json["status"] == "succeeded"
