"""Sales that are refused: every fault named by its field, nothing stored."""

import json

import pytest

from tests.support.agents import running

SALE = {"externalOrderId": "90871", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120}


@pytest.fixture
async def register(tmp_path):
    """A register on an agent that has no line to Flash."""
    async with running(tmp_path) as offline:
        yield offline


async def stored(register):
    return (await register.call("GET", "/v1/operations")).json["operations"]


async def test_strict_handling_refuses_unknown_fields_and_stores_nothing(register):
    body = {**SALE, "cashierMood": "fine", "customer": {"externalId": "C", "nickname": "x"}}
    answer = await register.call("POST", "/v1/sales", body, Prefer="wait=1, handling=strict")
    assert (answer.status, answer.json["code"], answer.json["stored"]) == (422, "validation", False)
    assert {fault["field"] for fault in answer.json["errors"]} == {"cashierMood", "customer.nickname"}
    assert await stored(register) == []


BAD = {
    "negative": ({"totalAmount": -1}, "totalAmount"),
    "text": ({"totalAmount": "a lot"}, "totalAmount"),
    "comma": ({"totalAmount": "1,20"}, "totalAmount"),
    "boolean": ({"totalAmount": True}, "totalAmount"),
    "infinite": ({"totalAmount": "Infinity"}, "totalAmount"),
    "null": ({"totalAmount": None}, "totalAmount"),
    "three decimals": ({"totalAmount": "1.001"}, "totalAmount"),
    "decimals of yen": ({"totalAmount": "1.5", "currency": "JPY"}, "totalAmount"),
    "currency": ({"currency": "dollars"}, "currency"),
    "empty id": ({"externalOrderId": ""}, "externalOrderId"),
    "blank id": ({"externalOrderId": "  "}, "externalOrderId"),
    "dot": ({"externalOrderId": "."}, "externalOrderId"),
    "dots": ({"externalOrderId": ".."}, "externalOrderId"),
    "long id": ({"externalOrderId": "x" * 129}, "externalOrderId"),
    "control": ({"externalOrderId": "9\u00001"}, "externalOrderId"),
    "number id": ({"externalOrderId": 90871}, "externalOrderId"),
    "dots as store": ({"storeId": ".."}, "storeId"),
    "nobody": ({"customer": {}}, "customer"),
    "no object": ({"customer": "C1"}, "customer"),
    "empty key": ({"customer": {"externalId": ""}}, "customer.externalId"),
    "no address": ({"customer": {"email": "ada"}}, "customer.email"),
    "no date": ({"businessDate": "22.11.2026"}, "businessDate"),
    "no such day": ({"businessDate": "2026-02-30"}, "businessDate"),
    "no offset": ({"occurredAt": "2026-11-22T10:00:00"}, "occurredAt"),
    "metadata list": ({"metadata": [1]}, "metadata"),
    "metadata size": ({"metadata": {"note": "x" * 4096}}, "metadata"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_refused_by_field_and_stores_nothing(register, name):
    wrong, field = BAD[name]
    answer = await register.call("POST", "/v1/sales", {**SALE, **wrong})
    assert (answer.status, answer.json["code"]) == (422, "validation")
    assert (answer.json["stored"], answer.json["retryable"]) == (False, False)
    assert [fault["field"] for fault in answer.json["errors"]] == [field]
    assert all(fault["message"] for fault in answer.json["errors"])
    assert await stored(register) == []


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999999999"])
async def test_numbers_beyond_measure_are_refused(register, number):
    raw = json.dumps({**SALE, "totalAmount": "HERE"}).replace('"HERE"', number).encode()
    answer = await register.call("POST", "/v1/sales", raw=raw)
    assert answer.status in {400, 422}
    assert answer.json["stored"] is False
    assert await stored(register) == []


async def test_all_faults_are_named_at_once(register):
    answer = await register.call("POST", "/v1/sales", {"externalOrderId": "..", "totalAmount": -1, "customer": {}})
    assert answer.status == 422
    assert {fault["field"] for fault in answer.json["errors"]} == {"externalOrderId", "totalAmount", "customer"}


async def test_a_body_that_is_no_object_is_refused(register):
    for raw in (b"[]", b"null", b'"x"', b"7"):
        answer = await register.call("POST", "/v1/sales", raw=raw)
        assert (answer.status, answer.json["stored"]) == (422, False), raw


async def test_currencies_keep_their_own_decimals(register):
    assert (await register.sell("a", "1.234", currency="KWD")).status == 202
    assert (await register.sell("b", "1.000", currency="JPY")).status == 202
