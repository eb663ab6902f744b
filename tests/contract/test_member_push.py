"""The push of a member master: customers of another system become members, and no consent comes or goes with them."""

import json

import pytest

from agent.sandbox import Sandbox
from tests.support.agents import running, settings, strict_flash

CONSENT = {"marketingConsent": True, "marketingConsentAt": "2026-03-14T09:26:53Z"}
ADA = {"externalId": "C-1", "email": "Ada.L@example.com", "fullName": "Ada Lovelace"}
PUSH = {"push_members": True}


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


async def push(register, *members):
    raw = b"".join(json.dumps({"kind": "member", "document": member}).encode() + b"\n" for member in members)
    headers = {"scope": "operator", "Content_Type": "application/x-ndjson"}
    answer = await register.call("POST", "/v1/documents/canonical", raw=raw, **headers)
    assert answer.status == 200, answer
    return answer.json["items"]


async def settled(register, items):
    return [await register.settled(item["operation"]["id"]) for item in items]


def sent(flash):
    """The members that were sent, one by one or in batches."""
    bodies = [seen.request.json for seen in flash.requests if seen.request.below.startswith("/members")]
    return [member for body in bodies if body for member in body.get("members", [body])]


async def test_unchanged_sends_nothing_and_changed_sends_again(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url, documents=PUSH)) as register:
        (first,) = await settled(register, await push(register, ADA))
        again = await push(register, {**ADA, "email": "ada.l@EXAMPLE.com"})
        changed = await push(register, {**ADA, "fullName": "A. King"})
        await settled(register, changed)
    assert first["status"] == "succeeded"
    assert (again[0]["outcome"], again[0]["operation"]["id"]) == ("replayed", first["id"])
    assert changed[0]["outcome"] == "accepted"
    assert [member["fullName"] for member in sent(flash)] == ["Ada Lovelace", "A. King"]
    assert flash.violations == []


async def test_many_go_in_batches_and_one_that_flash_refuses_harms_nobody_else(tmp_path, flash):
    members = [{"externalId": f"CRM-{number}", "fullName": f"Customer {number}"} for number in range(120)]
    flash.stop()
    async with running(tmp_path, settings(flash.base_url, documents=PUSH)) as register:
        items = await push(register, *members)
        flash.start()
        operations = await settled(register, items)
    assert {operation["status"] for operation in operations} == {"succeeded"}
    assert sorted(member["externalId"] for member in sent(flash)) == sorted(member["externalId"] for member in members)
    assert len([seen for seen in flash.requests if seen.request.below == "/members/batch"]) <= 5
    assert flash.violations == []


async def test_a_consent_that_flash_has_is_not_touched(tmp_path):
    async with Sandbox() as sandbox:
        chosen = settings(sandbox.base_url, flash={"write_key": sandbox.write_key}, documents=PUSH)
        async with running(tmp_path, chosen) as register:
            enrolled = await register.call("POST", "/v1/enrollments", {**ADA, **CONSENT}, Prefer="wait=10")
            assert enrolled.json["result"]["marketingConsent"] is True
            (pushed,) = await settled(register, await push(register, {**ADA, "fullName": "A. King"}))
    assert (pushed["status"], pushed["result"]["fullName"]) == ("succeeded", "A. King")
    assert pushed["result"]["marketingConsent"] is True


async def test_a_consent_that_waits_is_not_lost_to_what_replaces_it(tmp_path, flash):
    """The counter's enrollment fails after the push was taken: it is superseded, and its consent goes along."""
    flash.fault("status", status=422, method="POST", path="^/members$", times=1)
    flash.stop()
    async with running(tmp_path, settings(flash.base_url, documents=PUSH, relay={"batch_size": 1})) as register:
        enrolled = await register.call("POST", "/v1/enrollments", {**ADA, **CONSENT})
        items = await push(register, {**ADA, "fullName": "A. King"})
        repeated = await push(register, {**ADA, "fullName": "A. King"})
        flash.start()
        (pushed,) = await settled(register, items)
        first = await register.operation(enrolled.json["id"])
    assert (first["status"], pushed["status"]) == ("discarded", "succeeded")
    assert repeated[0]["outcome"] == "replayed"
    assert sent(flash)[-1] == {**ADA, "fullName": "A. King", **CONSENT}
    assert flash.violations == []


async def test_a_consent_that_failed_is_not_lost_either(tmp_path, flash):
    flash.fault("status", status=422, method="POST", path="^/members$", times=1)
    async with running(tmp_path, settings(flash.base_url, documents=PUSH)) as register:
        enrolled = await register.call("POST", "/v1/enrollments", {**ADA, **CONSENT}, Prefer="wait=10")
        assert enrolled.json["status"] == "failed"
        await settled(register, await push(register, ADA))
    assert sent(flash)[-1] == {**ADA, **CONSENT}


async def test_what_the_counter_says_itself_is_not_added_to(tmp_path, flash):
    """A register that leaves the consent out was told so by the person."""
    flash.stop()
    async with running(tmp_path, settings(flash.base_url, documents=PUSH)) as register:
        await register.call("POST", "/v1/enrollments", {**ADA, **CONSENT})
        last = await register.call("POST", "/v1/enrollments", {**ADA, "fullName": "A. King"})
        flash.start()
        await register.settled(last.json["id"])
    assert sent(flash)[-1] == {**ADA, "fullName": "A. King"}


@pytest.mark.parametrize("consent", [CONSENT, {"marketingConsent": False}])
async def test_a_document_brings_no_consent(tmp_path, consent):
    async with running(tmp_path, settings(documents=PUSH)) as register:
        (item,) = await push(register, {**ADA, **consent})
    assert item["outcome"] == "faulty"
    assert "marketingConsent" in item["reason"]["reason"]


async def test_news_of_one_person_in_one_document_arrive_in_their_order(tmp_path, flash):
    told = [{**ADA, "fullName": name} for name in ("Ada Lovelace", "A. King", "Ada King")]
    others = [{"externalId": f"CRM-{number}"} for number in range(5)]
    async with running(tmp_path, settings(flash.base_url, documents=PUSH)) as register:
        items = await push(register, *others, told[0], told[1], *others, told[2])
        await settled(register, items)
    assert [item["outcome"] for item in items] == ["accepted"] * 7 + ["replayed"] * 5 + ["accepted"]
    assert [member["fullName"] for member in sent(flash) if "fullName" in member] == [each["fullName"] for each in told]
