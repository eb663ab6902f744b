"""What a look-up saw of a coupon is what the offline policy goes by."""

import pytest

from tests.support.agents import running, settings, strict_flash

ADA = "POS-CUST-5512"


@pytest.fixture
def flash():
    with strict_flash(in_flight_limit=16) as server:
        server.add_coupon("CPN-1", server.add_member(externalId=ADA))
        yield server


async def redeem(till, coupon, **customer):
    body = {"couponId": coupon, "transactionId": "T-1", "customer": customer}
    return (await till.call("POST", "/v1/redemptions", body)).json


async def test_a_coupon_seen_for_the_member_is_honored_offline_and_no_other(tmp_path, flash):
    chosen = settings(flash.base_url, coupons={"offline": "limited"}, members={"lookup_budget_ms": 3000})
    async with running(tmp_path, chosen) as till:
        assert (await till.call("GET", f"/v1/members?externalId={ADA}")).json["coupons"]
        flash.stop()
        honored = await redeem(till, "CPN-1", externalId=ADA)
        assert (honored["honor"], honored["basis"]) == (True, "offline-policy")
        assert honored["coupon"]["id"] == "CPN-1"
        assert (await redeem(till, "CPN-2", externalId=ADA))["honor"] is False
        flash.start()


async def test_a_coupon_of_another_member_is_not_honored_offline(tmp_path, flash):
    flash.add_member(externalId="other")
    chosen = settings(flash.base_url, coupons={"offline": "limited"}, members={"lookup_budget_ms": 3000})
    async with running(tmp_path, chosen) as till:
        for who in (ADA, "other"):
            await till.call("GET", f"/v1/members?externalId={who}")
        flash.stop()
        assert (await redeem(till, "CPN-1", externalId="other"))["honor"] is False
        flash.start()


async def test_a_burned_coupon_is_not_shown_from_a_fresh_snapshot(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url, members={"lookup_budget_ms": 3000})) as till:
        path = f"/v1/members?externalId={ADA}"
        (coupon,) = (await till.call("GET", path)).json["coupons"]
        assert coupon["status"] == "active"
        assert (await redeem(till, "CPN-1", externalId=ADA))["honor"] is True
        (coupon,) = (await till.call("GET", path)).json["coupons"]
        assert coupon["status"] == "redeemed"


async def test_a_refused_coupon_is_not_shown_from_a_fresh_snapshot(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url, members={"lookup_budget_ms": 3000})) as till:
        path = f"/v1/members?externalId={ADA}"
        (coupon,) = (await till.call("GET", path)).json["coupons"]
        assert coupon["status"] == "active"
        used = {"kind": "redeem", "tenant": "t1", "row": {"id": "CPN-1"}, "points": 0}
        flash.state._apply(used, ledger=False)  # at another till
        flash.set(strict_redeem=False)
        assert (await redeem(till, "CPN-1", externalId=ADA))["status"] == "declined"
        (coupon,) = (await till.call("GET", path)).json["coupons"]
        assert coupon["status"] == "redeemed"
