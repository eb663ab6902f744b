"""How a refund names its sale, where order and refund numbers repeat or are odd."""

from decimal import Decimal

import pytest

from tests.support.agents import running, settings, strict_flash

DATED = {"orders": {"id_template": "{store_id}-{till_id}-{business_date}-{external_order_id}"}}
REFUND_DATED = {"orders": {"refund_id_template": "{business_date}-{refund_id}"}}


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


async def refund(register, refund_id, order, *, wait=None, **fields):
    headers = {"Prefer": f"wait={wait}"} if wait else {}
    body = {"externalOrderId": order, "refundId": refund_id, **fields}
    return await register.call("POST", "/v1/refunds", body, **headers)


def faults(answer):
    assert (answer.status, answer.json["code"], answer.json["stored"]) == (422, "validation", False), answer
    return [fault["field"] for fault in answer.json["errors"]]


async def test_where_numbers_repeat_a_refund_names_its_sale(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url, **DATED)) as register:
        monday = await register.sell("7", 120, wait=10, businessDate="2026-11-23")
        await register.sell("7", 80, wait=10, businessDate="2026-11-24")
        assert faults(await refund(register, "r1", "7")) == ["orderRef"]
        assert faults(await refund(register, "r1", "7", businessDate="2026-11-25")) == ["orderRef"]
        by_id = {"upstreamOrderId": monday.json["upstreamOrderId"]}
        first = await refund(register, "r1", "7", orderRef=by_id, amount=20, wait=10)
        by_day = {"storeId": "st_1", "tillId": "till-1", "businessDate": "2026-11-23"}
        second = await refund(register, "r2", "7", orderRef=by_day, wait=10)
        short = await refund(register, "r3", "7", orderRef={"businessDate": "2026-11-24"}, wait=10)
        listed = await register.call("GET", "/v1/operations?externalOrderId=7&kind=refund")
    upstream = [answer.json["upstreamOrderId"] for answer in (first, second, short)]
    assert upstream == [monday.json["upstreamOrderId"]] * 2 + ["st_1-till-1-2026-11-24-7"]
    assert [answer.json["status"] for answer in (first, second, short)] == ["succeeded"] * 3
    assert [Decimal(str(answer.json["request"]["amount"])) for answer in (second, short)] == [100, 80]
    assert len(listed.json["operations"]) == 3
    assert flash.violations == []


async def test_refund_numbers_that_repeat_are_told_apart_by_their_own_day(tmp_path):
    async with running(tmp_path, settings(**REFUND_DATED)) as register:
        await register.sell()
        assert faults(await refund(register, "1", "90871", amount=5)) == ["businessDate"]
        first = await refund(register, "1", "90871", amount=5, businessDate="2026-11-23")
        second = await refund(register, "1", "90871", amount=6, businessDate="2026-11-24")
        assert [first.status, second.status] == [202, 202]
        assert first.json["id"] != second.json["id"]


async def test_odd_order_ids_are_one_path_segment(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as online:
        for order in ("a/b", "a b%2e", "ü?x=1#y", "..a", "a;b&c", "🎁"):
            await online.sell(order, wait=10)
            answer = await refund(online, "r1", order, wait=10)
            assert answer.json["status"] == "succeeded", order
    assert flash.violations == []
