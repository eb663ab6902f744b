"""Faults to order in the Flash stand-in, and its side door for trainers."""

import httpx
import pytest

from agent.sandbox import Sandbox

ORDER = {"externalOrderId": "90871", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120}
COUPON = "/coupons/cpn_ada_10off/redeem"


@pytest.fixture
async def sandbox():
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def http(sandbox):
    headers = {"Authorization": f"Bearer {sandbox.write_key}"}
    async with httpx.AsyncClient(base_url=sandbox.base_url, headers=headers) as client:
        yield client


@pytest.fixture
async def trainer(sandbox):
    async with httpx.AsyncClient(base_url=f"{sandbox.origin}/_sandbox") as client:
        yield client


async def test_offline_drops_the_connection_before_anything_happens(sandbox, http):
    sandbox.faults.order("offline", times=1)
    with pytest.raises(httpx.TransportError):
        await http.post("/orders", json=ORDER)
    assert sandbox.state.balance("mem_ada") == 1814
    assert (sandbox.audit.entries()[-1].status, sandbox.audit.entries()[-1].fault) == (None, "offline")
    assert (await http.post("/orders", json=ORDER)).status_code == 200


async def test_a_lost_answer_is_a_committed_effect(sandbox, http):
    sandbox.faults.order("answer-lost", times=1)
    headers = {"Idempotency-Key": "redeem-1"}
    with pytest.raises(httpx.TransportError):
        await http.post(COUPON, headers=headers)
    (coupon, *_) = (await http.get("/members/mem_ada/coupons")).json()["data"]
    assert coupon["status"] == "redeemed"
    assert (await http.post(COUPON)).status_code == 404
    replayed = await http.post(COUPON, headers=headers)
    assert (replayed.status_code, replayed.headers["Idempotency-Replayed"]) == (200, "true")
    lost, *_ = sandbox.audit.entries(method="POST")
    assert (lost.status, lost.fault) == (None, "answer-lost")


async def test_a_lost_answer_of_a_sale_never_awards_twice(sandbox, http):
    sandbox.faults.order("answer-lost", times=2)
    for _ in range(2):
        with pytest.raises(httpx.TransportError):
            await http.post("/orders", json=ORDER)
    assert (await http.post("/orders", json=ORDER)).json()["data"]["balance"] == 1820


@pytest.mark.parametrize("retry_after", [7, "Fri, 26 Jun 2026 10:00:00 GMT"])
async def test_429_carries_the_ordered_retry_after(sandbox, http, retry_after):
    sandbox.faults.order("429", times=1, retry_after=retry_after)
    answer = await http.post("/orders", json=ORDER)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, str(retry_after))
    assert sandbox.state.balance("mem_ada") == 1814


@pytest.mark.parametrize(("kind", "status", "code"), [("503", 503, "UNAVAILABLE"), ("401", 401, "UNAUTHORIZED")])
async def test_ordered_refusals_change_nothing_and_are_not_stored(sandbox, http, kind, status, code):
    sandbox.faults.order(kind, times=1)
    headers = {"Idempotency-Key": "k"}
    refused = await http.post("/orders", json=ORDER, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert (await http.get("/orders")).json()["total"] == 0
    answer = await http.post("/orders", json=ORDER, headers=headers)
    assert answer.status_code == 200
    assert "Idempotency-Replayed" not in answer.headers


async def test_a_stored_503_replays_until_the_key_changes(sandbox, http):
    sandbox.faults.order("503-stored", times=1)
    assert (await http.get("/stores")).status_code == 200, "reads are not concerned"
    for _ in range(2):
        answer = await http.post("/orders", json=ORDER, headers={"Idempotency-Key": "sale-1"})
        assert answer.status_code == 503
    assert answer.headers["Idempotency-Replayed"] == "true"
    fresh = await http.post("/orders", json=ORDER, headers={"Idempotency-Key": "sale-1.2"})
    assert fresh.json()["data"]["awarded"] == 6


async def test_a_captive_portal_answers_everything_with_its_page(sandbox, http):
    sandbox.faults.order("captive-portal")
    for answer in (await http.post("/orders", json=ORDER), await http.get("/nowhere")):
        assert (answer.status_code, answer.headers["Content-Type"].split(";")[0]) == (200, "text/html")
    sandbox.faults.clear()
    assert (await http.get("/orders")).json()["total"] == 0


async def test_latency_waits_as_long_as_ordered_and_adds_up():
    waited = []

    async def sleep(seconds):
        waited.append(seconds)

    async with Sandbox(sleep=sleep) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.write_key}"}
        async with httpx.AsyncClient(base_url=sandbox.base_url, headers=headers) as http:
            sandbox.faults.order("latency", seconds=2)
            sandbox.faults.order("latency", seconds=0.5, path="/orders")
            sandbox.faults.order("503", path="/stores")
            assert (await http.post("/orders", json=ORDER)).status_code == 200
            assert (await http.get("/stores")).status_code == 503
            assert (await http.get("/brands")).status_code == 200
    assert waited == [2.5, 2.0, 2.0]


async def test_a_fault_heals_after_its_times(sandbox, http):
    sandbox.faults.order("503", times=2)
    assert [(await http.get("/stores")).status_code for _ in range(4)] == [503, 503, 200, 200]
    assert sandbox.faults.active() == ()


async def test_every_nth_call_meets_the_fault(sandbox, http):
    sandbox.faults.order("503", every_nth=3, times=2)
    statuses = [(await http.get("/stores")).status_code for _ in range(9)]
    assert statuses == [200, 200, 503, 200, 200, 503, 200, 200, 200]


async def test_faults_ordered_in_a_row_play_one_after_the_other(sandbox, http):
    sandbox.faults.order("503", times=1)
    sandbox.faults.order("429", times=1)
    assert [(await http.get("/stores")).status_code for _ in range(3)] == [503, 429, 200]


@pytest.mark.parametrize("path", ["/orders", "/api/v2/orders"])
async def test_a_fault_concerns_its_path_and_method_alone(sandbox, http, path):
    sandbox.faults.order("503", path=path, method="POST")
    assert (await http.get("/stores")).status_code == 200
    assert (await http.get("/orders")).status_code == 200
    assert (await http.post("/orders", json=ORDER)).status_code == 503
    assert (await http.post("/orders/1/refund", json={"refundId": "r"})).status_code == 503


async def test_the_cap_fault_is_spent_by_sales_alone(sandbox, http):
    sandbox.faults.order("cap-unavailable", times=1)
    await http.get("/orders")
    await http.post("/orders/1/refund", json={"refundId": "r"})
    batch = {"json": {"orders": [ORDER, {}]}, "headers": {"Idempotency-Key": "batch-1"}}
    held = await http.post("/orders/batch", **batch)
    assert [item["status"] for item in held.json()["data"]] == [503, 422]
    retried = await http.post("/orders/batch", **batch)
    assert [item["status"] for item in retried.json()["data"]] == [200, 422], "a held item is not replayed"
    replayed = await http.post("/orders/batch", **batch)
    assert (replayed.content, replayed.headers["Idempotency-Replayed"]) == (retried.content, "true")
    assert (await http.post("/orders", json=ORDER)).status_code == 200


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "meteor"},
        {"kind": "latency"},
        {"kind": "503", "seconds": 1},
        {"kind": "offline", "retry_after": 1},
        {"kind": "429", "retry_after": "a\r\nb"},
        {"kind": "503", "times": 0},
        {"kind": "503", "every_nth": 0},
        {"kind": "503", "method": "PATCH"},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(options):
    sandbox = Sandbox()
    with pytest.raises(ValueError, match="Fault"):
        sandbox.faults.order(**options)
    assert sandbox.faults.active() == ()


async def test_the_side_door_orders_lists_and_clears_faults(http, trainer):
    order = {"kind": "429", "everyNth": 2, "retryAfter": 3, "path": "/stores"}
    ordered = await trainer.post("/faults", json=order)
    assert (ordered.status_code, ordered.json()["data"]) == (201, order)
    assert (await trainer.get("/faults")).json() == {"data": [order], "total": 1}
    assert [(await http.get("/stores")).status_code for _ in range(2)] == [200, 429]
    assert (await trainer.delete("/faults")).json() == {"data": []}
    assert [(await http.get("/stores")).status_code for _ in range(2)] == [200, 200]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "meteor"}, "kind"),
        ({"kind": "503", "time": 1}, "time"),
        ({"kind": "503", "times": 0}, "times"),
    ],
)
async def test_the_side_door_names_what_it_cannot_order(sandbox, trainer, body, field):
    answer = await trainer.post("/faults", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION")
    assert field in answer.json()["error"]["message"]
    assert sandbox.faults.active() == ()


async def test_the_side_door_is_never_faulted_and_never_audited(sandbox, trainer):
    sandbox.faults.order("offline")
    for path in ("/audit", "/ledger", "/faults"):
        assert (await trainer.get(path)).status_code == 200
    assert len(sandbox.audit) == 0
    assert (await trainer.get("/nothing")).json()["error"]["code"] == "NOT_FOUND"
    assert (await trainer.put("/faults")).status_code == 405


async def test_the_side_door_takes_no_foreign_names_and_no_forms(sandbox, trainer):
    rebound = await trainer.get("/ledger", headers={"Host": "till.attacker.example"})
    assert rebound.status_code == 404
    form = await trainer.post("/faults", content=b'{"kind":"503"}', headers={"Content-Type": "text/plain"})
    assert form.status_code == 415
    assert sandbox.faults.active() == ()


async def test_the_ledger_shows_every_movement_with_its_cause(sandbox, http, trainer):
    await http.post("/orders", json=ORDER)
    await http.post("/orders/90871/refund", json={"refundId": "re_1", "amount": 40})
    rows = (await trainer.get("/ledger", params={"memberId": "mem_ada"})).json()["data"]
    shown = [(r["kind"], r["orderId"], r["refundId"], r["points"], r["balance"]) for r in rows]
    assert shown == [
        ("opening", None, None, 1814, 1814),
        ("award", "90871", None, 6, 1820),
        ("claw-back", "90871", "re_1", -2, 1818),
    ]
    assert [entry.view() for entry in sandbox.state.ledger(member_id="mem_ada")] == rows
    assert (await trainer.get("/ledger", params={"tenant": "nobody"})).status_code == 404
