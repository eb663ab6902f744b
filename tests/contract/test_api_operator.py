"""What an operator may do to an operation, and what becomes of those that depend on it."""

import asyncio

import pytest

from tests.support.agents import running, settings, strict_flash

MEMBER = {"externalId": "C-1"}
UNKNOWN = "/v1/operations/op_00000000000000000000000000000000"


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


KEYLESS = settings(flash={"write_key": None})


@pytest.fixture
async def register(tmp_path):
    """A register on an agent that has no key yet: certainly nothing was sent."""
    async with running(tmp_path, KEYLESS) as held:
        yield held


@pytest.fixture
async def online(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        yield register


async def retry(register, operation, scope="operator"):
    return await register.call("POST", f"{operation.json['href']}/retry", scope=scope)


async def discard(register, operation, reason="rung up twice", scope="operator"):
    return await register.call("POST", f"{operation.json['href']}/discard", {"reason": reason}, scope=scope)


async def refund(register, order="90871", refund_id="r1", **fields):
    wait = {"Prefer": f"wait={fields.pop('wait')}"} if "wait" in fields else {}
    body = {"externalOrderId": order, "refundId": refund_id, **fields}
    return await register.call("POST", "/v1/refunds", body, **wait)


def assert_illegal(answer, operation):
    assert (answer.status, answer.json["code"]) == (409, "illegal-transition"), answer
    assert answer.json["operation"]["id"] == operation.json["id"]
    assert answer.json["retryable"] is False


async def test_a_register_may_neither_retry_nor_discard(register):
    sale = await register.sell()
    for answer in (await retry(register, sale, "register"), await discard(register, sale, scope="register")):
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert (await register.operation(sale.json["id"]))["status"] == "pending"


async def test_an_operator_may_do_what_a_register_may(register):
    body = {"externalOrderId": "1", "customer": MEMBER, "totalAmount": 1}
    assert (await register.call("POST", "/v1/sales", body, scope="operator")).status == 202


async def test_an_unknown_operation_is_not_found(register):
    for path, body in ((f"{UNKNOWN}/retry", None), (f"{UNKNOWN}/discard", {"reason": "x"})):
        answer = await register.call("POST", path, body, scope="operator")
        assert (answer.status, answer.json["code"]) == (404, "operation-not-found")


async def test_pending_is_not_retried(register):
    sale = await register.sell()
    assert_illegal(await retry(register, sale), sale)


async def test_succeeded_is_final(online):
    sale = await online.sell(wait=10)
    assert_illegal(await retry(online, sale), sale)
    assert_illegal(await discard(online, sale), sale)
    assert (await online.operation(sale.json["id"]))["status"] == "succeeded"


async def test_discarded_is_final(register):
    sale = await register.sell()
    assert (await discard(register, sale)).status == 200
    assert_illegal(await retry(register, sale), sale)
    assert_illegal(await discard(register, sale), sale)


async def test_what_may_have_reached_flash_is_not_discarded(online, flash):
    flash.fault("lost-answer")
    sale = await online.sell(wait=2)
    assert sale.status == 202
    assert flash.awards == {"90871": 1}
    assert_illegal(await discard(online, sale), sale)
    flash.clear()
    assert (await online.settled(sale.json["id"]))["status"] == "succeeded"
    assert flash.awards == {"90871": 1}


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": 7}, {"reason": None}])
async def test_a_discard_needs_a_reason(register, body):
    sale = await register.sell()
    answer = await register.call("POST", f"{sale.json['href']}/discard", body, scope="operator")
    assert (answer.status, [fault["field"] for fault in answer.json["errors"]]) == (422, ["reason"])
    assert (await register.operation(sale.json["id"]))["status"] == "pending"


async def test_a_discarded_operation_says_by_whom_and_why_with_card_numbers_masked(register):
    sale = await register.sell()
    answer = await discard(register, sale, "paid with 4111 1111 1111 1111 at the other till")
    assert (answer.status, answer.json["status"]) == (200, "discarded")
    assert answer.json["settledAt"]
    assert answer.json["dependents"] == []
    shown = await register.operation(sale.json["id"])
    assert "operator" in shown["error"]["detail"]
    assert "at the other till" in shown["error"]["detail"]
    assert "4111 1111" not in str(shown)
    assert "1111" in shown["error"]["detail"]
    assert (await register.status())["pending"] == 0


async def test_a_retry_after_a_final_no_goes_under_the_next_key(online, flash):
    flash.poison("90871", 422)
    sale = await online.sell(wait=10)
    assert (sale.json["status"], sale.json["idempotencyKey"]) == ("failed", "sale-90871")
    flash.cure("90871")
    answer = await retry(online, sale)
    assert (answer.status, answer.json["status"]) == (200, "pending")
    assert answer.json["settledAt"] is None
    settled = await online.settled(sale.json["id"])
    assert (settled["status"], settled["idempotencyKey"]) == ("succeeded", "sale-90871.2")
    assert flash.awards == {"90871": 1}
    assert flash.violations == []
    assert "operations-failed" not in await online.conditions()


async def test_two_retries_at_once_are_one(online, flash):
    flash.poison("90871", 422)
    sale = await online.sell(wait=10)
    answers = await asyncio.gather(*(retry(online, sale) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [200, 409] or flash.counters["POST 422"] == 3


async def test_a_discard_frees_the_key_and_the_correction_goes_under_the_next_one(online, flash):
    flash.poison("90871", 422)
    wrong = await online.sell(wait=10)
    assert (await online.sell(amount=80)).json["code"] == "order-conflict"
    assert (await discard(online, wrong)).status == 200
    flash.cure("90871")
    right = await online.sell(amount=80, wait=10)
    assert (right.status, right.json["status"], right.json["replayed"]) == (200, "succeeded", False)
    assert right.json["id"] != wrong.json["id"]
    assert right.json["idempotencyKey"] == "sale-90871.2"
    assert (await online.operation(wrong.json["id"]))["status"] == "discarded"
    assert flash.violations == []


async def test_generations_go_on_across_discards_and_restarts(tmp_path):
    keys = []
    for number in range(3):
        async with running(tmp_path, KEYLESS) as register:
            sale = await register.sell(amount=number + 1)
            assert sale.status == 202, sale
            keys.append(sale.json["idempotencyKey"])
            assert (await discard(register, sale)).status == 200
    assert keys == ["sale-90871", "sale-90871.2", "sale-90871.3"]


async def test_a_discard_frees_the_registers_own_key_too(register):
    body = {"externalOrderId": "90871", "customer": MEMBER, "totalAmount": 120}
    wrong = await register.call("POST", "/v1/sales", body, Idempotency_Key="k-1")
    await discard(register, wrong)
    right = await register.call("POST", "/v1/sales", {**body, "totalAmount": 80}, Idempotency_Key="k-1")
    assert (right.status, right.json.get("replayed")) == (202, False), right
    assert right.json["id"] != wrong.json["id"]


async def test_discarding_a_sale_that_never_landed_discards_its_refunds(register):
    sale = await register.sell()
    refunds = [await refund(register, refund_id=name, amount=10) for name in ("r1", "r2")]
    other = await register.sell("2")
    answer = await discard(register, sale, "rung up twice")
    assert sorted((d["id"], d["kind"], d["effect"]) for d in answer.json["dependents"]) == sorted(
        (each.json["id"], "refund", "discarded") for each in refunds
    )
    for each in refunds:
        shown = await register.operation(each.json["id"])
        assert shown["status"] == "discarded"
        assert "rung up twice" in shown["error"]["detail"]
        assert "operator" in shown["error"]["detail"]
    assert (await register.operation(other.json["id"]))["status"] == "pending"


async def test_a_refund_that_was_discarded_before_its_sale_keeps_its_own_reason(register):
    sale = await register.sell()
    first, second = [await refund(register, refund_id=name, amount=10) for name in ("r1", "r2")]
    assert (await discard(register, first, "a slip of the hand")).status == 200
    before = await register.operation(first.json["id"])
    answer = await discard(register, sale, "rung up twice")
    assert [each["id"] for each in answer.json["dependents"]] == [second.json["id"]]
    assert await register.operation(first.json["id"]) == before
    assert "a slip of the hand" in before["error"]["detail"]


async def test_discarding_a_sale_that_flash_refused_discards_its_refunds_and_all_can_follow_anew(online, flash):
    flash.poison("90871", 422)
    sale = await online.sell(wait=10)
    first = await refund(online)
    assert first.json["waitingFor"] == [sale.json["id"]]
    await discard(online, sale)
    assert (await online.operation(first.json["id"]))["status"] == "discarded"
    flash.cure("90871")
    assert (await online.sell(amount=50, wait=10)).json["status"] == "succeeded"
    second = await refund(online, wait=10)
    assert second.json["status"] == "succeeded"
    assert second.json["request"]["amount"] == 50
    assert flash.violations == []


async def test_a_sale_of_a_discarded_enrollment_goes_on(online, flash):
    flash.fault("status", status=422, path="^/members")
    member = await online.call("POST", "/v1/enrollments", MEMBER, Prefer="wait=10")
    assert member.json["status"] == "failed"
    sale = await online.sell(customer=MEMBER, wait=20)
    assert (sale.status, sale.json["waitingFor"]) == (202, [member.json["id"]])
    answer = await discard(online, member, "a joke name")
    assert answer.json["dependents"] == [{"id": sale.json["id"], "kind": "sale", "effect": "goes-on"}]
    settled = await online.settled(sale.json["id"])
    assert settled["result"]["reason"] == "not-a-member"


async def test_what_depends_on_a_failure_waits_later_ones_too_until_it_is_retried(online, flash):
    flash.fault("status", status=422, path="^/members")
    member = await online.call("POST", "/v1/enrollments", MEMBER, Prefer="wait=10")
    async with asyncio.timeout(15):  # no cashier sits out a wait behind a failure
        sales = [await online.sell(order, customer=MEMBER, wait=20) for order in ("1", "2")]
    assert [sale.status for sale in sales] == [202, 202]
    assert (await online.sell("3", wait=10)).json["status"] == "succeeded"
    flash.clear()
    assert (await retry(online, member)).status == 200
    for sale in sales:
        assert (await online.settled(sale.json["id"]))["result"]["awarded"] == 6
    assert flash.violations == []
    assert [effect["natural"] for effect in flash.effects] == ["order:3", "member:C-1", "order:1", "order:2"]


async def test_whoever_waits_behind_what_fails_meanwhile_is_answered_then(online, flash):
    flash.fault("latency", ms=300, path="^/members")
    flash.fault("status", status=422, path="^/members")
    async with asyncio.timeout(15):
        member = await online.call("POST", "/v1/enrollments", MEMBER)
        sale = await online.sell(customer=MEMBER, wait=20)
    assert (sale.status, sale.json["waitingFor"]) == (202, [member.json["id"]])
    assert (await online.operation(member.json["id"]))["status"] == "failed"


async def test_a_failed_operation_survives_a_restart(tmp_path, flash):
    flash.poison("90871", 422)
    async with running(tmp_path, settings(flash.base_url)) as register:
        sale = await register.sell(wait=10)
    async with running(tmp_path, settings(flash.base_url)) as register:
        assert (await register.status())["failed"] == 1
        assert "operations-failed" in await register.conditions()
        assert (await register.operation(sale.json["id"]))["error"]["code"] == "validation"
        assert (await discard(register, sale)).status == 200
        assert "operations-failed" not in await register.conditions()
