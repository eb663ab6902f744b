"""Refused and changed keys: what they hold, what goes on, and what lets the queue flow again."""

import asyncio
import time

import pytest

from tests.support.agents import running, settings, strict_flash, until


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


async def sell(register, count):
    answers = [await register.sell(f"o{number}", 20 * number) for number in range(count)]
    assert {answer.status for answer in answers} == {202}
    return {answer.json["request"]["externalOrderId"]: answer.json["id"] for answer in answers}


async def all_settled(register):
    async def none_pending():
        return (await register.status())["pending"] == 0

    await until(none_pending, 30)


async def assert_each_counted_once(register, flash, sold):
    await all_settled(register)
    assert flash.awards == dict.fromkeys(sold, 1)
    assert {(await register.operation(each))["status"] for each in sold.values()} == {"succeeded"}
    assert flash.violations == []


async def test_a_refused_key_holds_the_sending_and_nothing_else(tmp_path, flash):
    flash.revoke("fl_live_test_write_0001")
    async with running(tmp_path, settings(flash.base_url)) as register:
        sold = [(await register.sell("1", wait=5)).json["id"]]
        began = time.monotonic()
        sold.append((await register.sell("2", wait=30)).json["id"])
        refund = await register.call("POST", "/v1/refunds", {"externalOrderId": "1", "refundId": "r", "amount": 20})
        member = await register.call("POST", "/v1/enrollments", {"externalId": "C9"}, Prefer="wait=30")
        assert time.monotonic() - began < 5
        assert [refund.status, member.status] == [202, 202]
        assert (await register.status())["connectivity"] == "unauthorized"
        assert "flash-key-refused" in await register.conditions()
        assert flash.counters["requests"] <= 4
    flash.add_key("fl_live_test_write_0002", "t1")
    async with running(tmp_path, settings(flash.base_url, flash={"write_key": "fl_live_test_write_0002"})) as register:
        await all_settled(register)
        assert await register.conditions() <= {"loopback-partial", "disk-low"}
        assert [(await register.operation(operation_id))["status"] for operation_id in sold] == ["succeeded"] * 2
    assert flash.awards == {"1": 1, "2": 1}


async def test_an_answer_to_the_read_key_releases_no_write_key(tmp_path, flash):
    flash.add_key("fl_live_test_read_0001", "t1", scope="read")
    flash.revoke("fl_live_test_write_0001")
    chosen = settings(flash.base_url, flash={"read_key": "fl_live_test_read_0001"})
    async with running(tmp_path, chosen) as register:
        await register.sell("1", wait=5)
        assert (await register.status())["connectivity"] == "unauthorized"
        tried = [seen.request.below for seen in flash.requests if seen.request.write]
        found = await register.call("GET", "/v1/members?externalId=POS-CUST-5512")
        assert (found.status, found.json["source"]) == (200, "flash")
        assert (await register.status())["connectivity"] == "unauthorized"
        assert (await register.sell("2", wait=5)).status == 202
        assert [seen.request.below for seen in flash.requests if seen.request.write] == tried


async def test_a_key_of_another_tenant_does_not_drain_the_queue(tmp_path, flash):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        sold = await sell(register, 3)
    flash.start()
    flash.add_key("fl_live_test_stranger_1", "t2")
    foreign = settings(flash.base_url, flash={"write_key": "fl_live_test_stranger_1"}, relay={"hold_probe_s": 0.1})
    async with running(tmp_path, foreign) as register:
        sold["o3"] = (await register.sell("o3", 60, wait=5)).json["id"]
        assert await asyncio.to_thread(flash.wait_for, lambda seen: seen.counters["requests"] >= 4)
        assert "flash-key-unverified" in await register.conditions()
        assert (await register.status())["pending"] == 4
        assert not [seen for seen in flash.requests if seen.request.write]
    async with running(tmp_path, settings(flash.base_url)) as register:
        await assert_each_counted_once(register, flash, sold)


async def test_a_key_that_may_not_read_stores_waits_for_the_operators_word(tmp_path, flash):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        sold = await sell(register, 3)
    flash.start()
    flash.add_key("fl_live_test_write_0002", "t1")
    flash.deny("fl_live_test_write_0002", "GET /stores")
    chosen = settings(flash.base_url, flash={"write_key": "fl_live_test_write_0002"}, relay={"hold_probe_s": 0.1})
    async with running(tmp_path, chosen) as register:
        assert await asyncio.to_thread(flash.wait_for, lambda seen: seen.counters["requests"] >= 2)
        assert "flash-key-unverified" in await register.conditions()
        assert flash.effects == []
        assert (await register.call("POST", "/v1/key/confirm")).status == 403
        assert (await register.call("POST", "/v1/key/confirm", scope="operator")).status == 200
        await assert_each_counted_once(register, flash, sold)
        assert "flash-key-unverified" not in await register.conditions()


async def test_a_403_holds_one_endpoint_only(tmp_path, flash):
    flash.deny("fl_live_test_write_0001", "POST /orders", "POST /orders/batch")
    async with running(tmp_path, settings(flash.base_url, relay={"hold_probe_s": 0.3})) as register:
        sale = await register.sell(wait=5)
        assert sale.json["status"] == "pending"
        member = await register.call("POST", "/v1/enrollments", {"externalId": "C9"}, Prefer="wait=10")
        assert member.json["status"] == "succeeded"
        assert (await register.status())["connectivity"] == "online"
        assert "flash-endpoint-refused" in await register.conditions()
        assert "flash-key-refused" not in await register.conditions()
        flash.allow("fl_live_test_write_0001")
        assert (await register.settled(sale.json["id"]))["status"] == "succeeded"
        assert "flash-endpoint-refused" not in await register.conditions()
