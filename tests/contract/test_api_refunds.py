"""Refunds: they follow their sale, never exceed it, and each counts once."""

import json
from decimal import Decimal

import pytest

from tests.support.agents import running, settings, strict_flash


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path) as offline:
        yield offline


@pytest.fixture
async def online(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        yield register


async def refund(register, refund_id="r1", order="90871", *, wait=None, key=None, strict=False, **fields):
    prefer = ", ".join(([f"wait={wait}"] if wait else []) + (["handling=strict"] if strict else []))
    headers = ({"Prefer": prefer} if prefer else {}) | ({"Idempotency_Key": key} if key else {})
    body = {"externalOrderId": order, "refundId": refund_id, **fields}
    return await register.call("POST", "/v1/refunds", body, **headers)


def faults(answer):
    assert (answer.status, answer.json["code"], answer.json["stored"]) == (422, "validation", False), answer
    return [fault["field"] for fault in answer.json["errors"]]


async def kinds(register):
    return [o["kind"] for o in (await register.call("GET", "/v1/operations")).json["operations"]]


async def test_an_accepted_refund_is_shown_with_every_key(register):
    sale = await register.sell()
    answer = await refund(register, amount="20.00", reason="too small", metadata={"lane": 4})
    assert answer.status == 202
    assert answer.json.keys() == sale.json.keys()
    assert "Location" not in answer.headers
    assert (answer.json["kind"], answer.json["status"]) == ("refund", "pending")
    assert answer.json["waitingFor"] == [sale.json["id"]]
    assert answer.json["upstreamOrderId"] == "90871"
    assert answer.json["metadata"] == {"lane": 4}
    assert Decimal(str(answer.json["request"]["amount"])) == 20


async def test_a_refund_settles_within_the_wait(online, flash):
    await online.sell(wait=10)
    answer = await refund(online, amount=60, reason="too small", wait=10)
    assert (answer.status, answer.json["status"]) == (200, "succeeded")
    assert answer.json["result"] == {"clawedBack": 3, "balance": 1817}
    assert answer.json["receipt"][-1] == "Balance: 1,817"
    (sent,) = [seen.request for seen in flash.requests if seen.request.below == "/orders/90871/refund"]
    assert sent.json == {"refundId": "r1", "amount": 60, "reason": "too small"}
    assert sent.key == answer.json["idempotencyKey"]
    assert flash.violations == []


async def test_a_refund_follows_its_sale(tmp_path, flash):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        sale = await register.sell()
        given = await refund(register)
        flash.start()
        assert (await register.settled(given.json["id"]))["status"] == "succeeded"
        assert (await register.operation(sale.json["id"]))["status"] == "succeeded"
    assert [effect["kind"] for effect in flash.effects] == ["award", "refund"]
    assert not [seen for seen in flash.requests if seen.status == 404]
    assert flash.violations == []


async def test_sent_again_it_counts_once(online, flash):
    await online.sell(wait=10)
    first = await refund(online, amount="20", wait=10)
    for amount in ("20.00", 20.0):
        again = await refund(online, amount=amount, wait=10)
        assert (again.status, again.json["id"]) == (200, first.json["id"])
        assert again.headers["Idempotency-Replayed"] == "true"
    assert flash.doubles() == {}
    assert len([effect for effect in flash.effects if effect["kind"] == "refund"]) == 1


async def test_the_rest_refunded_again_is_a_replay(register):
    await register.sell()
    first = await refund(register)
    again = await refund(register)
    assert (again.status, again.json["id"], again.json["replayed"]) == (202, first.json["id"], True)
    assert again.json["request"]["amount"] == 120


async def test_another_amount_is_a_conflict(register):
    await register.sell()
    first = await refund(register, amount=20)
    answer = await refund(register, amount=30)
    assert (answer.status, answer.json["code"]) == (409, "refund-conflict")
    assert answer.json["operation"]["id"] == first.json["id"]
    assert answer.json["stored"] is False


async def test_the_registers_own_key(register):
    await register.sell()
    first = await refund(register, amount=20, key="k-1")
    again = await refund(register, amount=20, key="k-1")
    assert (again.json["id"], again.json["replayed"]) == (first.json["id"], True)
    for other in ({"amount": 30}, {"refund_id": "r2", "amount": 20}):
        answer = await refund(register, key="k-1", **other)
        assert (answer.status, answer.json["code"]) == (409, "idempotency-conflict"), other
        assert answer.json["operation"]["id"] == first.json["id"]


async def test_one_refund_id_of_two_sales_is_two_refunds(register):
    await register.sell("1")
    await register.sell("2")
    first, second = await refund(register, order="1"), await refund(register, order="2")
    assert first.json["id"] != second.json["id"]
    assert first.json["idempotencyKey"] != second.json["idempotencyKey"]


async def test_another_reason_is_a_replay_that_says_so(register):
    await register.sell()
    await refund(register, amount=20, reason="too small")
    again = await refund(register, amount=20, reason="too big")
    assert (again.status, again.json["replayed"]) == (202, True)
    assert "reason" in " ".join(again.json["warnings"])


async def test_without_an_amount_what_is_left_is_fixed_when_it_is_accepted(online, flash):
    await online.sell(wait=10)
    await refund(online, "r1", amount="20.50", wait=10)
    rest = await refund(online, "r2", wait=10)
    assert rest.json["status"] == "succeeded"
    assert Decimal(str(rest.json["request"]["amount"])) == Decimal("99.50")
    (sent,) = [seen.request.json for seen in flash.requests if seen.request.json and b'"r2"' in seen.request.body]
    assert sent["amount"] == Decimal("99.50")
    assert flash.violations == []


async def test_a_part_and_the_rest_offline_are_the_whole_in_any_order(tmp_path, flash):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        await register.sell(amount="119.99")
        given = [await refund(register, "r1", amount="19.98"), await refund(register, "r2")]
        assert faults(await refund(register, "r3")) == ["amount"]
        flash.start()
        for each in given:
            assert (await register.settled(each.json["id"]))["status"] == "succeeded"
    assert sorted(e["row"]["amount"] for e in flash.effects if e["kind"] == "refund") == ["100.01", "19.98"]


async def test_more_than_is_left_is_refused(register):
    await register.sell()
    assert faults(await refund(register, "r1", amount="120.01")) == ["amount"]
    assert (await refund(register, "r1", amount=100)).status == 202
    assert faults(await refund(register, "r2", amount="20.01")) == ["amount"]
    assert (await refund(register, "r2", amount=20)).status == 202
    assert faults(await refund(register, "r3", amount="0.01")) == ["amount"]
    assert faults(await refund(register, "r3")) == ["amount"]
    assert (await refund(register, "r1", amount=100)).json["replayed"] is True
    assert await kinds(register) == ["refund", "refund", "sale"]


async def test_a_discarded_refund_gives_its_amount_back(register):
    await register.sell()
    first = await refund(register, "r1")
    await register.call("POST", f"{first.json['href']}/discard", {"reason": "mistyped"}, scope="operator")
    corrected = await refund(register, "r1", amount=50)
    assert (corrected.status, corrected.json["replayed"]) == (202, False)
    assert corrected.json["idempotencyKey"] != first.json["idempotencyKey"]
    assert Decimal(str((await refund(register, "r2")).json["request"]["amount"])) == 70


BAD = {
    "zero": ({"amount": 0}, "amount"),
    "negative": ({"amount": -5}, "amount"),
    "three decimals": ({"amount": "1.001"}, "amount"),
    "text": ({"amount": "all"}, "amount"),
    "no id": ({"refundId": ""}, "refundId"),
    "dots": ({"refundId": ".."}, "refundId"),
    "dots as order": ({"externalOrderId": ".."}, "externalOrderId"),
    "dots as upstream order": ({"orderRef": {"upstreamOrderId": ".."}}, "orderRef.upstreamOrderId"),
    "empty reference": ({"orderRef": {}}, "orderRef"),
    "no boolean": ({"ifKnown": "yes"}, "ifKnown"),
    "reason": ({"reason": 7}, "reason"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_refused_by_field(register, name):
    wrong, field = BAD[name]
    body = {"externalOrderId": "90871", "refundId": "r1", **wrong}
    assert faults(await register.call("POST", "/v1/refunds", body)) == [field]
    assert await kinds(register) == []


async def test_unknown_fields_are_named_or_refused(register):
    await register.sell()
    answer = await refund(register, "r1", amount=1, mood="fine", orderRef={"upstreamOrderId": "90871", "x": 1})
    assert answer.status == 202
    assert "mood" in " ".join(answer.json["warnings"])
    assert "orderRef.x" in " ".join(answer.json["warnings"])
    assert faults(await refund(register, "r2", amount=1, mood="fine", strict=True)) == ["mood"]


async def test_card_numbers_are_masked_before_anything_is_kept_or_sent(online, flash):
    await online.sell("4111111111111111", wait=10)
    numbers = "card 4111 1111 1111 1111 or 5500-0000-0000-0004, till 1234567890123"
    answer = await refund(online, order="4111111111111111", amount=1, reason=numbers, wait=10)
    assert answer.json["status"] == "succeeded"
    (sent,) = [seen.request.json for seen in flash.requests if "refund" in seen.request.below]
    for text in (sent["reason"], answer.json["request"]["reason"]):
        assert "4111 1111" not in text
        assert "5500" not in text
        assert text.endswith("0004, till 1234567890123")
    assert answer.json["upstreamOrderId"] == "4111111111111111"


async def test_an_unknown_sale_is_waited_for_unless_the_register_says_otherwise(online, flash):
    waits = await refund(online, "r1", "elsewhere", amount=5, wait=10)
    assert (waits.status, waits.json["status"]) == (202, "pending")
    assert waits.json["error"]["code"] == "order-unknown"
    ends = await refund(online, "r2", "elsewhere", amount=5, ifKnown=True, wait=10)
    assert (ends.status, ends.json["status"], ends.json["error"]["code"]) == (200, "declined", "order-unknown")
    assert all("ifKnown" not in seen.request.json for seen in flash.requests if seen.request.write)


async def test_a_refund_that_came_before_its_sale_begins_anew_once_the_sale_is_known(online, flash):
    """Documents come in any order: first the return, declined since nobody knew its sale, then both together."""
    early = await refund(online, "r1", amount=60, ifKnown=True, wait=10)
    assert (early.json["status"], early.json["error"]["code"]) == ("declined", "order-unknown")
    again = await refund(online, "r1", amount=60, ifKnown=True)
    assert (again.json["id"], again.json["replayed"]) == (early.json["id"], True)  # still nobody knows it
    await online.sell(wait=10)
    anew = await refund(online, "r1", amount=60, ifKnown=True, wait=10)
    assert anew.json["id"] != early.json["id"]
    assert (anew.json["status"], anew.json["result"]["clawedBack"] > 0) == ("succeeded", True)
    replay = await refund(online, "r1", amount=60, ifKnown=True)
    assert (replay.json["id"], replay.json["replayed"]) == (anew.json["id"], True)
    assert flash.violations == []


async def test_if_known_waits_all_the_same_for_a_sale_that_this_till_knows(tmp_path, flash):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        await register.sell()
        given = await refund(register, ifKnown=True)
        flash.start()
        assert (await register.settled(given.json["id"]))["status"] == "succeeded"


async def test_an_unknown_sales_refund_without_an_amount_goes_without_one(online, flash):
    answer = await refund(online, "r1", "elsewhere", wait=10)
    assert "amount" not in answer.json["request"]
    (sent, *_) = [seen.request.json for seen in flash.requests if seen.request.write]
    assert sent == {"refundId": "r1"}


async def test_upstream_goes_what_flash_documents_and_nothing_else(online, flash):
    await online.sell(wait=10)
    more = {"metadata": {"note": "canary"}, "businessDate": "2026-11-22", "currency": "USD"}
    answer = await refund(online, amount=5, wait=10, key="request-key-canary", **more)
    assert answer.json["status"] == "succeeded"
    sent = [seen.request for seen in flash.requests if "refund" in seen.request.below]
    assert [request.json for request in sent] == [{"refundId": "r1", "amount": 5}]
    assert "canary" not in json.dumps([request.headers for request in sent])
    assert answer.json["metadata"] == {"note": "canary"}
