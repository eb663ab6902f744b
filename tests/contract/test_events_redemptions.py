"""What listeners hear of redemptions: everything but `honor`, which is given in the answer to a POST alone."""

import pytest

from tests.contract.test_events import kinds, listen
from tests.support.agents import running, settings, strict_flash
from tests.support.redeeming import coupon, redeem, told, void


@pytest.fixture
async def till(tmp_path):
    with strict_flash() as flash:
        flash.set(strict_redeem=False)
        coupon(flash)
        async with running(tmp_path, settings(flash.base_url)) as register:
            yield register


def credit(state):
    return lambda heard: any(each.data.get("credit") == state for each in heard)


async def test_a_redemption_is_told_without_honor_live_and_after_a_resume(till):
    async with listen(till) as stream:
        await stream.until(lambda heard: len(heard) >= 2)
        begin = stream.last_id
        answer = await redeem(till)
        assert told(answer) == ("succeeded", True, "flash", None)
        await stream.until(lambda heard: any(each.data.get("status") == "succeeded" for each in heard))
    async with listen(till, begin) as resumed:
        await resumed.until(lambda heard: any(each.data.get("status") == "succeeded" for each in heard))
    for event in stream.heard + resumed.heard:
        assert "honor" not in event.data
        assert "Coupon accepted" not in event.data.get("receipt", ())
    shown = stream.heard[-1].data
    assert {**shown, "honor": True, "receipt": ["Coupon accepted"]} == await till.operation(answer.json["id"])
    assert "operation" in kinds(resumed.heard)


async def test_a_voided_basket_and_what_becomes_of_its_credit_are_told(till):
    async with listen(till) as stream:
        await redeem(till)
        await void(till)
        await stream.until(credit("open"))
        await stream.until(lambda heard: any("coupon-credits-open" in each.data.get("raised", ()) for each in heard))
        again = (await redeem(till, "T-2")).json
        assert (again["honor"], again["basis"]) == (True, "earlier-redemption")
        await stream.until(credit("used"))
        await stream.until(lambda heard: any("coupon-credits-open" in each.data.get("cleared", ()) for each in heard))
        assert not any("honor" in event.data for event in stream.heard)
