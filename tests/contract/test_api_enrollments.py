"""Enrollments: upserts that follow each other, go before the sales of their member, and keep consent honest."""

import json

import pytest

from tests.support.agents import running, settings, strict_flash

ADA = {"externalId": "C-1", "email": "ada.l@example.com", "fullName": "Ada Lovelace"}


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


async def enroll(register, body=ADA, *, wait=None, key=None, **fields):
    headers = ({"Prefer": f"wait={wait}"} if wait else {}) | ({"Idempotency_Key": key} if key else {})
    return await register.call("POST", "/v1/enrollments", {**body, **fields}, **headers)


def members_sent(flash):
    return [seen.request.json for seen in flash.requests if seen.request.below == "/members"]


def faults(answer):
    assert (answer.status, answer.json["code"], answer.json["stored"]) == (422, "validation", False), answer
    return [fault["field"] for fault in answer.json["errors"]]


async def test_an_accepted_enrollment_is_shown_with_every_key_and_nothing_personal(register):
    sale = await register.sell()
    answer = await enroll(register, phone="+49 170 5550199", metadata={"lane": 4})
    assert answer.status == 202
    assert answer.json.keys() == sale.json.keys()
    assert "Location" not in answer.headers
    assert (answer.json["kind"], answer.json["status"]) == ("enrollment", "pending")
    assert answer.json["metadata"] == {"lane": 4}
    assert answer.json["upstreamOrderId"] is None
    for secret in ("ada.l", "Lovelace", "5550199", "C-1"):
        assert secret not in json.dumps(answer.json)
        assert secret not in json.dumps(await register.operation(answer.json["id"]))


async def test_an_enrollment_settles_within_the_wait_and_its_result_is_flashs(online, flash):
    answer = await enroll(online, wait=10)
    assert (answer.status, answer.json["status"]) == (200, "succeeded")
    assert answer.json["result"]["id"].startswith("mem_")
    assert members_sent(flash) == [ADA]
    (sent,) = [seen.request for seen in flash.requests if seen.request.write]
    assert sent.key == answer.json["idempotencyKey"]
    assert "C-1" not in sent.key
    assert "@" not in sent.key  # its digits may spell a name by chance
    assert flash.violations == []


async def test_either_key_alone_is_enough(online, flash):
    for body in ({"externalId": "C-2"}, {"email": "only@example.com"}):
        assert (await enroll(online, body, wait=10)).json["status"] == "succeeded"
    assert members_sent(flash) == [{"externalId": "C-2"}, {"email": "only@example.com"}]


async def test_the_same_twice_is_one(online, flash):
    first = await enroll(online, wait=10)
    again = await enroll(online, wait=10)
    assert (again.status, again.json["id"]) == (200, first.json["id"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["replayed"] is True
    assert len(members_sent(flash)) == 1


async def test_an_address_in_another_case_is_the_same_payload(register):
    first = await enroll(register)
    again = await enroll(register, email=ADA["email"].upper())
    assert (again.json["id"], again.json["replayed"]) == (first.json["id"], True)


async def test_fields_in_another_order_are_the_same_payload(register):
    first = await enroll(register)
    again = await enroll(register, dict(reversed(ADA.items())))
    assert (again.json["id"], again.json["replayed"]) == (first.json["id"], True)


async def test_a_b_a_are_three_in_their_order(tmp_path, flash):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        answers = [await enroll(register, fullName=name) for name in ("A", "B", "A")]
        ids = [answer.json["id"] for answer in answers]
        assert len(set(ids)) == 3
        assert len({answer.json["idempotencyKey"] for answer in answers}) == 3
        assert answers[1].json["waitingFor"] == ids[:1]
        assert answers[2].json["waitingFor"]
        flash.start()
        for operation_id in ids:
            assert (await register.settled(operation_id))["status"] == "succeeded"
    assert [e["row"]["fullName"] for e in flash.effects] == ["A", "B", "A"]
    assert flash.violations == []


async def test_a_settled_upsert_with_another_payload_is_a_new_one_too(online, flash):
    ids = [(await enroll(online, fullName=name, wait=10)).json["id"] for name in ("A", "B", "B", "A")]
    assert len(set(ids)) == 3
    assert ids[1] == ids[2]
    assert [body["fullName"] for body in members_sent(flash)] == ["A", "B", "A"]
    assert flash.violations == []


async def test_a_newer_one_supersedes_a_failed_one(online, flash):
    flash.fault("status", status=422, path="^/members$", times=1)
    failed = await enroll(online, fullName="A", wait=10)
    assert failed.json["status"] == "failed"
    newer = await enroll(online, fullName="B", wait=10)
    assert newer.json["status"] == "succeeded"
    old = await online.operation(failed.json["id"])
    assert old["status"] == "discarded"
    assert "superseded" in old["error"]["detail"]
    assert "operations-failed" not in await online.conditions()
    assert (await online.status())["failed"] == 0


async def test_sales_that_waited_for_a_failed_one_follow_the_newer_one(online, flash):
    flash.fault("status", status=422, path="^/members$", times=1)
    await enroll(online, fullName="A", wait=10)
    sale = await online.sell(customer={"externalId": "C-1"})
    assert sale.json["waitingFor"]
    await enroll(online, fullName="B", wait=10)
    settled = await online.settled(sale.json["id"])
    assert settled["status"] == "succeeded"


async def test_the_registers_own_key(register):
    first = await enroll(register, key="k-1")
    again = await enroll(register, key="k-1")
    assert (again.json["id"], again.json["replayed"]) == (first.json["id"], True)
    answer = await enroll(register, fullName="Augusta", key="k-1")
    assert (answer.status, answer.json["code"]) == (409, "idempotency-conflict")
    assert answer.json["operation"]["id"] == first.json["id"]


async def test_a_late_resend_under_its_own_key_changes_nothing(online, flash):
    """A, B, and a delayed copy of A: the copy's key says that it is the first one."""
    first = await enroll(online, fullName="A", key="k-a", wait=10)
    await enroll(online, fullName="B", key="k-b", wait=10)
    late = await enroll(online, fullName="A", key="k-a", wait=10)
    assert (late.status, late.json["id"], late.json["replayed"]) == (200, first.json["id"], True)
    assert [body["fullName"] for body in members_sent(flash)] == ["A", "B"]


async def test_addresses_are_compared_without_regard_to_case(tmp_path, flash):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        first = await enroll(register, {"email": "Ada.L@Example.com"})
        second = await enroll(register, {"email": " ada.l@example.COM ", "fullName": "Ada"})
        assert second.json["waitingFor"] == [first.json["id"]]
        sale = await register.sell(customer={"email": "ADA.L@EXAMPLE.COM"})
        assert set(sale.json["waitingFor"]) == {first.json["id"], second.json["id"]}
        flash.start()
        assert (await register.settled(sale.json["id"]))["result"]["awarded"] == 6


async def test_consent_is_carried_only_as_an_explicit_yes(online, flash):
    moment = "2026-11-22T10:00:00+01:00"
    yes = {"marketingConsent": True, "marketingConsentAt": moment}
    cases = {
        "yes": (yes, yes),
        "no": ({"marketingConsent": False, "marketingConsentAt": moment}, {}),
        "null": ({"marketingConsent": None}, {}),
        "time": ({"marketingConsentAt": moment}, {}),
        "none": ({}, {}),
    }
    for name, (given, sent) in cases.items():
        assert (await enroll(online, {"externalId": name}, wait=10, **given)).json["status"] == "succeeded", name
        assert members_sent(flash)[-1] == {"externalId": name, **sent}
    assert flash.violations == []


BAD = {
    "nobody": ({"fullName": "Ada"}, "externalId"),
    "empty": ({}, "externalId"),
    "dots": ({"externalId": ".."}, "externalId"),
    "number": ({"externalId": 7}, "externalId"),
    "no address": ({"email": "ada"}, "email"),
    "two addresses": ({"email": "ada@example.com eve@example.com"}, "email"),
    "consent text": ({"externalId": "C", "marketingConsent": "yes"}, "marketingConsent"),
    "consent untimed": ({"externalId": "C", "marketingConsent": True}, None),
    "consent time": ({"externalId": "C", "marketingConsentAt": "yesterday"}, "marketingConsentAt"),
    "name": ({"externalId": "C", "fullName": "x" * 1001}, "fullName"),
    "phone": ({"externalId": "C", "phone": 49}, "phone"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_refused_and_not_repeated(register, name):
    body, field = BAD[name]
    answer = await register.call("POST", "/v1/enrollments", body)
    named = faults(answer)
    assert len(named) == 1
    assert field is None or named == [field]
    assert "example.com eve" not in json.dumps(answer.json)
    assert (await register.call("GET", "/v1/operations")).json["operations"] == []


async def test_unknown_fields_are_named_or_refused(register):
    answer = await enroll(register, shoeSize=41)
    assert answer.status == 202
    assert "shoeSize" in " ".join(answer.json["warnings"])
    body = {**ADA, "shoeSize": 41}
    assert faults(await register.call("POST", "/v1/enrollments", body, Prefer="handling=strict")) == ["shoeSize"]


async def test_card_numbers_in_a_name_are_masked(online, flash):
    answer = await enroll(online, fullName="Ada 4111111111111111 Lovelace", wait=10)
    assert answer.json["status"] == "succeeded"
    (sent,) = members_sent(flash)
    assert sent["fullName"] == "Ada ************1111 Lovelace"
    assert "4111111111111111" not in json.dumps(answer.json)


async def test_ids_that_look_like_cards_are_left_alone(online, flash):
    await enroll(online, {"externalId": "4111111111111111"}, wait=10)
    assert members_sent(flash) == [{"externalId": "4111111111111111"}]


async def test_metadata_and_the_registers_key_stay_here(online, flash):
    answer = await enroll(online, metadata={"note": "canary"}, key="canary-key", wait=10)
    assert answer.json["metadata"] == {"note": "canary"}
    again = await enroll(online, metadata={"note": "other"})
    assert (again.json["id"], again.json["metadata"]) == (answer.json["id"], {"note": "canary"})
    (sent,) = [seen.request for seen in flash.requests if seen.request.write]
    assert b"canary" not in sent.body
    assert "canary" not in json.dumps(sent.headers)
