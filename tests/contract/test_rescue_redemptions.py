"""Coupons of a dead till: asked about and never burned behind a customer's back; what is owed to one goes along."""

import contextlib
import sqlite3

import pytest

from tests.support.agents import running, settings, strict_flash
from tests.support.redeeming import MEMBER, burns, coupon, posts, redeem, told, void
from tests.support.rescuing import carry, left_on

A, B = {"till_id": "till-A"}, {"till_id": "till-B"}


@pytest.fixture
def flash():
    with strict_flash() as server:
        server.set(strict_redeem=False)
        coupon(server)
        yield server


def chosen(flash, store, **sections):
    return settings(flash.base_url, flash={"attempt_timeout_s": 0.5}, store=store, **sections)


async def leave_unknown(register, flash, fault="lost-answer", *, looked_up=True):
    """A redemption of which the till never heard; Flash is down afterwards, and the till dies."""
    if looked_up:
        await register.call("GET", "/v1/members?externalId=POS-CUST-5512")
    flash.fault(fault, path="/redeem$")
    answer = await redeem(register, wait=0.5, businessDate="2026-03-14")
    assert told(answer) == ("pending", False, "unconfirmed", None)
    flash.stop()
    flash.clear()
    return answer.json["id"]


async def test_one_that_was_burned_and_never_heard_of_is_owed_at_the_other_till(tmp_path, flash):
    async with running(tmp_path / "a", chosen(flash, A)) as register:
        operation_id = await leave_unknown(register, flash)
    assert burns(flash) == 1
    rescue = await left_on(tmp_path / "a")
    flash.start()
    async with running(tmp_path / "b", chosen(flash, B)) as other:
        assert await carry(rescue, other) == ["taken"]
        settled = await other.settled(operation_id)
        assert (settled["status"], settled["honor"], settled["credit"]) == ("succeeded", False, "open")
        assert len({(seen.request.key, seen.request.headers["user-agent"]) for seen in posts(flash)}) == 1
        assert told(await redeem(other, "T-9")) == ("succeeded", True, "earlier-redemption", None)
        assert told(await redeem(other, "T-10")) == ("declined", False, "flash", None)
    assert burns(flash) == 1
    assert flash.violations == []


async def test_one_that_never_reached_flash_is_not_burned_now(tmp_path, flash):
    async with running(tmp_path / "a", chosen(flash, A)) as register:
        operation_id = await leave_unknown(register, flash, "hang")
    assert burns(flash) == 0
    sent = len(posts(flash))
    rescue = await left_on(tmp_path / "a")
    flash.start()
    async with running(tmp_path / "b", chosen(flash, B)) as other:
        assert await carry(rescue, other) == ["taken"]
        settled = await other.settled(operation_id)
        assert (settled["status"], settled["error"]["code"]) == ("declined", "not-burned")
        assert len(posts(flash)) == sent
        assert told(await redeem(other, "T-9"))[1] is True  # and the customer still has it
    assert burns(flash) == 1


@pytest.mark.parametrize(("maybe_sent", "status"), [(0, "declined"), (1, "pending")])
async def test_one_whose_register_went_down_with_the_till_is_never_first_burned(tmp_path, flash, maybe_sent, status):
    async with running(tmp_path / "a", chosen(flash, A)) as register:
        operation_id = await leave_unknown(register, flash, "hang")
    with contextlib.closing(sqlite3.connect(tmp_path / "a" / "agent.db")) as database, database:
        database.execute("UPDATE redemption SET phase = 'posting'")
        database.execute("UPDATE operation SET maybe_sent = ?", [maybe_sent])
    rescue = await left_on(tmp_path / "a")
    async with running(tmp_path / "b", chosen(flash, B)) as other:  # Flash is down: nothing can be asked
        assert await carry(rescue, other) == ["taken"]
        shown = await other.operation(operation_id)
        assert (shown["status"], shown["honor"]) == (status, False)
        sent = len(posts(flash))
        flash.start()
        assert (await other.settled(operation_id))["status"] == "declined"
        assert (len(posts(flash)), burns(flash)) == (sent, 0)


async def test_an_open_credit_goes_along_and_is_honored_once_without_a_burn(tmp_path, flash):
    async with running(tmp_path / "a", chosen(flash, A)) as register:
        assert told(await redeem(register))[1] is True
        assert (await void(register)).json["credit"] == "open"
    rescue = await left_on(tmp_path / "a")
    async with running(tmp_path / "b", chosen(flash, B)) as other:
        assert await carry(rescue, other) == ["taken"]
        assert "coupon-credits-open" in await other.conditions()
        assert told(await redeem(other, "T-9")) == ("succeeded", True, "earlier-redemption", None)
        assert "coupon-credits-open" not in await other.conditions()
        assert await carry(rescue, other) == ["known"]
        assert told(await redeem(other, "T-10")) == ("declined", False, "flash", None)
    assert burns(flash) == 1


async def test_one_that_was_honored_offline_is_burned_under_its_key_and_is_in_no_sheet_of_the_other_till(
    tmp_path, flash
):
    offline = {"coupons": {"offline": "limited"}}
    async with running(tmp_path / "a", chosen(flash, A, **offline)) as register:
        await register.call("GET", "/v1/members?externalId=POS-CUST-5512")
        flash.stop()
        answer = await redeem(register)
        assert told(answer) == ("pending", True, "offline-policy", None)
    rescue = await left_on(tmp_path / "a")
    flash.start()
    async with running(tmp_path / "b", chosen(flash, B, **offline)) as other:
        assert await carry(rescue, other) == ["taken"]
        settled = await other.settled(answer.json["id"])
        assert (settled["status"], settled["honor"], settled["credit"]) == ("succeeded", True, None)
        assert {seen.request.key for seen in posts(flash)} == {answer.json["idempotencyKey"]}
        assert (await other.status())["exposure"]["count"] == 0
        day = settled["acceptedAt"][:10]
        assert (await other.call("GET", f"/v1/summary?businessDate={day}")).json["redemptions"]["honored"] == 0
    assert burns(flash) == 1


async def test_one_that_failed_waits_for_a_person_there_as_here(tmp_path, flash):
    async with running(tmp_path / "a", chosen(flash, A)) as register:
        operation_id = await leave_unknown(register, flash)
        flash.start()
        flash.fault("status", status=404, path="/coupons$")
        assert (await register.settled(operation_id))["status"] == "failed"
    rescue = await left_on(tmp_path / "a")
    flash.clear()
    async with running(tmp_path / "b", chosen(flash, B)) as other:
        assert await carry(rescue, other) == ["taken"]
        assert (await other.operation(operation_id))["status"] == "failed"
        assert "redemptions-unconfirmed" in await other.conditions()
        assert told(await redeem(other, "T-9")) == ("declined", False, "unconfirmed", None)
        path = f"/v1/operations/{operation_id}/close"
        closed = await other.call("POST", path, {"reason": "seen in Flash", "burned": True}, scope="operator")
        assert closed.json["credit"] == "open"
        assert told(await redeem(other, "T-10", customer=MEMBER)) == ("succeeded", True, "earlier-redemption", None)
    assert burns(flash) == 1


@pytest.mark.parametrize(("seen", "told_of"), [(True, ("succeeded", "open")), (False, ("failed", None))])
async def test_what_the_dead_till_had_seen_of_the_coupon_goes_along(tmp_path, flash, seen, told_of):
    async with running(tmp_path / "a", chosen(flash, A)) as register:
        operation_id = await leave_unknown(register, flash, looked_up=seen)
    rescue = await left_on(tmp_path / "a")
    flash.fault("status", status=200, body={"data": []}, path="/coupons$")  # one that lists no used coupons
    flash.start()
    async with running(tmp_path / "b", chosen(flash, B)) as other:
        assert await carry(rescue, other) == ["taken"]
        settled = await other.settled(operation_id)
        assert (settled["status"], settled["credit"]) == told_of
    assert burns(flash) == 1
