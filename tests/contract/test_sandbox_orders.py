"""Orders and refunds of the Flash stand-in: points are awarded once, and given back exactly."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import msgspec
import pytest

from agent.sandbox import EarnRules, Sandbox

ADA = {"externalId": "POS-CUST-5512"}

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


@pytest.fixture
async def sandbox():
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def http(sandbox):
    headers = {"Authorization": f"Bearer {sandbox.write_key}"}
    async with httpx.AsyncClient(base_url=sandbox.base_url, headers=headers) as client:
        yield client


def order(order_id="90871", amount="120.00", customer=None, **more):
    document = {
        "externalOrderId": order_id,
        "customer": ADA if customer is None else customer,
        "totalAmount": Decimal(amount),
        "storeId": "st_demo",
        **more,
    }
    return {"content": _ENCODER.encode(document), "headers": {"Content-Type": "application/json"}}


async def test_the_documented_sale_gives_the_documented_answer(http):
    answer = await http.post("/orders", **order())
    assert answer.status_code == 200
    assert answer.json() == {"data": {"awarded": 6, "balance": 1820, "memberId": "mem_ada"}}
    assert "Date" in answer.headers


async def test_the_same_sale_again_gets_the_first_answer_and_awards_nothing(sandbox, http):
    first = await http.post("/orders", **order())
    await http.post("/orders", **order("90872"))
    again = await http.post("/orders", **order(amount="120"))
    assert again.json() == first.json()
    assert sandbox.state.balance("mem_ada") == 1826
    assert [entry.order_id for entry in sandbox.state.ledger(member_id="mem_ada")] == [None, "90871", "90872"]


async def test_another_amount_is_a_conflict_and_the_first_sale_stands(sandbox, http):
    await http.post("/orders", **order())
    answer = await http.post("/orders", **order(amount="120.01"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ORDER_CONFLICT")
    assert sandbox.state.balance("mem_ada") == 1820


async def test_not_a_member_is_final_even_after_an_enrolment(sandbox, http):
    stranger = order(customer={"email": "new@example.com"})
    first = await http.post("/orders", **stranger)
    assert first.json() == {"data": {"awarded": 0, "reason": "not-a-member"}}
    assert (await http.get("/members", params={"email": "new@example.com"})).json()["total"] == 0
    await http.post("/members", json={"email": "new@example.com"})
    assert (await http.post("/orders", **stranger)).json() == first.json()
    assert len(sandbox.state.ledger()) == 3, "the opening balances alone"


@pytest.mark.parametrize(
    ("customer", "member"),
    [
        ({"memberId": "mem_grace", "externalId": "POS-CUST-5512"}, "mem_grace"),
        ({"externalId": "POS-CUST-5513", "email": "ada@example.com"}, "mem_grace"),
        ({"memberId": "mem_gone", "email": " ADA@Example.com "}, "mem_ada"),
    ],
)
async def test_a_customer_is_resolved_by_member_id_then_external_id_then_email(http, customer, member):
    answer = await http.post("/orders", **order(customer=customer))
    assert answer.json()["data"]["memberId"] == member


@pytest.mark.parametrize(("customer", "awarded"), [("POS-CUST-5512", 6), ("POS-CUST-5513", 7), ("POS-CUST-5514", 9)])
async def test_the_tier_multiplies_and_the_result_is_rounded_down(http, customer, awarded):
    answer = await http.post("/orders", **order(customer={"externalId": customer}))
    assert answer.json()["data"]["awarded"] == awarded


async def test_amounts_never_pass_through_a_binary_float(http):
    rate = EarnRules(rate=Decimal(100))
    async with (
        Sandbox(rules=rate) as exact,
        httpx.AsyncClient(base_url=exact.base_url, headers=http.headers) as client,
    ):
        answer = await client.post("/orders", **order(amount="1.15"))
        assert answer.json()["data"]["awarded"] == 115, "1.15 * 100 is 114.99… in floats"
        listed = await client.get("/orders")
        assert b'"totalAmount":1.15,' in listed.content


async def test_the_daily_cap_pays_what_is_left_and_starts_anew_the_next_day():
    now = datetime(2026, 6, 26, 23, 0, tzinfo=UTC)
    async with Sandbox(clock=lambda: now, rules=EarnRules(daily_cap=10)) as capped:
        headers = {"Authorization": f"Bearer {capped.write_key}"}
        async with httpx.AsyncClient(base_url=capped.base_url, headers=headers) as client:

            async def sell(order_id):
                return (await client.post("/orders", **order(order_id))).json()["data"]["awarded"]

            assert [await sell("1"), await sell("2"), await sell("3")] == [6, 4, 0]
            now += timedelta(hours=2)
            assert await sell("4") == 6
            now -= timedelta(hours=2)
            assert [await sell("5"), await sell("6")] == [4, 0], "a clock set back opens no second cap"


async def test_an_unavailable_cap_holds_the_award_and_records_nothing(sandbox, http):
    sandbox.faults.order("cap-unavailable", times=1)
    keyed = order()
    keyed["headers"] |= {"Idempotency-Key": "sale-90871"}
    held = await http.post("/orders", **keyed)
    assert (held.status_code, held.json()["error"]["code"]) == (503, "CAP_UNAVAILABLE")
    assert (await http.get("/orders")).json()["total"] == 0
    assert sandbox.state.balance("mem_ada") == 1814
    again = await http.post("/orders", **keyed)
    assert again.json()["data"]["awarded"] == 6
    assert "Idempotency-Replayed" not in again.headers


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"externalOrderId": None}, "externalOrderId"),
        ({"externalOrderId": ""}, "externalOrderId"),
        ({"externalOrderId": ".."}, "externalOrderId"),
        ({"externalOrderId": "a\nb"}, "externalOrderId"),
        ({"externalOrderId": "x" * 129}, "externalOrderId"),
        ({"externalOrderId": 90871}, "externalOrderId"),
        ({"customer": {}}, "customer"),
        ({"customer": "ada"}, "customer"),
        ({"customer": {"phone": "1"}}, "customer.phone"),
        ({"customer": {"email": "nobody"}}, "customer.email"),
        ({"totalAmount": "120.00"}, "totalAmount"),
        ({"totalAmount": True}, "totalAmount"),
        ({"totalAmount": -1}, "totalAmount"),
        ({"totalAmount": None}, "totalAmount"),
        ({"totalAmount": Decimal("1e400")}, "totalAmount"),
        ({"storeId": ""}, "storeId"),
        ({"totalAmmount": 1}, "totalAmmount"),
    ],
)
async def test_a_faulty_order_is_refused_with_its_field_named(sandbox, http, change, field):
    answer = await http.post("/orders", **order(**change))
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "VALIDATION"
    assert f"{field}:" in answer.json()["error"]["message"]
    assert (await http.get("/orders")).json()["total"] == 0


@pytest.mark.parametrize("body", [b"{", b"\xff", b"", b'{"totalAmount": NaN}', b"[" * 100_000])
async def test_what_is_not_json_is_400(http, body):
    answer = await http.post("/orders", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "MALFORMED_JSON")


@pytest.mark.parametrize("body", ["[]", '"x"', "1", "null"])
async def test_json_that_is_no_object_is_422(http, body):
    answer = await http.post("/orders", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert "body:" in answer.json()["error"]["message"]


async def test_a_batch_answers_each_item_in_order(sandbox, http):
    items = [_DECODER.decode(order(*o)["content"]) for o in (("1",), ("2",), ("1", "9.00"))]
    items.insert(1, {"externalOrderId": "bad"})
    items.insert(2, "no object")
    answer = await http.post(
        "/orders/batch", content=_ENCODER.encode({"orders": items}), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 207
    results = answer.json()["data"]
    assert [result["status"] for result in results] == [200, 422, 422, 200, 409]
    assert results[0]["data"] == {"awarded": 6, "balance": 1820, "memberId": "mem_ada"}
    assert results[4]["error"]["code"] == "ORDER_CONFLICT"
    assert sandbox.state.balance("mem_ada") == 1826


@pytest.mark.parametrize(
    "body", [{}, {"orders": []}, {"orders": {}}, {"orders": [{}] * 101}, {"orders": [{}], "more": 1}]
)
async def test_what_is_no_batch_is_refused_as_a_whole(http, body):
    answer = await http.post("/orders/batch", json=body)
    assert answer.status_code == 422
    assert "orders:" in answer.json()["error"]["message"]


async def test_the_documented_refund_gives_the_documented_answer(http):
    await http.post("/orders", **order("SO-44821", "240.00"))
    refund = {"refundId": "re_1", "reason": "returned 1 item", "amount": 80.00}
    answer = await http.post("/orders/SO-44821/refund", json=refund)
    assert (answer.status_code, answer.json()) == (200, {"data": {"clawedBack": 4, "balance": 1822}})


async def test_a_part_of_a_point_is_taken_back_with_the_rest_of_the_order(http):
    await http.post("/orders", **order(amount="120.00"))
    taken = []
    for number, amount in enumerate((35, 5, 79, 1)):  # 1.75, 2, 5.95 and 6 of 6 points, in all
        answer = await http.post("/orders/90871/refund", json={"refundId": f"re_{number}", "amount": amount})
        taken.append(answer.json()["data"]["clawedBack"])
    assert taken == [1, 1, 3, 1]


async def test_a_refund_is_idempotent_per_refund_id(sandbox, http):
    await http.post("/orders", **order())
    first = await http.post("/orders/90871/refund", json={"refundId": "re_1", "amount": 60})
    again = await http.post("/orders/90871/refund", json={"refundId": "re_1"})
    assert first.json() == again.json() == {"data": {"clawedBack": 3, "balance": 1817}}
    assert [entry.refund_id for entry in sandbox.state.ledger(member_id="mem_ada")] == [None, None, "re_1"]


async def test_a_refund_without_an_amount_takes_what_is_left(http):
    await http.post("/orders", **order())
    await http.post("/orders/90871/refund", json={"refundId": "re_1", "amount": 50})
    answer = await http.post("/orders/90871/refund", json={"refundId": "re_2"})
    assert answer.json()["data"]["balance"] == 1814
    (listed,) = (await http.get("/orders")).json()["data"]
    assert (listed["refundedAmount"], listed["clawedBack"]) == (120, 6)
    nothing_left = await http.post("/orders/90871/refund", json={"refundId": "re_3"})
    assert nothing_left.status_code == 422


@pytest.mark.parametrize("parts", [7, 12, 13, 100])
async def test_a_full_refund_in_parts_claws_back_exactly_what_was_awarded(sandbox, http, parts):
    await http.post("/orders", **order(amount="139.99"))
    awarded = sandbox.state.ledger()[-1].points
    clawed = []
    for part in range(parts):
        body = {"refundId": f"re_{part}"} | ({"amount": 1.11} if part < parts - 1 else {})
        answer = await http.post("/orders/90871/refund", json=body)
        clawed.append(answer.json()["data"]["clawedBack"])
    assert sum(clawed) == awarded == 6
    assert min(clawed) >= 0
    assert sandbox.state.balance("mem_ada") == 1814


async def test_refunds_never_exceed_their_order(sandbox, http):
    await http.post("/orders", **order())
    await http.post("/orders/90871/refund", json={"refundId": "re_1", "amount": 100})
    answer = await http.post("/orders/90871/refund", json={"refundId": "re_2", "amount": 20.01})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION")
    assert "amount:" in answer.json()["error"]["message"]
    assert len(sandbox.state.ledger(member_id="mem_ada")) == 3


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "refundId"),
        ({"refundId": "r", "amount": 0}, "amount"),
        ({"refundId": "r", "amount": -5}, "amount"),
        ({"refundId": "r", "amount": "5"}, "amount"),
        ({"refundId": "r", "ammount": 5}, "ammount"),
    ],
)
async def test_a_faulty_refund_is_refused_with_its_field_named(http, body, field):
    await http.post("/orders", **order())
    answer = await http.post("/orders/90871/refund", json=body)
    assert answer.status_code == 422
    assert f"{field}:" in answer.json()["error"]["message"]


async def test_a_refund_before_its_order_is_404_and_possible_later(http):
    missing = await http.post("/orders/90871/refund", json={"refundId": "re_1"})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "ORDER_NOT_FOUND")
    await http.post("/orders", **order())
    assert (await http.post("/orders/90871/refund", json={"refundId": "re_1"})).status_code == 200


async def test_a_refund_of_a_stranger_claws_back_nothing(http):
    await http.post("/orders", **order(customer={"email": "no@example.com"}))
    answer = await http.post("/orders/90871/refund", json={"refundId": "re_1"})
    assert answer.json() == {"data": {"clawedBack": 0}}


async def test_an_order_id_with_a_slash_is_one_path_segment(http):
    await http.post("/orders", **order("A/1 ü"))
    answer = await http.post("/orders/A%2F1%20%C3%BC/refund", json={"refundId": "re_1"})
    assert answer.json()["data"]["clawedBack"] == 6


async def test_the_orders_feed_shows_what_changed_since_and_pages():
    now = datetime(2026, 6, 26, tzinfo=UTC)
    async with Sandbox(clock=lambda: now) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.write_key}"}
        async with httpx.AsyncClient(base_url=sandbox.base_url, headers=headers) as client:
            for order_id in ("1", "2", "3"):
                await client.post("/orders", **order(order_id))
            now += timedelta(hours=1)
            await client.post("/orders/1/refund", json={"refundId": "re_1"})
            since = {"updatedSince": "2026-06-26T00:30:00Z"}
            changed = (await client.get("/orders", params=since)).json()
            assert [row["externalOrderId"] for row in changed["data"]] == ["1"]
            assert "nextCursor" not in changed
            seen, query = [], {"limit": 2}
            while query.get("cursor", "") is not None:
                got = (await client.get("/orders", params=query)).json()
                seen += [row["externalOrderId"] for row in got["data"]]
                query["cursor"] = got.get("nextCursor")
            assert seen == ["2", "3", "1"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"updatedSince": "yesterday"}, "updatedSince"),
        ({"updatedSince": "2026-06-26T00:00:00"}, "updatedSince"),
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"cursor": "made-up"}, "cursor"),
        ({"updatedsince": "2026-06-26T00:00:00Z"}, "updatedsince"),
    ],
)
async def test_a_faulty_query_is_refused_instead_of_read_as_everything(http, query, field):
    answer = await http.get("/orders", params=query)
    assert answer.status_code == 422
    assert f"{field}:" in answer.json()["error"]["message"]
