"""A refund that was declined before its sale was known begins anew once it is: once, under a key of its own."""

import asyncio

import pytest

from tests.contract.test_api_refunds import refund
from tests.support.agents import running, settings, strict_flash


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def online(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        yield register


async def declined(register, **fields):
    """A refund of a sale that nobody knows yet."""
    early = await refund(register, amount=60, ifKnown=True, wait=10, **fields)
    assert (early.json["status"], early.json["error"]["code"]) == ("declined", "order-unknown")
    return early


def clawed_back(flash):
    """What Flash took back, by its own book."""
    books = [order for tenant in flash.state.tenants.values() for order in tenant.orders.items()]
    return {order_id: order["refunded"] for order_id, order in books if float(order["refunded"])}


async def test_however_often_it_is_asked_for_it_takes_back_once(online, flash):
    early = await declined(online)
    await online.sell(wait=10)
    answers = await asyncio.gather(*(refund(online, amount=60, ifKnown=True, wait=10) for _ in range(12)))
    ids = {answer.json["id"] for answer in answers}
    assert len(ids) == 1
    assert early.json["id"] not in ids
    assert {answer.json["status"] for answer in answers} == {"succeeded"}
    assert {float(amount) for amount in clawed_back(flash).values()} == {60.0}
    keys = [seen.request.key for seen in flash.requests if "refund" in seen.request.below]
    assert keys == ["refund-90871:r1", "refund-90871:r1.2"]  # Flash replays its refusal under the first one
    assert flash.doubles() == {}


async def test_the_first_ones_answer_stays_what_it_was(online, flash):
    """Whoever asks under the register's own key, or for the operation, hears of the one that was declined."""
    early = await declined(online, key="once")
    await online.sell(wait=10)
    anew = await refund(online, amount=60, ifKnown=True, wait=10, key="twice")
    for key, operation in (("once", early), ("twice", anew), ("once", early)):
        again = await refund(online, amount=60, ifKnown=True, key=key)
        assert (again.json["id"], again.json["status"]) == (operation.json["id"], operation.json["status"])
        assert again.headers["Idempotency-Replayed"] == "true"
    assert (await online.operation(early.json["id"]))["status"] == "declined"
    for way, body in (("retry", None), ("discard", {"reason": "no"})):
        refused = await online.call("POST", f"/v1/operations/{early.json['id']}/{way}", body, scope="operator")
        assert (refused.status, refused.json["code"]) == (409, "illegal-transition")
    assert len(clawed_back(flash)) == 1


async def test_what_was_declined_is_no_first_amount_and_what_began_anew_is_one(online):
    await declined(online)
    await online.sell(wait=10)
    other = await refund(online, amount=50, ifKnown=True, wait=10)
    assert other.json["status"] == "succeeded"
    conflict = await refund(online, amount=60, ifKnown=True)
    assert (conflict.status, conflict.json["operation"]["id"]) == (409, other.json["id"])
    over = await refund(online, "r2", amount=71)
    assert over.status == 422  # of 120 are 70 left: what was declined took nothing


async def test_what_was_declined_takes_nothing_from_the_rest_of_its_sale(online, flash):
    await declined(online)
    await online.sell(wait=10)
    rest = await refund(online, "r2", wait=10)
    assert (rest.json["status"], rest.json["request"]["amount"]) == ("succeeded", 120)
    assert {float(amount) for amount in clawed_back(flash).values()} == {120.0}


async def test_one_whose_sale_this_till_knows_is_never_declined_for_want_of_it(online, flash):
    """Flash may only be slow to know what it has said yes to; `ifKnown` is for sales that nobody knows."""
    await online.sell(wait=10)
    flash.fault("status", status=404, path="/refund$", times=1)
    early = await refund(online, amount=60, ifKnown=True)
    settled = await online.settled(early.json["id"])
    assert (settled["status"], settled["attempts"]) == ("succeeded", 2)
    assert {float(amount) for amount in clawed_back(flash).values()} == {60.0}


async def test_one_that_waits_for_its_sale_goes_on_and_does_not_begin_anew(online, flash):
    waits = await refund(online, amount=60, wait=10)
    assert (waits.json["status"], waits.json["error"]["code"]) == ("pending", "order-unknown")
    assert waits.json["attempts"] == 1  # asked again at once Flash would not know it either
    await online.sell(wait=10)
    again = await refund(online, amount=60)
    assert (again.json["id"], again.json["replayed"]) == (waits.json["id"], True)
    left = await refund(online, "r2", wait=10)
    assert left.json["request"]["amount"] == 60
    assert len((await online.call("GET", "/v1/operations?kind=refund")).json["operations"]) == 2


async def test_one_that_is_refused_anew_leaves_everything_as_it_was(online):
    early = await declined(online)
    await online.sell(wait=10)
    assert (await refund(online, amount=500, ifKnown=True)).status == 422
    assert [o["id"] for o in (await online.call("GET", "/v1/operations?kind=refund")).json["operations"]] == [
        early.json["id"]
    ]
    anew = await refund(online, amount=60, ifKnown=True, wait=10)
    assert (anew.json["status"], anew.json["idempotencyKey"]) == ("succeeded", "refund-90871:r1.2")


async def test_a_dry_run_says_that_it_would_begin_anew_and_changes_nothing(online):
    early = await declined(online)
    await online.sell(wait=10)
    line = b'{"kind": "refund", "document": {"externalOrderId": "90871", "refundId": "r1", "amount": 60}}\n'
    lines = {"raw": line, "Content_Type": "application/x-ndjson"}
    for _ in range(2):
        dry = await online.call("POST", "/v1/documents/canonical?dryRun=true", **lines)
        assert dry.json["items"][0]["outcome"] == "accepted"
    real = await online.call("POST", "/v1/documents/canonical", **lines)
    assert real.json["items"][0]["operation"]["id"] != early.json["id"]
    assert (await online.settled(real.json["items"][0]["operation"]["id"]))["status"] == "succeeded"
    assert (await online.call("POST", "/v1/documents/canonical", **lines)).json["items"][0]["outcome"] == "replayed"


async def test_it_survives_a_restart_between(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        await declined(register)
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        await register.sell()
        anew = await refund(register, amount=60, ifKnown=True)
        assert anew.json["status"] == "pending"
        assert (await refund(register, amount=60, ifKnown=True)).json["id"] == anew.json["id"]
    flash.start()
    async with running(tmp_path, settings(flash.base_url)) as register:
        assert (await register.settled(anew.json["id"]))["status"] == "succeeded"
        assert (await refund(register, amount=60, ifKnown=True)).json["id"] == anew.json["id"]
    assert {float(amount) for amount in clawed_back(flash).values()} == {60.0}


async def test_one_that_failed_is_an_operators_to_try_again(tmp_path, flash):
    """It waited for its sale for too long; beside a second one under another key its own retry would count again."""
    async with running(tmp_path, settings(flash.base_url, relay={"order_wait_h": 1e-6})) as register:
        waited = await refund(register, amount=60, wait=1)
        failed = await register.settled(waited.json["id"])
        assert (failed["status"], failed["error"]["code"]) == ("failed", "order-unknown")
        await register.call("POST", f"/v1/operations/{waited.json['id']}/retry", scope="operator")
        once_more = await register.settled(waited.json["id"])  # it has waited: a retry asks once
        assert (once_more["status"], once_more["attempts"]) == ("failed", failed["attempts"] + 1)
        sale = await register.sell(wait=10)
        assert sale.json["status"] == "succeeded"
        again = await refund(register, amount=60)
        assert (again.json["id"], again.json["status"]) == (waited.json["id"], "failed")
        await register.call("POST", f"/v1/operations/{waited.json['id']}/retry", scope="operator")
        assert (await register.settled(waited.json["id"]))["status"] == "succeeded"
    assert {float(amount) for amount in clawed_back(flash).values()} == {60.0}
