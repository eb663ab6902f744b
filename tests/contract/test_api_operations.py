"""Operations as people read them: one, or a page at a time."""

import asyncio
import json
import re

import pytest

from tests.support.agents import running, settings, strict_flash

MEMBER = {"externalId": "C-1", "email": "canary@example.com"}
DATED = {"orders": {"id_template": "{store_id}-{till_id}-{business_date}-{external_order_id}"}}


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path) as offline:
        yield offline


async def listed(register, **query):
    answer = await register.call("GET", "/v1/operations?" + "&".join(f"{k}={v}" for k, v in query.items()))
    assert answer.status == 200, answer
    assert answer.json.keys() >= {"operations", "nextCursor"}
    return answer.json


async def ids(register, **query):
    return [operation["id"] for operation in (await listed(register, **query))["operations"]]


async def test_an_operation_is_shown_as_it_was_accepted(register):
    accepted = await register.sell()
    shown = await register.call("GET", accepted.json["href"])
    assert shown.status == 200
    assert shown.json.keys() == accepted.json.keys()
    for name in ("id", "kind", "acceptedAt", "request", "upstreamOrderId", "idempotencyKey"):
        assert shown.json[name] == accepted.json[name]


@pytest.mark.parametrize(
    "name", ["op_00000000000000000000000000000000", "op_1", "90871", "op_" + "z" * 500, "%F0%9F%8E%81"]
)
async def test_an_unknown_operation_is_not_found(register, name):
    answer = await register.call("GET", f"/v1/operations/{name}")
    assert (answer.status, answer.json["code"]) == (404, "operation-not-found")
    assert answer.json["retryable"] is False


async def test_the_list_is_newest_first(register):
    accepted = [(await register.sell(str(number))).json["id"] for number in range(5)]
    assert await ids(register) == accepted[::-1]
    assert (await listed(register))["nextCursor"] is None


async def test_a_page_of_large_operations_is_short_and_nothing_is_left_out(register):
    lines = [{"text": "x" * 180_000}]
    accepted = [(await register.sell(str(number), lines=lines)).json["id"] for number in range(30)]
    found, query = [], {"limit": 200}
    while query.get("cursor", "") is not None:
        page = await listed(register, **query)
        assert 0 < len(page["operations"]) <= 12
        found += [operation["id"] for operation in page["operations"]]
        query["cursor"] = page["nextCursor"]
    assert found == accepted[::-1]


async def test_an_empty_list_is_a_list(register):
    assert await listed(register) == {"operations": [], "nextCursor": None}


async def test_every_filter_narrows(tmp_path):
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:
            flash.poison("bad", 422)
            good = (await register.sell("good", wait=10, transactionId="t 1", businessDate="2026-11-21")).json["id"]
            bad = (await register.sell("bad", wait=10, transactionId="t2", businessDate="2026-11-22")).json["id"]
            refund = await register.call("POST", "/v1/refunds", {"externalOrderId": "bad", "refundId": "r"})
            member = await register.call("POST", "/v1/enrollments", MEMBER, Prefer="wait=10")
            assert await ids(register, status="succeeded") == [member.json["id"], good]
            assert await ids(register, status="failed") == [bad]
            assert await ids(register, status="pending") == [refund.json["id"]]
            assert await ids(register, status="declined") == []
            assert await ids(register, kind="sale") == [bad, good]
            assert await ids(register, kind="enrollment") == [member.json["id"]]
            assert await ids(register, kind="redemption") == []
            assert await ids(register, externalOrderId="bad") == [refund.json["id"], bad]
            assert await ids(register, externalOrderId="ba") == []
            assert await ids(register, transactionId="t%201") == [good]
            assert await ids(register, businessDate="2026-11-22") == [bad]
            assert await ids(register, kind="sale", status="failed", externalOrderId="bad") == [bad]
            assert await ids(register, kind="refund", status="failed") == []


async def test_a_sale_is_found_by_the_registers_order_number_and_by_the_upstream_one(tmp_path):
    async with running(tmp_path, settings(**DATED)) as register:
        monday = (await register.sell("7", businessDate="2026-11-23")).json["id"]
        tuesday = (await register.sell("7", businessDate="2026-11-24")).json["id"]
        assert await ids(register, externalOrderId="7") == [tuesday, monday]
        assert await ids(register, externalOrderId="st_1-till-1-2026-11-23-7") == [monday]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=open", "status"),
        ("status=", "status"),
        ("kind=sales", "kind"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=%D9%A3", "limit"),
        ("cursor=!", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=zzzz", "cursor"),
        ("cursor=" + "9" * 400, "cursor"),
    ],
)
async def test_a_wrong_query_is_named(register, query, field):
    answer = await register.call("GET", f"/v1/operations?{query}")
    assert (answer.status, [fault["field"] for fault in answer.json["errors"]]) == (422, [field])


async def test_pages_hold_every_operation_once_even_while_more_come(register):
    answers = await asyncio.gather(*(register.sell(f"o{number}") for number in range(520)))
    assert {answer.status for answer in answers} == {202}
    expected = {answer.json["id"] for answer in answers}
    seen, cursor, pages = [], None, 0
    while True:
        page = await listed(register, limit=60, **({"cursor": cursor} if cursor else {}))
        seen += [operation["id"] for operation in page["operations"]]
        pages += 1
        await register.sell(f"late{pages}")
        cursor = page["nextCursor"]
        if cursor is None:
            break
        assert re.fullmatch(r"[A-Za-z0-9_-]+", cursor)
        assert pages < 50
    assert len(seen) == len(set(seen)) == 520
    assert set(seen) == expected
    numbers = [
        int(o["request"]["externalOrderId"][1:]) for o in (await listed(register, limit=200))["operations"][pages:]
    ]
    assert len(numbers) == 200 - pages


async def test_pages_of_a_filter_hold_every_match_once(register):
    for number in range(30):
        await register.sell(f"o{number}", businessDate=f"2026-11-{1 + number % 3:02}")
    seen, cursor = [], None
    while cursor is not None or not seen:
        page = await listed(register, limit=3, businessDate="2026-11-02", **({"cursor": cursor} if cursor else {}))
        seen += [operation["request"]["externalOrderId"] for operation in page["operations"]]
        cursor = page["nextCursor"]
    assert seen == [f"o{number}" for number in range(28, -1, -3)]


async def test_lists_show_what_is_waited_for_and_no_personal_data(register):
    member = await register.call("POST", "/v1/enrollments", {**MEMBER, "fullName": "Canary", "phone": "+1 canary"})
    sale = await register.sell(customer=MEMBER)
    page = await listed(register)
    assert page["operations"][0]["waitingFor"] == [member.json["id"]]
    assert page["operations"][0]["id"] == sale.json["id"]
    assert "canary" not in json.dumps(page).lower()


async def test_status_counts_what_is_pending(register):
    for number in range(3):
        await register.sell(str(number))
    status = await register.status()
    assert (status["pending"], status["failed"]) == (3, 0)
    assert status["oldestPendingAgeSeconds"] >= 0
    assert (status["storeId"], status["tillId"]) == ("st_1", "till-1")
    assert status.keys() >= {
        "version", "features", "connectivity", "lastSuccessAt", "clockSkewSeconds", "disk", "conditions"
    }  # fmt: skip
