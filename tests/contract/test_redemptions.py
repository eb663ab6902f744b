"""Redemptions under `decline`: what a register is told, what is burned, and that both agree."""

import asyncio
import time

import pytest

from tests.support.agents import WRITE_KEY, running, settings, strict_flash, until
from tests.support.redeeming import (
    COUPON,
    EndingClock,
    burns,
    coupon,
    posts,
    redeem,
    redeem_and_hang_up,
    redeem_in_vain,
    told,
    void,
)


@pytest.fixture
def flash():
    with strict_flash() as server:
        server.set(strict_redeem=False)
        coupon(server)
        yield server


@pytest.fixture
def clock():
    return EndingClock()


@pytest.fixture
async def till(tmp_path, flash, clock):
    chosen = settings(flash.base_url, flash={"attempt_timeout_s": 0.6})
    async with running(tmp_path, chosen, clock) as register:
        yield register


async def test_a_coupon_is_burned_and_honored(till, flash):
    answer = await redeem(till, attempt=1, metadata={"lane": 3})
    assert answer.status == 200
    assert told(answer) == ("succeeded", True, "flash", None)
    assert answer.json["coupon"]["id"] == COUPON
    assert answer.json["idempotencyKey"] == posts(flash)[0].request.key
    assert answer.json["request"] == {"couponId": COUPON, "transactionId": "T-1", "attempt": 1}
    assert answer.json["metadata"] == {"lane": 3}
    assert burns(flash) == 1
    assert flash.violations == []
    listed = (await till.call("GET", "/v1/operations?kind=redemption&transactionId=T-1")).json["operations"]
    assert [(each["honor"], each["basis"]) for each in listed] == [(True, "flash")]


async def test_whoever_waits_behind_one_that_nobody_waits_for_any_more_is_answered_then(tmp_path, flash):
    """Not at the end of the attempt that is under way, which may be long."""
    flash.fault("hang", path="/redeem$")
    async with running(tmp_path, settings(flash.base_url, flash={"attempt_timeout_s": 30.0})) as register:
        async with asyncio.timeout(15):
            first = asyncio.create_task(redeem(register, "T-1", wait=1))
            await until(lambda: asyncio.to_thread(flash.wait_for, posts, 0.05))
            second = await redeem(register, "T-2", wait=25)
        assert told(await first) == ("pending", False, "unconfirmed", None)
        assert (second.json["status"], second.json["honor"], second.json["basis"]) == ("declined", False, "unconfirmed")
        assert len(posts(flash)) == 1
        flash.stop()  # or the stop would wait for the attempt


async def test_a_key_that_flash_has_for_another_request_stays_the_redemptions_key(till, flash):
    """A new one could burn a second time; a retry reads alone."""
    flash.fault("status", status=409, code="IDEMPOTENCY_CONFLICT", path="/redeem$")
    answer = await redeem(till)
    assert (answer.json["status"], answer.json["honor"], answer.json["error"]["code"]) == (
        "failed", False, "idempotency-conflict",
    )  # fmt: skip
    flash.clear()
    path = f"/v1/operations/{answer.json['id']}/retry"
    assert (await till.call("POST", path, scope="operator")).json["idempotencyKey"] == answer.json["idempotencyKey"]
    settled = await till.settled(answer.json["id"])
    assert (settled["status"], settled["idempotencyKey"]) == ("declined", answer.json["idempotencyKey"])
    assert burns(flash) == 0


async def test_a_used_or_unknown_coupon_is_declined(till, flash):
    await redeem(till, "T-0")
    for answer in (await redeem(till, "T-1"), await redeem(till, "T-1", "nobodys"), await redeem(till, "T-1", "ä/%?#")):
        assert answer.status == 200
        assert told(answer) == ("declined", False, "flash", None)
        assert answer.json["error"]["httpStatus"] == 404
    assert flash.violations == []
    assert burns(flash) == 1


async def test_the_same_redemption_replays_its_answer(till, flash):
    first, again = await redeem(till), await redeem(till, customer={"memberId": "m-9"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["id"] == first.json["id"]
    assert told(again) == told(first)
    assert "customer" in again.json["warnings"][0]
    assert len(posts(flash)) == 1
    other = await redeem(till, attempt=2)
    assert told(other) == ("declined", False, "flash", None)
    declined = await redeem(till, attempt=2)
    assert told(declined) == told(other)
    assert len(posts(flash)) == 2


@pytest.mark.parametrize("fault", ["lost-answer", "torn-answer", "truncated-json", "captive-portal", "hang"])
async def test_a_lost_answer_is_asked_for_again_under_the_same_key(till, flash, fault):
    flash.fault(fault, times=1, path="/redeem$")
    answer = await redeem(till, wait=5)
    assert told(answer) == ("succeeded", True, "flash", None)
    assert len({seen.request.key for seen in posts(flash)}) == 1
    assert burns(flash) == 1
    assert flash.violations == []


async def test_offline_nothing_is_sent_and_never_will_be(till, flash):
    flash.stop()
    began = time.monotonic()
    answer = await redeem(till)
    assert time.monotonic() - began < 2
    assert told(answer) == ("declined", False, "not-sent", None)
    sale = await till.sell()
    flash.start()
    await till.settled(sale.json["id"])
    assert told(await redeem(till)) == ("declined", False, "not-sent", None)
    assert posts(flash) == []
    assert told(await redeem(till, attempt=2)) == ("succeeded", True, "flash", None)


async def test_one_short_look_finds_a_line_that_is_back(till, flash):
    flash.stop()
    await redeem(till)
    assert (await till.status())["connectivity"] == "offline"
    flash.start()
    assert told(await redeem(till, attempt=2)) == ("succeeded", True, "flash", None)


async def test_without_a_wait_nothing_is_sent(till, flash):
    assert told(await redeem(till, wait=0)) == ("declined", False, "not-sent", None)
    assert posts(flash) == []


@pytest.mark.parametrize("hold", ["key", "endpoint", "pause"])
async def test_held_or_throttled_nothing_is_sent(till, flash, hold):
    if hold == "key":
        flash.revoke(WRITE_KEY)
    elif hold == "endpoint":
        flash.deny(WRITE_KEY, "POST /coupons/{id}/redeem")
    else:
        flash.fault("status", status=429, retry_after=5, times=1)
    for number in range(2):
        answer = await redeem(till, f"T-{number}")
        assert told(answer) == ("declined", False, "not-sent", None)
    assert burns(flash) == 0
    assert flash.violations == []


async def test_unknown_at_the_waits_end_posting_stops_and_a_burn_becomes_a_credit(till, flash, clock):
    flash.fault("lost-answer", path="/redeem$")
    answer = await redeem_in_vain(till, flash, clock)
    assert (answer.status, told(answer)) == (202, ("pending", False, "unconfirmed", None))
    flash.stop()
    sent = len(posts(flash))
    for basket, attempt in (("T-1", 2), ("T-2", 1)):
        other = await redeem(till, basket, attempt=attempt)
        assert told(other) == ("declined", False, "unconfirmed", None)
    assert "redemptions-unconfirmed" in await till.conditions()
    flash.clear()
    flash.start()
    settled = await till.settled(answer.json["id"])
    assert (settled["status"], settled["honor"], settled["basis"], settled["credit"]) == (
        "succeeded", False, "flash", "open",
    )  # fmt: skip
    assert len(posts(flash)) == sent + 1
    assert len({seen.request.key for seen in posts(flash)}) == 1
    assert "coupon-credits-open" in await till.conditions()
    assert told(await redeem(till)) == ("succeeded", False, "flash", "open")
    after = await redeem(till, "T-3")
    assert told(after) == ("succeeded", True, "earlier-redemption", None)
    assert told(await redeem(till, "T-3")) == told(after)
    assert (await till.operation(answer.json["id"]))["credit"] == "used"
    assert burns(flash) == 1
    assert "coupon-credits-open" not in await till.conditions()
    assert flash.violations == []


@pytest.mark.parametrize("odd", [["C-5"], {"is": "C-5"}, 7, True, "C-6"], ids=str)
async def test_a_yes_in_a_form_that_nobody_expects_is_a_yes_and_spoils_no_list(till, flash, odd):
    flash.fault("status", status=200, body={"data": {"id": odd, "status": odd, "terms": odd}}, path="/redeem$", times=1)
    assert told(await redeem(till)) == ("succeeded", True, "flash", None)
    assert (await till.call("GET", "/v1/operations")).status == 200


async def test_unknown_but_still_active_was_not_burned(till, flash, clock):
    flash.fault("drop-before-commit", path="/redeem$")
    answer = await redeem_in_vain(till, flash, clock)
    assert told(answer) == ("pending", False, "unconfirmed", None)
    sent = len(posts(flash))
    flash.clear()
    settled = await till.settled(answer.json["id"])
    assert (settled["status"], settled["honor"], settled["credit"]) == ("declined", False, None)
    assert settled["error"]["code"] == "not-burned"
    assert len(posts(flash)) == sent
    assert told(await redeem(till, attempt=2)) == ("succeeded", True, "flash", None)


async def test_a_used_coupon_that_the_list_hides_and_nobody_saw_before_is_for_a_person(till, flash, clock):
    flash.set(hide_used_coupons=True)
    flash.fault("lost-answer", path="/redeem$")
    answer = await redeem_in_vain(till, flash, clock)
    flash.clear()
    settled = await till.settled(answer.json["id"])
    assert (settled["status"], settled["honor"], settled["error"]["code"]) == ("failed", False, "unconfirmed")
    assert "redemptions-unconfirmed" in await till.conditions()
    sent = len(posts(flash))
    await till.call("POST", f"/v1/operations/{answer.json['id']}/retry", scope="operator")
    assert (await till.settled(answer.json["id"]))["status"] == "failed"
    assert len(posts(flash)) == sent
    flash.set(hide_used_coupons=False)
    await till.call("POST", f"/v1/operations/{answer.json['id']}/retry", scope="operator")
    settled = await till.settled(answer.json["id"])
    assert (settled["status"], settled["credit"]) == ("succeeded", "open")


async def test_a_register_that_hangs_up_leaves_a_credit(till, flash):
    flash.fault("latency", ms=300, path="/redeem$")
    await redeem_and_hang_up(till, flash, when=posts)
    answer = await redeem(till, "T-2")
    assert told(answer) == ("succeeded", True, "earlier-redemption", None)
    assert burns(flash) == 1
    assert told(await redeem(till)) == ("succeeded", False, "flash", "used")


async def test_a_voided_basket(till, flash):
    await redeem(till)
    for credit in ("open", "open"):
        answer = await void(till, reason="the customer left")
        assert answer.status == 200
        assert answer.json == {"couponId": COUPON, "transactionId": "T-1", "voided": True, "credit": credit}
    assert told(await redeem(till)) == ("succeeded", False, "voided", "open")
    assert told(await redeem(till, attempt=2)) == ("declined", False, "voided", None)
    assert told(await redeem(till, "T-2")) == ("succeeded", True, "earlier-redemption", None)
    assert (await void(till)).json["credit"] == "used"
    assert (await void(till, "never-seen")).json["credit"] is None
    assert (await void(till, "T-2")).json["credit"] == "open"
    assert burns(flash) == 1


async def test_a_basket_voided_while_its_post_waits(till, flash):
    flash.fault("latency", ms=400, path="/redeem$")
    asking = asyncio.create_task(redeem(till, wait=5))
    await until(lambda: asyncio.to_thread(flash.wait_for, posts, 0.05))
    assert (await void(till)).json["credit"] is None
    answer = await asking
    assert told(answer)[1:3] == (False, "voided")
    settled = await till.settled(answer.json["id"])
    assert (settled["honor"], settled["credit"]) == (False, "open")


async def test_two_registers_at_once_burn_once(till, flash):
    answers = await asyncio.gather(*(redeem(till, f"T-{number}") for number in range(4)))
    assert sorted(answer.json["honor"] for answer in answers) == [False, False, False, True]
    assert burns(flash) == 1
    same = await asyncio.gather(*(redeem(till, "T-9", "C-6") for _ in range(4)))
    assert len({answer.json["id"] for answer in same}) == 1


async def test_an_operator_closes_what_is_open(till, flash):
    await redeem(till)
    await void(till)
    (operation,) = (await till.call("GET", "/v1/operations?kind=redemption")).json["operations"]
    path = f"/v1/operations/{operation['id']}/close"
    assert (await till.call("POST", path, {"reason": "paid out"})).status == 403
    assert (await till.call("POST", path, {"reason": " "}, scope="operator")).status == 422
    closed = await till.call("POST", path, {"reason": "paid out"}, scope="operator")
    assert (closed.status, closed.json["credit"]) == (200, "closed")
    again = await till.call("POST", path, {"reason": "paid out"}, scope="operator")
    assert (again.status, again.json["code"]) == (409, "illegal-transition")
    assert told(await redeem(till, "T-2")) == ("declined", False, "flash", None)


@pytest.mark.parametrize(("burned", "becomes"), [(True, ("succeeded", "open")), (False, ("declined", None))])
async def test_an_operator_says_whether_a_failed_one_was_burned(till, flash, clock, burned, becomes):
    flash.fault("lost-answer", path="/redeem$")
    answer = await redeem_in_vain(till, flash, clock, customer=None)
    settled = await till.settled(answer.json["id"])
    assert settled["status"] == "failed"
    path = f"/v1/operations/{answer.json['id']}/close"
    assert (await till.call("POST", path, {"reason": "looked"}, scope="operator")).status == 409
    closed = await till.call("POST", path, {"reason": "looked", "burned": burned}, scope="operator")
    assert (closed.json["status"], closed.json["credit"], closed.json["honor"]) == (*becomes, False)
    assert "redemptions-unconfirmed" not in await till.conditions()


@pytest.mark.parametrize("coupon_id", [".", "..", "", " ", "a\x00b", "a\nb", "x" * 129, 7, None, "\ud800"])
async def test_what_cannot_be_a_coupon_is_refused(till, flash, coupon_id):
    answer = await redeem(till, "T-1", coupon_id)
    assert answer.status in {400, 422}
    assert flash.requests == type(flash.requests)()


@pytest.mark.parametrize("coupon_id", ["a/b", "a b", "%2e%2e", "?", "#", "ä€😀", "x" * 128, "..a", '"', "<b>", "a;b=c"])
async def test_any_other_scan_is_one_path_segment(till, flash, coupon_id):
    coupon(flash, coupon_id)
    assert told(await redeem(till, "T-1", coupon_id)) == ("succeeded", True, "flash", None)
    assert flash.violations == []


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"attempt": 0}, "attempt"),
        ({"attempt": 1001}, "attempt"),
        ({"attempt": "2"}, "attempt"),
        ({"attempt": True}, "attempt"),
        ({"attempt": 1.5}, "attempt"),
        ({"transactionId": ""}, "transactionId"),
        ({"transactionId": ".."}, "transactionId"),
        ({"businessDate": "25.11.2026"}, "businessDate"),
        ({"customer": {}}, "customer"),
    ],
    ids=str,
)
async def test_each_fault_is_named_and_nothing_is_stored(till, flash, fields, fault):
    answer = await redeem(till, **fields)
    assert (answer.status, answer.json["stored"]) == (422, False)
    assert [each["field"] for each in answer.json["errors"]] == [fault]
    assert (await till.call("GET", "/v1/operations")).json["operations"] == []


async def test_a_void_is_of_one_basket_of_one_day(till, flash):
    day = {"businessDate": "2026-11-25"}
    assert told(await redeem(till, **day)) == ("succeeded", True, "flash", None)
    for other in ({}, {"businessDate": "2026-11-26"}):
        assert (await void(till, **other)).json["credit"] is None
    assert told(await redeem(till, **day)) == ("succeeded", True, "flash", None)
    assert (await void(till, **day)).json["credit"] == "open"
    assert told(await redeem(till, **day)) == ("succeeded", False, "voided", "open")


async def test_an_idempotency_key_is_of_one_redemption(till, flash):
    coupon(flash, "C-6")
    body = {"couponId": COUPON, "transactionId": "T-1"}
    first = await till.call("POST", "/v1/redemptions", body, Idempotency_Key="k1")
    again = await till.call("POST", "/v1/redemptions", body, Idempotency_Key="k1")
    assert (told(again), again.json["replayed"]) == (told(first), True)
    other = await till.call("POST", "/v1/redemptions", {**body, "couponId": "C-6"}, Idempotency_Key="k1")
    assert (other.status, other.json["code"]) == (409, "idempotency-conflict")
    assert burns(flash, "C-6") == 0
