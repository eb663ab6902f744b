"""The coupons of a day, with the strict server: honored, refused, owed, lost, and those whose sale never came."""

import sqlite3
from datetime import date, timedelta

import pytest

from agent import outbox
from agent.outbox.day import REDEEMED
from tests.support.agents import running, settings, strict_flash, until
from tests.support.redeeming import MEMBER, coupon, redeem, void

DAY = (date.today() - timedelta(days=3)).isoformat()  # noqa: DTZ011 - the till's own day
THE_DAY_BEFORE = (date.today() - timedelta(days=4)).isoformat()  # noqa: DTZ011


@pytest.fixture
def flash():
    with strict_flash() as server:
        server.set(strict_redeem=False)
        for number in range(1, 8):
            coupon(server, f"C-{number}")
        yield server


async def redemptions(register, day=DAY):
    answer = await register.call("GET", f"/v1/summary?businessDate={day}")
    assert answer.status == 200, answer
    return answer.json["redemptions"]


async def test_the_coupons_of_a_day(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        await redeem(register, "T-1", "C-1", businessDate=DAY)
        await register.sell("1", wait=10, businessDate=DAY, transactionId="T-1")
        without = await redeem(register, "T-2", "C-2", businessDate=DAY)
        await redeem(register, "T-3", "C-1", businessDate=DAY)  # used
        await redeem(register, "T-4", "C-4", businessDate=DAY)
        await void(register, "T-4", "C-4", businessDate=DAY)
        await redeem(register, "T-5", "C-5", businessDate=DAY)
        await void(register, "T-5", "C-5", businessDate=DAY)
        await redeem(register, "T-6", "C-5", businessDate=DAY)  # takes the credit
        await register.sell("6", wait=10, businessDate=DAY, transactionId="T-6")
        await redeem(register, "T-7", "C-7", wait=0, businessDate=DAY)
        shown = await redemptions(register)
        assert shown["honoredByBasis"] == {"earlier-redemption": 1, "flash": 2}
        assert shown["notHonoredByBasis"] == {"flash": 1, "not-sent": 1, "voided": 2}
        assert (shown["honored"], shown["notHonored"], shown["unconfirmed"]) == (3, 4, 0)
        assert shown["credits"] == {"open": 1, "used": 1, "closed": 0, "openInAll": 1}
        assert shown["withoutSale"] == {"count": 1, "operations": [without.json["id"]]}
        assert (shown["offline"]["count"], shown["offline"]["value"]) == (0, "0.00")
        other = await redemptions(register, THE_DAY_BEFORE)
        assert (other["honored"], other["notHonored"], other["credits"]["openInAll"]) == (0, 0, 1)
        await register.sell("2", wait=10, businessDate=DAY, transactionId="T-2")
        assert (await redemptions(register))["withoutSale"] == {"count": 0, "operations": []}


async def test_a_coupon_that_is_perhaps_burned_and_what_came_of_it(tmp_path, flash):
    chosen = settings(flash.base_url, flash={"attempt_timeout_s": 0.6})
    async with running(tmp_path, chosen) as register:
        flash.fault("lost-answer", path="/redeem$")
        answer = await redeem(register, "T-1", "C-1", wait=0.5, businessDate=DAY)
        assert answer.json["basis"] == "unconfirmed"
        flash.stop()
        shown = await redemptions(register)
        assert (shown["unconfirmed"], shown["honored"], shown["notHonored"]) == (1, 0, 1)
        flash.clear()
        flash.start()
        await register.settled(answer.json["id"])
        shown = await redemptions(register)
        assert (shown["unconfirmed"], shown["credits"]["open"]) == (0, 1)


@pytest.mark.parametrize(
    ("redeemed_on", "sold_on", "found"),
    [(DAY, DAY, True), (DAY, THE_DAY_BEFORE, False), (DAY, None, True), (None, DAY, True), (None, None, True)],
)
async def test_a_basket_number_that_comes_again_is_another_basket(tmp_path, flash, redeemed_on, sold_on, found):
    def dated(day):
        return {} if day is None else {"businessDate": day}

    async with running(tmp_path, settings(flash.base_url)) as register:
        honored = (await redeem(register, "T-1", "C-1", **dated(redeemed_on))).json
        assert honored["honor"] is True
        await register.sell("1", wait=10, transactionId="T-1", **dated(sold_on))
        today = date.today().isoformat()  # noqa: DTZ011 - the till's own day
        shown = await redemptions(register, redeemed_on or today)
        assert (shown["honored"], shown["withoutSale"]["count"]) == (1, 0 if found else 1)


async def test_a_sale_that_an_operator_discarded_is_none(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        await redeem(register, "T-1", "C-1", businessDate=DAY)
        flash.poison("1", 422)
        sale = await register.sell("1", wait=10, businessDate=DAY, transactionId="T-1")
        assert (await redemptions(register))["withoutSale"]["count"] == 0
        await register.call("POST", f"{sale.json['href']}/discard", {"reason": "x"}, scope="operator")
        assert (await redemptions(register))["withoutSale"]["count"] == 1


async def test_coupons_honored_offline_and_the_one_that_was_lost(tmp_path, flash):
    member = flash.state.tenant("t1").member(externalId="POS-CUST-5512")
    for name in ("kept", "lost"):
        terms = {"type": "amount", "value": 5}
        row = {"id": name, "memberId": member["id"], "uses": 1, "used": 0, "terms": terms}
        flash.state.seed("coupon", "t1", row)
    chosen = settings(
        flash.base_url,
        coupons={"offline": "limited", "max_per_member": 9},
        members={"lookup_budget_ms": 3000},
        flash={"attempt_timeout_s": 1.0},
    )
    async with running(tmp_path, chosen) as register:
        seen = await register.call("GET", f"/v1/members?externalId={MEMBER['externalId']}")
        assert {"kept", "lost"} <= {each["id"] for each in seen.json["coupons"]}
        flash.stop()
        for name in ("kept", "lost"):
            answer = await redeem(register, f"T-{name}", name, businessDate=DAY)
            assert (answer.json["honor"], answer.json["basis"]) == (True, "offline-policy")
        flash.state.tenant("t1").coupons["lost"]["used"] = 1  # by another till
        shown = await redemptions(register)
        assert shown["honoredByBasis"] == {"offline-policy": 2}
        assert shown["unconfirmed"] == 0  # they are owed, and no question
        assert (shown["offline"]["count"], shown["offline"]["value"], shown["offline"]["lost"]) == (2, "10.00", 0)
        flash.start()

        async def lost():
            return (await redemptions(register))["offline"]["lost"] == 1

        await until(lost)
        offline = (await redemptions(register))["offline"]
        assert offline == {
            "count": 2, "value": "10.00", "unvalued": 0, "lost": 1, "lostValue": "5.00", "lostUnvalued": 0,
            "currency": "USD",
        }  # fmt: skip


async def test_a_forgotten_members_sales_are_counted_and_in_no_sum(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        await register.sell("1", "10.00", wait=10, businessDate=DAY)
        other = {"externalId": "nobody"}
        await register.sell("2", "7.50", wait=10, businessDate=DAY, customer=other)
        forgotten = await register.call("POST", "/v1/members/forget", MEMBER, scope="operator")
        assert forgotten.status == 200, forgotten
        shown = (await register.call("GET", f"/v1/summary?businessDate={DAY}")).json
        assert (shown["complete"], shown["stripped"], shown["forgotten"]) == (False, 0, 1)
        assert (shown["sales"]["count"], shown["sales"]["amounts"]) == (2, {"USD": "7.50"})


def test_no_look_scans_the_table():
    connection = sqlite3.connect(":memory:")
    connection.executescript(outbox.SCHEMA.read_text("utf-8"))
    try:
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {REDEEMED.format(seqs='?, ?')}", [1, 2])]
    finally:
        connection.close()
    assert not [step for step in steps if step.startswith("SCAN")], steps
    assert "SEARCH sale USING INDEX operation_basket (basket=?)" in steps
