"""Members at the counter: an answer from Flash, the snapshot, or what was enrolled here."""

import asyncio

import pytest
from yarl import URL

from tests.support.agents import running, until
from tests.support.looking_up import ADA, chosen, flash_with_ada, look


@pytest.fixture
def flash():
    with flash_with_ada() as server:
        yield server


@pytest.fixture
async def till(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as register:
        yield register


def reads_of(flash):
    return [seen.request.below.partition("?")[0] for seen in flash.requests if seen.request.method == "GET"]


async def test_one_answer_holds_member_points_tier_and_coupons(till, flash):
    found = await look(till, externalId=ADA)
    member_id = flash.add_member(externalId=ADA)
    assert found["member"] == {"id": member_id, "externalId": ADA, "email": "ada@example.com", "fullName": None}
    assert found["points"] == {"balance": 1814}
    assert found["tier"] == {"name": "Base"}
    assert [coupon["id"] for coupon in found["coupons"]] == ["CPN-1"]
    assert (found["source"], found["stale"], found["missing"]) == ("flash", False, [])
    assert found["receipt"] == ["Balance: 1,814"]
    assert found["pending"] == {"sales": 0, "amount": "0.00", "refunds": 0, "enrollment": False}
    assert found["asOf"].endswith("Z")
    for way in ({"email": "ADA@example.com"}, {"memberId": member_id}):
        assert (await look(till, **way))["member"] == found["member"]
    by_path = await till.call("GET", f"/v1/members/{member_id}")
    assert by_path.json["member"] == found["member"]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "memberId=a&email=b@example.com",
        "memberId=..",
        "memberId=.",
        "externalId=%00",
        "email=nobody",
        "memberId=",
        "email=a@b.c&email=b@b.c",
    ],
)
async def test_a_query_that_names_nobody_or_several_is_refused(till, flash, query):
    before = len(flash.requests)
    answer = await till.call("GET", f"/v1/members?{query}")
    assert (answer.status, answer.json["code"]) == (422, "validation")
    assert answer.json["errors"]
    assert len(flash.requests) == before


@pytest.mark.parametrize("spelling", ["%2e%2e", "%2E", "a%00b", "x" * 129])
async def test_an_id_in_the_path_is_one_segment(till, flash, spelling):
    address = URL(f"{till.base_url}/v1/members/{spelling}", encoded=True)
    async with till.session.get(address, headers=till.headers()) as response:
        assert response.status == 422
    strange = await till.call("GET", "/v1/members/a%2Fb%3Fc")
    assert strange.json["code"] == "member-not-found"


@pytest.mark.parametrize("address", ["?externalId=%FF", "?memberId=%ED%A0%80", "/m%FE"])
async def test_scanned_bytes_that_are_no_text_are_asked_of_nobody(till, flash, address):
    before = len(flash.requests)
    url = URL(f"{till.base_url}/v1/members{address}", encoded=True)
    async with till.session.get(url, headers=till.headers()) as response:
        assert (response.status, (await response.json(content_type=None))["code"]) == (400, "invalid-utf8")
    assert len(flash.requests) == before


async def test_an_unknown_member_is_404_only_when_flash_said_so(till, flash):
    assert (await look(till, 404, externalId="nobody"))["code"] == "member-not-found"
    asked = len(flash.requests)
    assert (await look(till, 404, externalId="nobody"))["code"] == "member-not-found"
    assert len(flash.requests) == asked  # remembered for a moment
    assert (await look(till, 404, memberId="mem_nobody"))["code"] == "member-not-found"
    flash.fault("hang", method="GET")
    refused = await look(till, 503, externalId="somebody")
    assert (refused["code"], refused["retryable"]) == ("member-unknown-offline", True)


async def test_an_enrollment_ends_the_memory_of_a_no(till):
    await look(till, 404, externalId="new-1")
    enrolled = await till.call("POST", "/v1/enrollments", {"externalId": "new-1"}, Prefer="wait=20")
    assert enrolled.status == 200
    found = await look(till, externalId="new-1")
    assert found["member"]["id"] == enrolled.json["result"]["id"]


async def test_a_fresh_snapshot_answers_at_once_and_is_refreshed_behind(till, flash):
    await look(till, externalId=ADA)
    asked = len(flash.requests)
    flash.state.tenant("t1").member(externalId=ADA)["points"] = 2000

    async def cached():
        found = await look(till, externalId=ADA)
        assert (found["source"], found["stale"]) == ("cache", False)
        return found["points"]["balance"] == 2000

    await until(cached)
    assert len(flash.requests) > asked


async def test_one_answer_from_a_fresh_snapshot_is_enough_to_have_it_refreshed(till, flash):
    await look(till, externalId=ADA)
    asked = len(flash.requests)
    assert (await look(till, externalId=ADA))["source"] == "cache"
    assert await asyncio.to_thread(flash.wait_for, lambda flash: len(flash.requests) == asked + 4)


@pytest.mark.parametrize("part", ["points", "tier", "coupons"])
async def test_a_part_that_cannot_be_asked_is_null_and_named(till, flash, part):
    flash.fault("status", status=404, path=rf"/members/[^/]+/{part}$", method="GET")
    found = await look(till, externalId=ADA)
    assert (found["source"], found["missing"], found[part]) == ("flash", [part], None)
    again = await look(till, externalId=ADA)
    assert (again["source"], again["missing"], again[part]) == ("cache", [part], None)


async def test_where_flash_has_no_member_detail_the_parts_still_answer(till, flash):
    flash.set(member_detail=False)
    member_id = flash.add_member(externalId=ADA)
    found = await look(till, memberId=member_id)
    assert (found["source"], found["points"], found["member"]["id"]) == ("flash", {"balance": 1814}, member_id)
    assert (await look(till, 404, memberId="mem_nobody"))["code"] == "member-not-found"


async def test_another_members_answer_is_no_answer(till, flash):
    flash.add_member(externalId="other")
    flash.set(overlooks_filters=True)
    assert (await look(till, 503, externalId="unheard-of"))["code"] == "member-unknown-offline"


async def test_concurrent_look_ups_share_one_asking_and_none_ends_it_for_others(till, flash):
    flash.fault("latency", ms=150, method="GET")
    first = asyncio.create_task(look(till, externalId=ADA))
    others = [asyncio.create_task(look(till, externalId=ADA)) for _ in range(10)]

    async def asked():
        return bool(flash.requests)

    await until(asked)
    first.cancel()
    answers = await asyncio.gather(*others)
    assert {answer["source"] for answer in answers} <= {"flash", "cache"}
    assert sorted(reads_of(flash)).count("/members") == 1
    assert len(reads_of(flash)) == 4


async def test_look_ups_are_counted_by_the_source_of_their_answer(till):
    for _ in range(2):
        await look(till, externalId=ADA)
    await look(till, 404, externalId="nobody")
    metrics = (await till.call("GET", "/metrics", scope="operator")).json
    for line in ("flash_agent_members 1.0", 'look_ups_total{source="flash"} 1.0', '{source="refused"} 1.0'):
        assert line in metrics
