"""Redemptions under `limited`: what may be honored without Flash's word, what becomes of it, and the ledger of it."""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agent.clock import Clock
from tests.support.agents import WRITE_KEY, running, settings, strict_flash, until
from tests.support.redeeming import (
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

OFFLINE = ("pending", True, "offline-policy", None)
NOT_SENT = ("declined", False, "not-sent", None)


@pytest.fixture
def flash():
    with strict_flash() as server:
        server.set(strict_redeem=False)
        coupon(server)
        coupon(server, "C-6")
        yield server


def limited(flash, **coupons):
    return settings(flash.base_url, flash={"attempt_timeout_s": 0.6}, coupons={"offline": "limited", **coupons})


@pytest.fixture
def clock():
    return EndingClock()


@pytest.fixture
async def till(tmp_path, flash, clock):
    async with running(tmp_path, limited(flash, max_per_member=5), clock) as register:
        await look_up(register)
        yield register


async def look_up(register, external_id="POS-CUST-5512"):
    async def seen():
        answer = await register.call("GET", f"/v1/members?externalId={external_id}")
        assert answer.status == 200
        return answer.json["coupons"]

    await until(seen)  # on a busy machine not within the first look-up's budget


async def exposure(register, **query):
    terms = "&".join(f"{name}={value}" for name, value in query.items())
    return (await register.call("GET", f"/v1/exposure?{terms}")).json


async def test_offline_a_coupon_that_the_till_saw_is_honored_and_burned_later(till, flash):
    flash.stop()
    answer = await redeem(till)
    assert (answer.status, told(answer)) == (202, OFFLINE)
    assert answer.json["coupon"]["status"] == "active"
    assert told(await redeem(till)) == OFFLINE
    assert told(await redeem(till, "T-2"))[1:3] == (False, "unconfirmed")
    flash.start()
    settled = await till.settled(answer.json["id"])
    assert (settled["status"], settled["honor"], settled["basis"]) == ("succeeded", True, "offline-policy")
    assert burns(flash) == 1
    assert told(await redeem(till, "T-3")) == ("declined", False, "flash", None)
    sheet = await exposure(till)
    assert (sheet["total"]["count"], sheet["total"]["confirmed"], sheet["total"]["lost"]) == (1, 1, 0)
    assert flash.violations == []


async def test_one_that_was_late_on_a_line_that_works_is_not_honored(till, flash):
    assert told(await redeem(till, wait=0)) == NOT_SENT
    assert posts(flash) == []


async def test_one_that_was_honored_offline_cannot_be_discarded_before_flash_has_heard_of_it(till, flash):
    flash.stop()
    honored = await redeem(till)
    assert told(honored) == OFFLINE
    reason = {"reason": "entered twice"}
    refused = await till.call("POST", f"/v1/operations/{honored.json['id']}/discard", reason, scope="operator")
    assert (refused.status, refused.json["code"]) == (409, "illegal-transition")
    flash.start()
    assert (await till.settled(honored.json["id"]))["status"] == "succeeded"
    assert burns(flash) == 1


async def test_one_that_flash_refuses_later_is_the_stores_loss(till, flash):
    flash.stop()
    answer = await redeem(till, businessDate="2026-11-25")
    flash.state._apply(
        {"kind": "redeem", "tenant": "t1", "row": {"id": "C-5"}, "points": 0}, ledger=False
    )  # at another till
    flash.start()
    settled = await till.settled(answer.json["id"])
    assert (settled["status"], settled["honor"], settled["error"]["code"]) == ("failed", True, "honored-offline")
    assert "coupons-honored-offline-lost" in await till.conditions()
    sheet = await exposure(till, businessDate="2026-11-25")
    assert (sheet["total"]["count"], sheet["total"]["lost"], sheet["redemptions"][0]["lost"]) == (1, 1, True)
    metrics = (await till.call("GET", "/metrics", scope="operator")).json
    assert 'flash_agent_redemptions{state="lost"} 1.0' in metrics
    discarded = await till.call(
        "POST", f"/v1/operations/{answer.json['id']}/discard", {"reason": "noted"}, scope="operator"
    )
    assert discarded.json["status"] == "discarded"
    assert "coupons-honored-offline-lost" not in await till.conditions()
    assert (await exposure(till, businessDate="2026-11-25"))["total"]["lost"] == 1
    flash.stop()
    assert told(await redeem(till, "T-2")) == NOT_SENT  # the store loses it once


@pytest.mark.parametrize(("burned", "status", "lost"), [(True, "succeeded", 0), (False, "declined", 1)])
async def test_an_operator_who_knows_better_gives_no_second_discount(till, flash, burned, status, lost):
    flash.stop()
    answer = await redeem(till, businessDate="2026-11-25")
    flash.state._apply(
        {"kind": "redeem", "tenant": "t1", "row": {"id": "C-5"}, "points": 0}, ledger=False
    )  # at another till
    flash.start()
    await till.settled(answer.json["id"])
    path = f"/v1/operations/{answer.json['id']}/close"
    closed = await till.call("POST", path, {"reason": "looked", "burned": burned}, scope="operator")
    assert (closed.json["status"], closed.json["honor"], closed.json["credit"]) == (status, True, None)
    assert (await exposure(till, businessDate="2026-11-25"))["total"]["lost"] == lost
    assert told(await redeem(till, "T-2")) == ("declined", False, "flash", None)


async def test_an_unknown_one_is_honored_and_asked_for_under_the_same_key(till, flash, clock):
    flash.fault("lost-answer", path="/redeem$")
    answer = await redeem_in_vain(till, flash, clock)
    assert told(answer) == OFFLINE
    flash.clear()
    assert (await till.settled(answer.json["id"]))["status"] == "succeeded"
    assert burns(flash) == 1
    assert len({seen.request.key for seen in posts(flash)}) == 1
    assert told(await redeem(till, "T-2")) == ("declined", False, "flash", None)


async def test_online_flash_is_asked(till, flash):
    assert told(await redeem(till)) == ("succeeded", True, "flash", None)
    flash.stop()
    assert told(await redeem(till, "T-2")) == NOT_SENT  # used here
    assert (await exposure(till))["total"]["count"] == 0


async def test_what_flash_refused_is_not_honored_offline_by_an_older_look(till, flash):
    flash.state._apply({"kind": "redeem", "tenant": "t1", "row": {"id": "C-5"}, "points": 0}, ledger=False)
    assert told(await redeem(till)) == ("declined", False, "flash", None)  # another till burned it since the look-up
    flash.stop()
    assert told(await redeem(till, attempt=2)) == NOT_SENT
    assert told(await redeem(till, "T-2")) == NOT_SENT
    assert told(await redeem(till, "T-2", "C-6")) == OFFLINE


async def test_what_was_not_burned_by_a_lost_request_may_be_honored_offline(tmp_path, flash, clock):
    async with running(tmp_path, limited(flash, max_per_member=5, max_snapshot_age_h=0.0000001), clock) as till:
        await look_up(till)
        flash.fault("hang", path="/redeem$")
        answer = await redeem_in_vain(till, flash, clock)
        assert told(answer) == ("pending", False, "unconfirmed", None)
        flash.clear()
        settled = await till.settled(answer.json["id"], 20)
        assert (settled["status"], settled["error"]["code"]) == ("declined", "not-burned")
    async with running(tmp_path, limited(flash)) as till:
        await look_up(till)
        flash.stop()
        assert told(await redeem(till, "T-2")) == OFFLINE


async def test_a_coupon_of_another_member_or_never_seen_is_not_honored_offline(till, flash):
    flash.stop()
    assert told(await redeem(till, customer={"externalId": "other"})) == NOT_SENT
    assert told(await redeem(till, "T-2", "C-99")) == NOT_SENT


async def test_without_a_customer_the_member_is_whoever_was_seen_with_it(till, flash):
    flash.stop()
    assert told(await redeem(till, customer=None)) == OFFLINE


@pytest.mark.parametrize(("limits", "second"), [({"max_per_day": 1}, NOT_SENT), ({"max_per_member": 1}, NOT_SENT)])
async def test_the_days_limits_hold(tmp_path, flash, limits, second):
    async with running(tmp_path, limited(flash, **{"max_per_member": 5, **limits})) as till:
        await look_up(till)
        flash.stop()
        day = {"businessDate": "2026-11-25"}
        answers = await asyncio.gather(redeem(till, **day), redeem(till, "T-2", "C-6", **day))
        assert sorted(told(answer) for answer in answers) == sorted([OFFLINE, second])
        honored = next(number for number, answer in enumerate(answers) if answer.json["honor"])
        other = ("C-6", "C-5")[honored]
        assert told(await redeem(till, "T-3", other, businessDate="2026-11-26")) == OFFLINE
        assert (await exposure(till, **day))["limits"]["maxPerDay"] == limits.get("max_per_day", 20)


@pytest.mark.parametrize(
    ("fields", "max_value", "honored"),
    [
        ({}, None, True),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, None, False),
        ({"expiresAt": "what?"}, None, False),
        ({"expiresAt": "2999-01-01T00:00:00Z"}, None, True),
        ({"terms": {"type": "amount", "value": 5}}, Decimal(5), True),
        ({"terms": {"type": "amount", "value": 6}}, Decimal(5), False),
        ({"terms": {"type": "percent", "value": 5}}, Decimal(5), False),
    ],
    ids=str,
)
async def test_expiry_and_value(tmp_path, flash, fields, max_value, honored):
    flash.state.tenant("t1").coupons["C-5"].update(fields)
    async with running(tmp_path, limited(flash, max_value=max_value)) as till:
        await look_up(till)
        flash.stop()
        answer = await redeem(till)
        assert answer.json["honor"] is honored
        value = (await exposure(till))["total"]["value"]
        assert value == ("5" if honored and "terms" in fields else None)


class Later(Clock):
    """A clock that was set on while the agent was off."""

    def __init__(self, **delta):
        super().__init__()
        self._delta = timedelta(**delta)
        self._offset_s += self._delta.total_seconds()

    def now(self):
        return datetime.now(UTC) + self._delta


@pytest.mark.parametrize("delta", [{}, {"days": 365}, {"days": -365}], ids=str)
async def test_after_a_restart_without_a_word_of_flash_the_time_is_not_known(tmp_path, flash, delta):
    async with running(tmp_path, limited(flash)) as till:
        await look_up(till)
    flash.stop()
    async with running(tmp_path, limited(flash), Later(**delta)) as till:
        assert told(await redeem(till)) == NOT_SENT


class Advancing(Clock):
    """Time that passes when a test says so."""

    passed_ms = 0

    def steady_ms(self):
        return super().steady_ms() + self.passed_ms


@pytest.mark.parametrize(("hours", "expected"), [(23, OFFLINE), (25, NOT_SENT)])
async def test_an_old_snapshot_does_not_count(tmp_path, flash, hours, expected):
    clock = Advancing()
    async with running(tmp_path, limited(flash), clock) as till:
        await look_up(till)
        flash.stop()
        clock.passed_ms = hours * 3_600_000
        assert told(await redeem(till)) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="its monotonic clock stands still while the machine sleeps")
@pytest.mark.parametrize(("hours", "expected"), [(23, OFFLINE), (25, NOT_SENT)])
async def test_a_snapshot_grows_old_while_the_till_sleeps(tmp_path, flash, monkeypatch, hours, expected):
    async with running(tmp_path, limited(flash)) as till:
        await look_up(till)
        flash.stop()
        read, slept_s = time.clock_gettime, hours * 3600
        monkeypatch.setattr(
            time, "clock_gettime", lambda which: read(which) + (slept_s if which == time.CLOCK_BOOTTIME else 0)
        )
        assert told(await redeem(till)) == expected


@pytest.mark.parametrize("hold", ["key", "endpoint"])
async def test_held_nothing_is_honored(tmp_path, flash, hold):
    async with running(tmp_path, limited(flash)) as till:
        await look_up(till)
        if hold == "key":
            flash.revoke(WRITE_KEY)
        else:
            flash.deny(WRITE_KEY, "POST /coupons/{id}/redeem")
        for number in range(2):
            assert told(await redeem(till, f"T-{number}")) == NOT_SENT


async def test_voided_before_it_was_sent_it_never_is(till, flash):
    flash.stop()
    answer = await redeem(till)
    assert (await void(till)).json["credit"] is None
    assert told(await redeem(till)) == ("declined", False, "voided", None)
    assert (await exposure(till))["total"]["count"] == 0
    flash.start()
    sale = await till.sell()
    await till.settled(sale.json["id"])
    assert (await till.operation(answer.json["id"]))["status"] == "declined"
    assert posts(flash) == []


async def test_a_register_that_hangs_up_got_no_discount(till, flash):
    flash.fault("hang", path="/redeem$")
    await redeem_and_hang_up(till, flash, when=posts, wait=1)

    async def is_decided():
        (operation,) = (await till.call("GET", "/v1/operations?kind=redemption")).json["operations"]
        return operation["status"] != "pending" and not operation["honor"]

    flash.clear()
    await until(is_decided)
    assert (await exposure(till))["total"]["count"] == 0


async def test_the_ledger_keeps_its_sums_and_forgets_the_member(till, flash):
    flash.stop()
    answer = await redeem(till)
    known = (await exposure(till))["members"][0]["member"]
    assert known != "forgotten"
    forgot = await till.call("POST", "/v1/members/forget", {"externalId": "POS-CUST-5512"}, scope="operator")
    assert forgot.status == 200
    sheet = await exposure(till)
    assert [(each["member"], each["count"]) for each in sheet["members"]] == [("forgotten", 1)]
    flash.start()
    assert (await till.settled(answer.json["id"]))["status"] == "succeeded"
    assert burns(flash) == 1


async def test_the_sheet_and_the_status_agree(till, flash):
    flash.stop()
    await redeem(till)
    await redeem(till, "T-2", "C-6")
    sheet, status = await exposure(till), await till.status()
    assert sheet["policy"] == "limited"
    assert sheet["total"]["count"] == status["exposure"]["count"] == 2
    assert [(each["tillId"], each["count"]) for each in sheet["tills"]] == [("till-1", 2)]
    assert [each["count"] for each in sheet["members"]] == [2]
    wrong = await till.call("GET", "/v1/exposure?businessDate=x")
    assert (wrong.status, wrong.json["errors"]) == (
        422,
        [{"field": "businessDate", "message": "must be a date, such as 2026-11-22"}],
    )
    assert (await exposure(till, businessDate="2020-01-01"))["total"]["count"] == 0
