"""Sales as a register sends them: accepted durably, counted once, refused with every fault named."""

import json
import time
from decimal import Decimal

import pytest

from tests.support.agents import running, settings, strict_flash

KEYS = {
    "id", "href", "kind", "status", "acceptedAt", "settledAt", "attempts", "nextAttemptAt", "waitingFor",
    "idempotencyKey", "replayed", "warnings", "metadata", "request", "upstreamOrderId", "result", "error", "receipt",
}  # fmt: skip
SALE = {"externalOrderId": "90871", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120}
DATED = {"orders": {"id_template": "{store_id}-{till_id}-{business_date}-{external_order_id}"}}


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def register(tmp_path):
    """A register on an agent that has no line to Flash."""
    async with running(tmp_path) as offline:
        yield offline


@pytest.fixture
async def online(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        yield register


async def stored(register):
    return (await register.call("GET", "/v1/operations")).json["operations"]


def orders_sent(flash):
    return [seen.request.json for seen in flash.requests if seen.request.below == "/orders"]


async def test_an_accepted_sale_is_shown_with_every_key_and_no_location(register):
    answer = await register.sell(metadata={"lane": 4})
    assert answer.status == 202
    assert answer.json.keys() >= KEYS
    assert "Location" not in answer.headers
    assert "Idempotency-Replayed" not in answer.headers
    operation = answer.json
    assert (operation["kind"], operation["status"], operation["replayed"]) == ("sale", "pending", False)
    assert operation["href"] == f"/v1/operations/{operation['id']}"
    assert (operation["id"][:3], operation["acceptedAt"][-1], operation["settledAt"]) == ("op_", "Z", None)
    assert (operation["waitingFor"], operation["warnings"], operation["result"]) == ([], [], {})
    assert operation["error"] is None or operation["error"]["code"]
    assert operation["idempotencyKey"] == "sale-90871"
    assert operation["upstreamOrderId"] == "90871"
    assert (operation["request"]["externalOrderId"], operation["request"]["totalAmount"]) == ("90871", 120)
    assert (await register.call("GET", operation["href"])).json["id"] == operation["id"]


async def test_a_sale_that_settles_within_the_wait_is_a_200_with_flashs_word(online, flash):
    answer = await online.sell(wait=10)
    assert answer.status == 200
    assert "Location" not in answer.headers
    assert answer.json["status"] == "succeeded"
    assert answer.json["result"] == {"awarded": 6, "balance": 1820, "memberId": "mem_t1_1"}
    assert answer.json["receipt"] == ["You earned 6 points", "Balance: 1,820"]
    assert answer.json["error"] is None
    assert answer.json["attempts"] == 1
    assert answer.json["settledAt"].endswith("Z")
    assert flash.awards == {"90871": 1}
    assert [seen.request.key for seen in flash.requests if seen.request.write] == [answer.json["idempotencyKey"]]
    assert flash.violations == []


async def test_a_sale_of_a_stranger_is_settled_and_says_so(online):
    answer = await online.sell(wait=10, customer={"externalId": "nobody"})
    assert (answer.status, answer.json["status"]) == (200, "succeeded")
    assert answer.json["result"] == {"awarded": 0, "reason": "not-a-member"}


async def test_a_final_no_within_the_wait_is_a_200_with_failed(online, flash):
    flash.poison("90871", 422)
    answer = await online.sell(wait=10)
    assert (answer.status, answer.json["status"]) == (200, "failed")
    assert (answer.json["error"]["code"], answer.json["error"]["httpStatus"]) == ("validation", 422)
    assert answer.json["error"]["detail"]
    assert "operations-failed" in await online.conditions()


async def test_sent_again_it_counts_once(online, flash):
    first = await online.sell(wait=10)
    again = await online.sell(wait=10)
    assert again.status == 200
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json == {**first.json, "replayed": True}
    assert flash.awards == {"90871": 1}
    assert len(orders_sent(flash)) == 1


async def test_a_pending_sale_sent_again_is_still_a_202(register):
    first = await register.sell()
    again = await register.sell()
    assert (again.status, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert (again.json["id"], again.json["replayed"]) == (first.json["id"], True)
    assert len(await stored(register)) == 1


@pytest.mark.parametrize("spelling", ["120", "120.0", "120.000", "1.2e2", '"120"', '"120.0"', '"120.00"'])
async def test_the_same_amount_in_any_spelling_is_the_same_sale(register, spelling):
    first = await register.sell(amount=120)
    raw = json.dumps({**SALE, "totalAmount": "HERE"}).replace('"HERE"', spelling).encode()
    again = await register.call("POST", "/v1/sales", raw=raw)
    assert (again.status, again.json.get("id")) == (202, first.json["id"])
    assert again.json["warnings"] == []


async def test_another_amount_is_a_conflict_and_the_first_one_stands(online, flash):
    first = await online.sell(wait=10)
    answer = await online.sell(amount="120.01", wait=10)
    assert (answer.status, answer.json["code"]) == (409, "order-conflict")
    assert (answer.json["retryable"], answer.json["stored"]) == (False, False)
    assert answer.json["operation"] == {"id": first.json["id"], "href": first.json["href"]}
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert [order["totalAmount"] for order in orders_sent(flash)] == [120]


async def test_the_registers_own_key_finds_the_operation_again(online, flash):
    first = await online.call("POST", "/v1/sales", SALE, Idempotency_Key="k 1", Prefer="wait=10")
    again = await online.call("POST", "/v1/sales", SALE, Idempotency_Key="k 1", Prefer="wait=10")
    assert (first.status, again.status) == (200, 200)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.json["id"] == first.json["id"]
    assert all("k 1" not in str(seen.request.headers) for seen in flash.requests)
    assert flash.awards == {"90871": 1}


@pytest.mark.parametrize("other", [{"externalOrderId": "90872"}, {"totalAmount": 121}])
async def test_the_registers_own_key_for_another_payload_is_a_conflict(register, other):
    first = await register.call("POST", "/v1/sales", SALE, Idempotency_Key="k-1")
    answer = await register.call("POST", "/v1/sales", {**SALE, **other}, Idempotency_Key="k-1")
    assert (answer.status, answer.json["code"]) == (409, "idempotency-conflict")
    assert answer.json["operation"]["id"] == first.json["id"]
    assert [operation["id"] for operation in await stored(register)] == [first.json["id"]]


async def test_a_second_key_for_the_same_sale_leads_to_the_same_operation(register):
    first = await register.call("POST", "/v1/sales", SALE, Idempotency_Key="k-1")
    again = await register.call("POST", "/v1/sales", SALE, Idempotency_Key="k-2")
    assert again.json["id"] == first.json["id"]
    answer = await register.call("POST", "/v1/sales", {**SALE, "externalOrderId": "90872"}, Idempotency_Key="k-2")
    assert (answer.status, answer.json["code"]) == (409, "idempotency-conflict")


async def test_the_registers_own_key_is_local_to_token_and_kind(register):
    first = await register.call("POST", "/v1/sales", SALE, Idempotency_Key="k-1")
    other = {**SALE, "externalOrderId": "90872"}
    answer = await register.call("POST", "/v1/sales", other, scope="operator", Idempotency_Key="k-1")
    assert answer.status == 202
    assert answer.json["id"] != first.json["id"]
    member = await register.call("POST", "/v1/enrollments", {"externalId": "C-1"}, Idempotency_Key="k-1")
    assert (member.status, member.json["kind"]) == (202, "enrollment")


async def test_another_customer_or_time_is_a_replay_that_names_what_differs(register):
    first = await register.sell(occurredAt="2026-11-22T10:00:00Z")
    answer = await register.sell(customer={"email": "zelda.canary@example.com"}, occurredAt="2026-11-22T11:00:00Z")
    assert (answer.status, answer.json["id"], answer.json["replayed"]) == (202, first.json["id"], True)
    warnings = " ".join(answer.json["warnings"])
    assert "customer" in warnings
    assert "occurredAt" in warnings
    assert "totalAmount" not in warnings
    assert "canary" not in json.dumps(answer.json)
    assert (await register.operation(first.json["id"]))["request"]["occurredAt"] == "2026-11-22T10:00:00Z"


async def test_unknown_fields_are_accepted_and_named(online, flash):
    customer = {"externalId": "POS-CUST-5512", "nickname": "Countess"}
    answer = await online.sell(wait=10, customer=customer, cashierMood="fine")
    assert (answer.status, answer.json["status"]) == (200, "succeeded")
    warnings = " ".join(answer.json["warnings"])
    assert "cashierMood" in warnings
    assert "customer.nickname" in warnings
    assert "Countess" not in json.dumps(answer.json)
    assert flash.violations == []


async def test_zero_and_odd_cents_reach_flash_to_the_digit(online, flash):
    amounts = {"a": 0, "b": "0.10", "c": "99999999999.99", "d": 4.35}
    for order, amount in amounts.items():
        assert (await online.sell(order, amount, wait=10)).json["status"] == "succeeded"
    sent = {body["externalOrderId"]: Decimal(body["totalAmount"]) for body in orders_sent(flash)}
    assert sent == {"a": 0, "b": Decimal("0.1"), "c": Decimal("99999999999.99"), "d": Decimal("4.35")}
    assert flash.violations == []


async def test_upstream_goes_what_flash_documents_and_nothing_else(online, flash):
    more = {
        "currency": "USD",
        "occurredAt": "2026-11-22T10:00:00+01:00",
        "lines": [{"sku": "1", "note": "canary"}],
        "transactionId": "t-1",
        "businessDate": "2026-11-22",
        "metadata": {"canary": "canary"},
    }
    answer = await online.sell(wait=10, **more)
    assert answer.json["status"] == "succeeded"
    (sent,) = [seen.request for seen in flash.requests if seen.request.write]
    assert sent.json == {**SALE, "storeId": "st_1"}
    assert b"canary" not in sent.body
    assert flash.violations == []
    assert answer.json["metadata"] == {"canary": "canary"}
    shown = answer.json["request"]
    assert shown["currency"] == "USD"
    assert shown["occurredAt"] == "2026-11-22T10:00:00+01:00"


async def test_extended_orders_carry_currency_time_and_lines(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url, flash={"extended_orders": True})) as register:
        lines = [{"sku": "1", "price": 1.5}]
        await register.sell(wait=10, currency="USD", occurredAt="2026-11-22T10:00:00Z", lines=lines, transactionId="t")
    (sent,) = orders_sent(flash)
    assert sent == {
        **SALE,
        "storeId": "st_1",
        "currency": "USD",
        "occurredAt": "2026-11-22T10:00:00Z",
        "lines": [{"sku": "1", "price": Decimal("1.5")}],
    }


async def test_metadata_is_never_compared(register):
    first = await register.sell(metadata={"lane": 4})
    again = await register.sell(metadata={"lane": 5})
    assert (again.status, again.json["id"], again.json["warnings"]) == (202, first.json["id"], [])
    assert again.json["metadata"] == {"lane": 4}


async def test_the_request_is_shown_without_personal_data(register):
    customer = {"memberId": "mem-canary", "externalId": "ext-canary", "email": "canary@example.com"}
    answer = await register.sell(customer=customer)
    assert answer.status == 202
    listed = await register.call("GET", "/v1/operations")
    for shown in (answer.json, await register.operation(answer.json["id"]), listed.json):
        assert "canary" not in json.dumps(shown)


async def test_the_store_is_the_registers_own_or_the_configured_one(online, flash):
    flash.add_store("st_9")
    await online.sell("1", wait=10)
    await online.sell("2", wait=10, storeId="st_9")
    assert [order["storeId"] for order in orders_sent(flash)] == ["st_1", "st_9"]


async def test_order_numbers_that_repeat_are_told_apart_by_store_till_and_day(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url, **DATED)) as register:
        missing = await register.sell("7", wait=10)
        assert (missing.status, [fault["field"] for fault in missing.json["errors"]]) == (422, ["businessDate"])
        assert await stored(register) == []
        monday = await register.sell("7", wait=10, businessDate="2026-11-23")
        tuesday = await register.sell("7", 80, wait=10, businessDate="2026-11-24")
        again = await register.sell("7", wait=10, businessDate="2026-11-23")
    assert monday.json["upstreamOrderId"] == "st_1-till-1-2026-11-23-7"
    assert tuesday.json["upstreamOrderId"] == "st_1-till-1-2026-11-24-7"
    assert again.json["id"] == monday.json["id"]
    assert flash.awards == {"st_1-till-1-2026-11-23-7": 1, "st_1-till-1-2026-11-24-7": 1}


@pytest.mark.parametrize("customer", [{"externalId": "C-1"}, {"email": " NEW@Example.com"}])
async def test_a_sale_waits_for_the_enrollment_of_its_member(tmp_path, flash, customer):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        body = {"externalId": "C-1", "email": "new@example.com"}
        member = await register.call("POST", "/v1/enrollments", body)
        sale = await register.sell(customer=customer)
        other = await register.sell("2")
        assert sale.json["waitingFor"] == [member.json["id"]]
        assert (await register.operation(sale.json["id"]))["waitingFor"] == [member.json["id"]]
        assert other.json["waitingFor"] == []
        flash.start()
        settled = await register.settled(sale.json["id"])
    assert settled["result"]["awarded"] == 6
    assert settled["waitingFor"] == []
    kinds = [effect["kind"] for effect in flash.effects if effect["natural"] != "order:2"]
    assert kinds == ["enroll", "award"]


async def test_an_agent_that_knows_it_is_offline_does_not_make_a_cashier_wait(register):
    await register.sell("1", wait=5)
    began = time.monotonic()
    answer = await register.sell("2", wait=30)
    assert answer.status == 202
    assert time.monotonic() - began < 5
    assert (await register.status())["connectivity"] == "offline"
