"""The door of the Flash stand-in: keys, scopes, tenants, idempotency, rate limit, envelopes, audit log."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from agent.sandbox import DEMO, RateLimit, Sandbox, Scope

ORDER = {"externalOrderId": "90871", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 120}
COUPON = "/coupons/cpn_ada_10off/redeem"


@pytest.fixture
async def sandbox():
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def http(sandbox):
    async with caller(sandbox) as client:
        yield client


def caller(sandbox, key=None):
    headers = {"Authorization": f"Bearer {key or sandbox.write_key}"}
    return httpx.AsyncClient(base_url=sandbox.base_url, headers=headers)


def key(value):
    return {"Idempotency-Key": value}


@pytest.mark.parametrize("authorization", [None, "", "Bearer fl_live_unknown", "Bearer", "Basic eDp5"])
async def test_who_has_no_valid_key_is_401(sandbox, authorization):
    headers = {} if authorization is None else {"Authorization": authorization}
    async with httpx.AsyncClient(base_url=sandbox.base_url, headers=headers) as client:
        for answer in (await client.get("/stores"), await client.post("/orders", json=ORDER)):
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    assert sandbox.state.balance("mem_ada") == 1814


async def test_a_revoked_key_is_401_and_the_other_key_goes_on(sandbox, http):
    sandbox.state.revoke_key(sandbox.read_key)
    async with caller(sandbox, sandbox.read_key) as reader:
        assert (await reader.get("/stores")).status_code == 401
    assert (await http.get("/stores")).status_code == 200


READS = [
    "/orders",
    "/members",
    "/members/mem_ada",
    "/members/mem_ada/points",
    "/members/mem_ada/tier",
    "/members/mem_ada/coupons",
    "/stores",
    "/products",
    "/categories",
    "/brands",
]
WRITES = [
    ("POST", "/orders"),
    ("POST", "/orders/batch"),
    ("POST", "/orders/1/refund"),
    ("POST", "/members"),
    ("POST", "/members/batch"),
    ("POST", COUPON),
    ("POST", "/stores"),
    ("PUT", "/stores/st_demo"),
    ("POST", "/catalog/import"),
]


async def test_the_read_preset_reads_everything_and_writes_nothing(sandbox, http):
    async with caller(sandbox, sandbox.read_key) as reader:
        for path in READS:
            assert (await reader.get(path)).status_code == 200, path
        for method, path in WRITES:
            answer = await reader.request(method, path, json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN"), path
    for path in READS:
        assert (await http.get(path)).status_code == 200, path
    assert (await http.post(COUPON)).status_code == 200, "the refused redemption burned nothing"


async def test_scopes_are_per_endpoint(sandbox):
    sandbox.state.add_key("fl_live_orders_only", {Scope.ORDERS_WRITE}, label="orders")
    async with caller(sandbox, "fl_live_orders_only") as client:
        assert (await client.post("/orders", json=ORDER)).status_code == 200
        assert (await client.post("/members", json={"externalId": "x"})).status_code == 403
        assert (await client.get("/orders")).status_code == 403


async def test_keys_never_cross_tenants(sandbox, http):
    sandbox.state.add_tenant("other", DEMO)
    sandbox.state.add_key("fl_live_other", Scope, label="other", tenant="other")
    async with caller(sandbox, "fl_live_other") as other:
        enrolled = (await http.post("/members", json={"externalId": "ours"})).json()["data"]
        store = (await http.post("/stores", json={"externalId": "ours", "name": "Ours"})).json()["data"]
        await http.post("/orders", json=ORDER, headers=key("one"))
        assert (await other.get(f"/members/{enrolled['id']}")).status_code == 404
        assert (await other.get("/members", params={"externalId": "ours"})).json()["total"] == 0
        assert (await other.put(f"/stores/{store['id']}", json={"name": "Theirs"})).status_code == 404
        assert (await other.get("/orders")).json()["total"] == 0
        assert (await other.post("/orders/90871/refund", json={"refundId": "r"})).status_code == 404
        changed = await other.post("/orders", json=ORDER | {"totalAmount": 240}, headers=key("one"))
        assert changed.json()["data"]["awarded"] == 12, "neither order ids nor keys are shared"
        assert (await other.post(COUPON)).status_code == 200
        assert (await http.post(COUPON)).status_code == 200
    assert sandbox.state.balance("mem_ada") == 1820
    assert sandbox.state.balance("mem_ada", tenant="other") == 1826


async def test_a_retried_write_replays_its_first_result(http):
    first = await http.post(COUPON, headers=key("redeem-1"))
    again = await http.post(COUPON, headers=key("redeem-1"))
    bare = await http.post(COUPON)
    assert [first.status_code, again.status_code, bare.status_code] == [200, 200, 404]
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers


async def test_the_same_key_with_another_payload_is_a_conflict(sandbox, http):
    await http.post("/orders", json=ORDER, headers=key("k"))
    other = await http.post("/orders", json=ORDER | {"externalOrderId": "2"}, headers=key("k"))
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert sandbox.state.balance("mem_ada") == 1820
    await http.post(COUPON, headers=key("k"))
    elsewhere = await http.post("/coupons/cpn_ada_coffee/redeem", headers=key("k"))
    assert elsewhere.json()["error"]["code"] == "IDEMPOTENCY_CONFLICT", "the path is part of the payload"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/orders/90871/refund", {"refundId": "r"}, 404),
        ("/members", {"fullName": "Nobody"}, 422),
        ("/coupons/cpn_none/redeem", None, 404),
    ],
)
async def test_a_stored_refusal_replays_like_any_result(http, path, body, status):
    first = await http.post(path, json=body, headers=key("k"))
    await http.post("/orders", json=ORDER)
    again = await http.post(path, json=body, headers=key("k"))
    assert (first.status_code, again.status_code) == (status, status)
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_refusal_at_the_door_is_not_stored(sandbox, http):
    async with caller(sandbox, sandbox.read_key) as reader:
        assert (await reader.post("/orders", json=ORDER, headers=key("k"))).status_code == 403
    answer = await http.post("/orders", json=ORDER, headers=key("k"))
    assert answer.json()["data"]["awarded"] == 6
    assert "Idempotency-Replayed" not in answer.headers


async def test_a_key_in_flight_is_told_apart_from_a_conflict():
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold(_seconds):
        reached.set()
        await go_on.wait()

    async with Sandbox(sleep=hold) as sandbox, caller(sandbox) as http:
        sandbox.faults.order("latency", seconds=1, times=1)
        first = asyncio.create_task(http.post(COUPON, headers=key("k")))
        await reached.wait()
        second = await http.post(COUPON, headers=key("k"))
        assert (second.status_code, second.json()["error"]["code"]) == (409, "IDEMPOTENCY_IN_FLIGHT")
        go_on.set()
        assert (await first).status_code == 200
        assert (await http.post(COUPON, headers=key("k"))).status_code == 200


@pytest.mark.parametrize("value", ["", "x" * 256])
async def test_an_impossible_key_is_refused(http, value):
    answer = await http.post("/orders", json=ORDER, headers=key(value))
    assert answer.status_code == 422
    assert "Idempotency-Key:" in answer.json()["error"]["message"]


async def test_the_memory_of_keys_is_bounded_and_natural_keys_still_hold():
    async with Sandbox(idempotency_size=3) as sandbox, caller(sandbox) as http:
        for number in range(10):
            order = ORDER | {"externalOrderId": str(number)}
            await http.post("/orders", json=order, headers=key(f"sale-{number}"))
        assert len(sandbox.idempotency) == 3
        forgotten = await http.post("/orders", json=ORDER | {"externalOrderId": "0"}, headers=key("sale-0"))
        assert "Idempotency-Replayed" not in forgotten.headers
        assert forgotten.json()["data"]["awarded"] == 6
        assert sandbox.state.balance("mem_ada") == 1814 + 60
        await http.post(COUPON, headers=key("redeem"))
        sandbox.idempotency.forget()
        assert (await http.post(COUPON, headers=key("redeem"))).status_code == 404


async def test_the_rate_limit_is_per_key_and_says_when_to_come_back():
    now = datetime(2026, 6, 26, tzinfo=UTC)
    limit = RateLimit(per_second=0.5, burst=2)
    async with Sandbox(clock=lambda: now, rate_limit=limit) as sandbox, caller(sandbox) as http:
        assert [(await http.get("/stores")).status_code for _ in range(2)] == [200, 200]
        throttled = await http.post("/orders", json=ORDER, headers=key("k"))
        assert (throttled.status_code, throttled.headers["Retry-After"]) == (429, "2")
        assert throttled.json()["error"]["code"] == "RATE_LIMITED"
        async with caller(sandbox, sandbox.read_key) as reader:
            assert (await reader.get("/stores")).status_code == 200
        now += timedelta(seconds=2)
        assert (await http.post("/orders", json=ORDER, headers=key("k"))).status_code == 200
        now -= timedelta(hours=1)
        assert (await http.get("/stores")).status_code == 429


async def test_unknown_paths_and_methods_are_refused_in_the_envelope(http):
    unknown = await http.get("/nothing")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "NOT_FOUND")
    wrong = await http.delete("/orders")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["Allow"] == "GET,POST"


async def test_a_body_that_is_not_declared_json_is_415(http):
    answer = await http.post("/orders", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_body_beyond_the_limit_is_413(http):
    answer = await http.post("/orders", content=b" " * (17 * 1024 * 1024), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "REQUEST_ENTITY_TOO_LARGE")


async def test_every_call_is_audited_by_label_and_never_by_key(sandbox, http):
    headers = key("sale-90871") | {"User-Agent": "flash-pos-agent/0.1", "X-Request-Id": "req-1"}
    await http.post("/orders", json=ORDER, headers=headers)
    await http.post("/orders", json=ORDER, headers=headers)
    await http.get("/members", params={"email": "ada@example.com"})
    async with httpx.AsyncClient(base_url=sandbox.base_url) as stranger:
        await stranger.get("/stores")
    sale, retry, look_up, refused = sandbox.audit.entries()
    assert (sale.key_label, sale.tenant, sale.status, sale.path) == (
        "sandbox write",
        "demo",
        200,
        "/api/v2/orders",
    )
    assert (sale.idempotency_key, sale.user_agent, sale.request_id) == (
        "sale-90871",
        "flash-pos-agent/0.1",
        "req-1",
    )
    assert (sale.replayed, retry.replayed) == (False, True)
    assert (refused.key_label, refused.status) == (None, 401)
    assert "ada@" not in repr(look_up)
    shown = await http.get(f"{sandbox.origin}/_sandbox/audit")
    assert [row["status"] for row in shown.json()["data"]] == [200, 200, 200, 401]
    assert sandbox.write_key not in shown.text
    assert [entry.path for entry in sandbox.audit.entries(method="GET", path="/api/v2/mem")] == ["/api/v2/members"]


async def test_the_audit_log_is_bounded():
    async with Sandbox(audit_size=2) as sandbox, caller(sandbox) as http:
        for path in ("/stores", "/brands", "/products"):
            await http.get(path)
        assert [entry.path for entry in sandbox.audit] == ["/api/v2/brands", "/api/v2/products"]


async def test_the_state_outlives_the_socket():
    sandbox = Sandbox()
    first = await sandbox.start()
    with pytest.raises(RuntimeError):
        await sandbox.start()
    async with caller(sandbox) as http:
        await http.post("/orders", json=ORDER)
    await sandbox.stop()
    async with caller(sandbox) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/stores")
        assert await sandbox.start(port=httpx.URL(first).port) == first
        assert (await http.get("/orders")).json()["total"] == 1
    await sandbox.stop()
    await sandbox.stop()


async def test_two_sandboxes_share_nothing(sandbox, http):
    async with Sandbox() as second, caller(second) as other:
        await http.post("/orders", json=ORDER)
        assert (await other.get("/orders")).json()["total"] == 0


def test_keys_and_tenants_are_named_once():
    sandbox = Sandbox()
    with pytest.raises(ValueError, match="already"):
        sandbox.state.add_key(sandbox.read_key, Scope, label="twice")
    with pytest.raises(ValueError, match="fl_live_"):
        sandbox.state.add_key("secret", Scope, label="odd")
    with pytest.raises(ValueError, match="already"):
        sandbox.state.add_tenant("demo")
    with pytest.raises(KeyError):
        sandbox.state.add_key("fl_live_x", Scope, label="x", tenant="nobody")
    with pytest.raises(RuntimeError):
        _ = sandbox.base_url
