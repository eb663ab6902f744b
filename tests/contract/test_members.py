"""Members at the counter: an answer from Flash, the snapshot, or what was enrolled here; never a wait in vain."""

import asyncio
import time
from datetime import timedelta

import pytest
from yarl import URL

from agent.clock import Clock
from tests.support.agents import running, settings, strict_flash, until
from tests.support.strict_flash import READ_KEY

ADA = "POS-CUST-5512"
BUDGET_MS = 3000  # generous: others use this machine too
SHORT_MS = 300


@pytest.fixture
def flash():
    with strict_flash(in_flight_limit=16) as server:
        member = server.add_member(externalId=ADA)
        server.add_coupon("CPN-1", member)
        yield server
        assert server.violations == []


def chosen(server, **sections):
    members = {"lookup_budget_ms": BUDGET_MS, **sections.pop("members", {})}
    return settings(server.base_url, members=members, **sections)


@pytest.fixture
async def till(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as register:
        yield register


@pytest.fixture
async def old_till(tmp_path, flash):
    """A till whose snapshots are never fresh."""
    async with running(tmp_path, chosen(flash, members={"fresh_s": 0})) as register:
        yield register


async def look(register, status=200, **key):
    answer = await register.call("GET", f"/v1/members?{'&'.join(f'{n}={v}' for n, v in key.items())}")
    assert answer.status == status, answer
    return answer.json


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


async def test_offline_the_snapshot_answers_and_says_how_old_it_is(old_till, flash):
    first = await look(old_till, externalId=ADA)
    flash.stop()
    found = await look(old_till, email="ada@example.com")
    assert (found["source"], found["stale"], found["asOf"]) == ("cache", True, first["asOf"])
    assert {name: found[name] for name in ("member", "points", "tier", "coupons", "missing")} == {
        name: first[name] for name in ("member", "points", "tier", "coupons", "missing")
    }
    answer = await old_till.call("GET", "/v1/members?externalId=never-met")
    assert (answer.status, answer.json["code"]) == (503, "member-unknown-offline")
    assert int(answer.headers["Retry-After"]) >= 1
    flash.start()


async def test_a_snapshot_outlives_a_restart(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        await look(till, externalId=ADA)
    flash.stop()
    async with running(tmp_path, chosen(flash)) as till:
        found = await look(till, externalId=ADA)
        assert (found["source"], found["points"]["balance"]) == ("cache", 1814)
    flash.start()


async def took(register, **key):
    began = time.monotonic()
    found = await look(register, **key)
    return time.monotonic() - began, found


@pytest.fixture
async def hasty_till(tmp_path, flash):
    """A till whose cashiers wait for a moment only."""
    members = {"fresh_s": 0, "lookup_budget_ms": SHORT_MS}
    async with running(tmp_path, chosen(flash, members=members)) as register:

        async def met():
            return (await look(register, externalId=ADA))["source"] == "flash"

        await until(met)
        yield register


async def test_a_black_hole_costs_the_budget_once_and_then_nothing(hasty_till, flash):
    hole = flash.fault("hang", method="GET")
    seconds, found = await took(hasty_till, externalId=ADA)
    assert (found["source"], found["stale"]) == ("cache", True)
    assert SHORT_MS / 1000 * 0.9 < seconds < SHORT_MS / 1000 + 1.0

    async def is_known_dead():
        return (await hasty_till.status())["connectivity"] == "offline"

    await until(is_known_dead)
    seconds, found = await took(hasty_till, externalId=ADA)
    assert seconds < SHORT_MS / 1000 * 0.9
    assert found["stale"]
    assert hole.fired


async def test_what_comes_after_the_budget_is_kept(hasty_till, flash):
    flash.state.tenant("t1").member(externalId=ADA)["points"] = 2500
    flash.fault("latency", ms=SHORT_MS * 3, method="GET", times=4)
    assert (await look(hasty_till, externalId=ADA))["points"]["balance"] == 1814
    await asyncio.to_thread(flash.wait_for, lambda flash: flash.in_flight == 0)
    await hasty_till.call("POST", "/v1/drill", {"seconds": 60}, scope="operator")

    async def kept():
        found = await look(hasty_till, externalId=ADA)
        return (found["source"], found["points"]["balance"]) == ("cache", 2500)

    await until(kept)


async def test_a_look_up_finds_the_way_back_and_the_backlog_flows(old_till, flash):
    await look(old_till, externalId=ADA)
    flash.stop()
    assert (await look(old_till, externalId=ADA))["source"] == "cache"

    async def dead():
        return (await old_till.status())["connectivity"] == "offline"

    await until(dead)
    flash.start()

    async def asked_again():
        return (await look(old_till, externalId=ADA))["source"] == "flash"

    await until(asked_again, 10)
    assert (await old_till.status())["connectivity"] == "online"


class Patient(Clock):
    """A clock on which every pause is an hour long: what goes on was told to."""

    def call_later(self, delay_s, call):
        return super().call_later(3600, call)


async def test_a_backlog_need_not_wait_for_its_own_probe(tmp_path, flash):
    async with running(tmp_path, chosen(flash, members={"fresh_s": 0}), Patient()) as till:
        flash.stop()
        await till.sell("o1")

        async def dead():
            return (await till.status())["connectivity"] == "offline"

        await until(dead)
        flash.start()

        async def answered():
            return (await till.call("GET", f"/v1/members?externalId={ADA}")).status == 200

        async def awarded():
            return flash.awards == {"o1": 1}

        await until(answered)
        await until(awarded)


async def test_in_a_drill_nothing_leaves_and_nobody_waits(old_till, flash):
    await look(old_till, externalId=ADA)
    await old_till.call("POST", "/v1/drill", {"seconds": 60}, scope="operator")
    asked = len(flash.requests)
    seconds, found = await took(old_till, externalId=ADA)
    assert (found["source"], found["stale"]) == ("cache", True)
    assert seconds < BUDGET_MS / 1000 / 2
    assert (await look(old_till, 503, externalId="x"))["code"] == "member-unknown-offline"
    assert len(flash.requests) == asked


async def test_a_retry_after_is_kept_and_nobody_waits_for_it(old_till, flash):
    await look(old_till, externalId=ADA)
    flash.set(grace=2.0, strict_connection=False)  # four calls were on their way together
    flash.fault("status", status=429, retry_after=30, times=4, method="GET")
    await look(old_till, externalId=ADA)
    asked = len(flash.requests)
    answer = await old_till.call("GET", "/v1/members?externalId=never-met")
    assert answer.status == 503
    assert 20 <= int(answer.headers["Retry-After"]) <= 31
    assert (await look(old_till, externalId=ADA))["source"] == "cache"
    assert len(flash.requests) == asked


@pytest.mark.parametrize("part", ["points", "tier", "coupons"])
async def test_a_part_that_cannot_be_asked_is_null_and_named(till, flash, part):
    flash.fault("status", status=404, path=rf"/members/[^/]+/{part}$", method="GET")
    found = await look(till, externalId=ADA)
    assert (found["source"], found["missing"], found[part]) == ("flash", [part], None)
    again = await look(till, externalId=ADA)
    assert (again["source"], again["missing"], again[part]) == ("cache", [part], None)


@pytest.mark.parametrize("fault", ["truncated-json", "torn-answer", "captive-portal", "empty-200", "wrong-types"])
async def test_answers_that_are_none(old_till, flash, fault):
    await look(old_till, externalId=ADA)
    flash.fault(fault, method="GET")
    found = await look(old_till, externalId=ADA)
    assert found["points"] in ({"balance": 1814}, None)
    assert found["member"]["externalId"] == ADA


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


@pytest.mark.parametrize("status", [401, 403])
async def test_a_refused_read_key_never_holds_writes(tmp_path, flash, status):
    async with running(tmp_path, chosen(flash, flash={"read_key": READ_KEY}, members={"fresh_s": 0})) as till:
        await look(till, externalId=ADA)
        flash.fault("status", status=status, method="GET")
        assert (await look(till, externalId=ADA))["source"] == "cache"
        asked = len(flash.requests)
        assert (await look(till, externalId=ADA))["source"] == "cache"
        assert len(flash.requests) == asked  # held for a minute
        assert (await till.sell("o1", wait=20)).json["status"] == "succeeded"


async def test_a_refused_key_that_serves_both_is_tried_once_a_minute_by_whomever(old_till, flash):
    await look(old_till, externalId=ADA)
    flash.fault("status", status=401, method="GET")
    assert (await look(old_till, externalId=ADA))["source"] == "cache"
    assert (await old_till.status())["connectivity"] == "unauthorized"
    asked = len(flash.requests)
    for _ in range(3):
        assert (await look(old_till, externalId=ADA))["source"] == "cache"
        await look(old_till, 503, externalId="never-met")
    assert len(flash.requests) == asked


async def test_where_no_part_is_told_the_snapshot_has_more_to_say(old_till, flash):
    first = await look(old_till, externalId=ADA)
    flash.fault("torn-answer", method="GET", path=r"/members/[^/]+/\w+$")
    found = await look(old_till, externalId=ADA)
    assert (found["source"], found["stale"], found["points"]) == ("cache", True, first["points"])


@pytest.mark.parametrize("part", ["points", "coupons"])
async def test_a_part_whose_answer_dies_in_the_middle(old_till, flash, part):
    await look(old_till, externalId=ADA)
    flash.fault("torn-answer", method="GET", path=rf"/members/[^/]+/{part}$")
    found = await look(old_till, externalId=ADA)
    assert (found["source"], found["missing"], found[part]) == ("flash", [part], None)
    assert (await old_till.status())["connectivity"] == "online"


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


async def test_pending_counts_what_flash_has_not_seen(till, flash):
    await look(till, externalId=ADA)
    flash.stop()
    await till.sell("o1", 120)
    await till.sell("o2", "119.50", customer={"email": "Ada@example.com", "externalId": ADA})
    await till.sell("o3", 5, customer={"externalId": "somebody-else"})
    await till.call("POST", "/v1/refunds", {"externalOrderId": "o1", "refundId": "r1", "amount": 20})
    found = await look(till, email="ada@example.com")
    assert found["pending"] == {"sales": 2, "amount": "239.50", "refunds": 1, "enrollment": False}
    flash.start()

    async def nothing_left():
        found = await look(till, externalId=ADA)
        return found["pending"] == {"sales": 0, "amount": "0.00", "refunds": 0, "enrollment": False}

    await until(nothing_left)


async def test_pending_is_known_again_after_a_restart(tmp_path, flash):
    async with running(tmp_path, chosen(flash)) as till:
        await till.sell("o0", 100, wait=20)
        await look(till, externalId=ADA)
        flash.stop()
        for number in range(450):
            await till.sell(f"p{number}", 2)
        await till.call("POST", "/v1/refunds", {"externalOrderId": "o0", "refundId": "r1", "amount": 20})
    async with running(tmp_path, chosen(flash)) as till:
        found = await look(till, externalId=ADA)
        assert found["pending"] == {"sales": 450, "amount": "900.00", "refunds": 1, "enrollment": False}
    flash.start()


async def test_a_settled_sale_refreshes_the_balance(old_till, flash):
    await look(old_till, externalId=ADA)
    sale = await old_till.sell("o1", 120, wait=20)
    assert sale.json["result"]["balance"] == 1820
    flash.stop()
    found = await look(old_till, externalId=ADA)
    assert (found["source"], found["points"]["balance"]) == ("cache", 1820)
    flash.start()
    refund = {"externalOrderId": "o1", "refundId": "r1"}
    assert (await old_till.call("POST", "/v1/refunds", refund, Prefer="wait=20")).json["status"] == "succeeded"
    flash.stop()
    assert (await look(old_till, externalId=ADA))["points"]["balance"] == 1814
    flash.start()


async def test_a_member_enrolled_offline_is_usable_at_once_and_becomes_the_real_one(till, flash):
    flash.stop()
    person = {"externalId": "new-7", "email": "Grace@Example.com", "fullName": "Grace H"}
    assert (await till.call("POST", "/v1/enrollments", person)).status == 202
    for key in ({"externalId": "new-7"}, {"email": "grace@example.com"}):
        found = await look(till, **key)
        assert found["source"] == "local"
        assert found["member"] == {"id": None, **person}
        assert (found["points"], found["coupons"]) == (None, None)
        assert found["missing"] == ["points", "tier", "coupons"]
        assert found["pending"]["enrollment"]
    await till.sell("o1", 40, customer={"externalId": "new-7"})
    assert (await look(till, externalId="new-7"))["pending"]["amount"] == "40.00"
    flash.start()

    async def awarded():
        return flash.awards == {"o1": 1}

    async def confirmed():
        return (await look(till, externalId="new-7"))["member"]["id"] is not None

    await until(confirmed)
    await until(awarded)
    flash.stop()
    found = await look(till, email="grace@example.com")
    assert found["member"]["id"]
    assert found["member"]["fullName"] == "Grace H"
    flash.start()


async def test_a_local_member_goes_with_its_enrollment(tmp_path, flash):
    async with running(tmp_path, chosen(flash, flash={"write_key": None})) as till:
        await discard_an_enrollment(till)


async def discard_an_enrollment(till):
    enrolled = await till.call("POST", "/v1/enrollments", {"externalId": "new-8"})
    assert (await look(till, externalId="new-8"))["source"] == "local"
    href = f"{enrolled.json['href']}/discard"
    assert (await till.call("POST", href, {"reason": "typed twice"}, scope="operator")).status == 200
    assert (await look(till, 503, externalId="new-8"))["code"] == "member-unknown-offline"


class Shifted(Clock):
    """A till whose clock is a year off."""

    def __init__(self, days):
        super().__init__()
        self._offset_s += days * 86_400.0

    def now(self):
        return super().now() + timedelta(seconds=self._offset_s - Clock()._offset_s)


@pytest.mark.parametrize("days", [-365, 365])
async def test_a_clock_moved_by_a_year_makes_nothing_fresh_and_loses_nothing(tmp_path, flash, days):
    async with running(tmp_path, chosen(flash)) as till:
        first = await look(till, externalId=ADA)
    flash.stop()
    async with running(tmp_path, chosen(flash), Shifted(days)) as till:
        found = await look(till, externalId=ADA)
        assert (found["source"], found["stale"], found["asOf"]) == ("cache", True, first["asOf"])
    flash.start()
    async with running(tmp_path, chosen(flash), Shifted(days)) as till:
        assert (await look(till, externalId=ADA))["source"] == "flash"
        assert (await look(till, externalId=ADA))["source"] == "cache"


async def test_with_the_store_gone_flash_is_asked_all_the_same(old_till, flash, tmp_path):
    await look(old_till, externalId=ADA)
    (tmp_path / "agent.db").unlink()
    await old_till.call("GET", "/readyz")
    found = await look(old_till, externalId=ADA)
    assert (found["source"], found["points"]["balance"]) == ("flash", 1814)


async def test_look_ups_are_counted_by_the_source_of_their_answer(till):
    for _ in range(2):
        await look(till, externalId=ADA)
    await look(till, 404, externalId="nobody")
    metrics = (await till.call("GET", "/metrics", scope="operator")).json
    for line in ("flash_agent_members 1.0", 'look_ups_total{source="flash"} 1.0', '{source="refused"} 1.0'):
        assert line in metrics
