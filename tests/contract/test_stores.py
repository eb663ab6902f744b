"""Stores: master data that the operator sends, upserts that follow each other in the order in which they came."""

import json

import pytest

from agent.sandbox import Sandbox
from tests.support.agents import running, settings, strict_flash, until

DOWNTOWN = {"externalId": "S-18", "name": "Downtown", "city": "New York"}


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def offline(tmp_path):
    async with running(tmp_path) as register:
        yield register


@pytest.fixture
async def online(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        yield register


async def post(register, body=DOWNTOWN, *, scope="operator", wait=None, **headers):
    if wait:
        headers["Prefer"] = f"wait={wait}"
    return await register.call("POST", "/v1/stores", body, scope=scope, **headers)


def sent(flash):
    return [seen.request for seen in flash.requests if seen.request.route == "POST /stores"]


async def test_a_store_settles_with_flashs_own_id(online, flash):
    answer = await post(online, wait=10)
    assert (answer.status, answer.json["kind"], answer.json["status"]) == (200, "store", "succeeded")
    assert answer.json["result"]["id"] == flash.state.tenant("t1").stores[answer.json["result"]["id"]]["id"]
    assert answer.json["receipt"] == []
    assert [request.json for request in sent(flash)] == [DOWNTOWN]
    assert flash.violations == []


async def test_what_was_sent_is_shown(offline):
    answer = await post(offline, {**DOWNTOWN, "metadata": {"from": "erp"}})
    assert answer.status == 202
    assert answer.json["request"] == DOWNTOWN
    assert answer.json["metadata"] == {"from": "erp"}


async def test_a_b_a_are_three_operations_and_b_twice_is_one(online, flash):
    b = {**DOWNTOWN, "name": "Downtown Flagship"}
    answers = [await post(online, body) for body in (DOWNTOWN, DOWNTOWN, b, b, DOWNTOWN, DOWNTOWN)]
    assert len({answer.json["id"] for answer in answers}) == 3
    replayed = [answer.headers.get("Idempotency-Replayed") for answer in answers]
    assert replayed == [None, "true", None, "true", None, "true"]
    assert len({answer.json["idempotencyKey"] for answer in answers}) == 3
    await online.settled(answers[-1].json["id"])
    assert [request.json["name"] for request in sent(flash)] == ["Downtown", "Downtown Flagship", "Downtown"]
    (store,) = (row for row in flash.state.tenant("t1").stores.values() if row.get("externalId") == "S-18")
    assert store["name"] == "Downtown"
    assert flash.violations == []


async def test_a_later_one_waits_for_the_earlier_ones_of_its_store_alone(offline):
    first = await post(offline)
    second = await post(offline, {**DOWNTOWN, "name": "B"})
    other = await post(offline, {**DOWNTOWN, "externalId": "S-19"})
    assert second.json["waitingFor"] == [first.json["id"]]
    assert (first.json["waitingFor"], other.json["waitingFor"]) == ([], [])


async def test_a_newer_one_supersedes_one_that_failed(online, flash):
    flash.fault("status", status=422, method="POST", path="/stores", times=1)
    failed = await post(online, wait=10)
    assert (failed.status, failed.json["status"], failed.json["error"]["code"]) == (200, "failed", "validation")
    better = await post(online, {**DOWNTOWN, "city": "Boston"}, wait=10)
    assert better.json["status"] == "succeeded"
    superseded = await online.operation(failed.json["id"])
    assert superseded["status"] == "discarded"
    assert "superseded" in superseded["error"]["detail"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["externalId", "name"]),
        ({**DOWNTOWN, "externalId": ".."}, ["externalId"]),
        ({**DOWNTOWN, "name": 7}, ["name"]),
        ({**DOWNTOWN, "city": "x" * 1001}, ["city"]),
    ],
)
async def test_bad_ones_are_refused_with_every_fault_and_not_stored(offline, body, fields):
    answer = await post(offline, body)
    assert (answer.status, answer.json["code"], answer.json["stored"]) == (422, "validation", False)
    assert [fault["field"] for fault in answer.json["errors"]] == fields
    assert (await offline.call("GET", "/v1/operations")).json["operations"] == []


async def test_unknown_fields_are_named_or_refused_where_one_is_strict(offline):
    body = {**DOWNTOWN, "manager": "Ada"}
    refused = await post(offline, body, Prefer="handling=strict")
    assert refused.status == 422
    taken = await post(offline, body)
    assert "manager" in taken.json["warnings"][0]
    assert "Ada" not in json.dumps(taken.json)


async def test_stores_are_the_operators_alone(offline):
    answer = await post(offline, scope="register")
    assert (answer.status, answer.json["code"]) == (403, "forbidden")


async def test_the_stand_in_takes_them_too(tmp_path):
    async with Sandbox() as sandbox:
        chosen = settings(sandbox.base_url, flash={"write_key": sandbox.write_key})
        async with running(tmp_path, chosen) as register:
            first = await post(register, wait=10)
            second = await post(register, {**DOWNTOWN, "city": "Boston"}, wait=10)
    assert first.json["status"] == second.json["status"] == "succeeded"
    assert first.json["result"]["id"] == second.json["result"]["id"]
    assert second.json["result"]["city"] == "Boston"


async def test_an_outage_keeps_them_in_order(tmp_path, flash):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        for name in ("A", "B", "C"):
            last = await post(register, {**DOWNTOWN, "name": name})
        flash.start()

        async def is_there():
            return (await register.operation(last.json["id"]))["status"] == "succeeded"

        await until(is_there)
    assert [request.json["name"] for request in sent(flash)][-3:] == ["A", "B", "C"]
    assert flash.violations == []
