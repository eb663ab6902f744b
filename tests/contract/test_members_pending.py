"""What a look-up says of sales, refunds and enrollments that Flash has not seen yet."""

import pytest

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


@pytest.fixture
async def old_till(tmp_path, flash):
    """A till whose snapshots are never fresh."""
    async with running(tmp_path, chosen(flash, members={"fresh_s": 0})) as register:
        yield register


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
