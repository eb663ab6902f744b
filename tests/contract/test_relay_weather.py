"""Bad weather on the line: whatever Flash, or a stranger in its place, answers, each sale counts once, none is lost."""

import asyncio
import http.client
import json
import time

import pytest

from agent import logs
from tests.support.agents import agent_process, running, settings, strict_flash, until
from tests.support.strict_flash import WRITE_KEY as OTHER_TILLS_KEY


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def online(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url, flash={"attempt_timeout_s": 1.0})) as register:
        yield register


def posts(flash, path="/orders"):
    return [seen for seen in flash.requests if seen.request.write and seen.request.below == path]


async def sell(register, count, prefix="o"):
    answers = await asyncio.gather(*(register.sell(f"{prefix}{number}", 20 * number) for number in range(count)))
    assert {answer.status for answer in answers} == {202}
    return {answer.json["request"]["externalOrderId"]: answer.json["id"] for answer in answers}


async def all_settled(register, seconds=30.0):
    async def none_pending():
        return (await register.status())["pending"] == 0

    await until(none_pending, seconds)


async def assert_each_counted_once(register, flash, sold):
    await all_settled(register)
    assert flash.awards == dict.fromkeys(sold, 1)
    assert flash.doubles() == {}
    for order, operation_id in sold.items():
        operation = await register.operation(operation_id)
        assert (operation["status"], operation["result"]["awarded"]) == ("succeeded", int(order[1:])), order
    assert flash.violations == []


SPOILT = [
    ("lost-answer", {}),
    ("drop-before-commit", {}),
    ("drop-before-read", {}),
    ("torn-answer", {}),
    ("truncated-json", {}),
    ("close-after-answer", {}),
    ("empty-200", {}),
    ("captive-portal", {}),
    ("redirect", {"status": 307}),
    ("hang", {}),
    ("wrong-types", {"variant": "string"}),
    ("wrong-types", {"variant": "bool"}),
    ("wrong-types", {"variant": "missing"}),
    ("wrong-types", {"variant": "list"}),
    ("status", {"status": 500}),
    ("status", {"status": 503, "retry_after": 1}),
    ("status", {"status": 502, "body": "<html>bad gateway</html>"}),
    ("status", {"status": 404, "body": "<html>not here</html>"}),
    ("status", {"status": 200, "body": {"ok": True}}),
]


@pytest.mark.parametrize(("name", "options"), SPOILT, ids=str)
async def test_a_cashiers_sale_is_counted_once_under_one_key(online, flash, name, options):
    flash.fault(name, times=2, method="POST", **options)
    sale = await online.sell("o7", 140, wait=10)
    assert sale.json["status"] in {"succeeded", "pending"}
    await assert_each_counted_once(online, flash, {"o7": sale.json["id"]})
    assert len({seen.request.key for seen in flash.requests if seen.request.write}) == 1


@pytest.mark.parametrize("name", ["lost-answer", "torn-answer", "truncated-json", "captive-portal", "empty-200"])
async def test_a_backlog_is_counted_once(tmp_path, flash, name):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        sold = await sell(register, 120)
        flash.fault(name, times=3, method="POST")
        flash.start()
        await assert_each_counted_once(register, flash, sold)


async def test_a_captive_portal_is_never_taken_for_a_yes(online, flash):
    flash.fault("captive-portal")
    sale = await online.sell(wait=2)
    assert (sale.status, sale.json["status"], sale.json["result"]) == (202, "pending", {})
    assert (await online.status())["connectivity"] == "offline"
    assert "flash-not-flash" in await online.conditions()
    flash.clear()
    assert (await online.settled(sale.json["id"]))["status"] == "succeeded"
    assert "flash-not-flash" not in await online.conditions()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_takes_no_key_along(online, flash, status):
    flash.fault("redirect", status=status)
    sale = await online.sell(wait=2)
    assert (sale.status, sale.json["status"]) == (202, "pending")
    assert not [seen for seen in flash.requests if seen.request.path.startswith("/_redirected")]
    assert flash.violations == []


async def test_a_probe_asks_only_what_is_documented(online, flash):
    flash.stop()
    sale = await online.sell(wait=1)
    flash.start()
    await online.settled(sale.json["id"])
    assert flash.violations == []


@pytest.mark.parametrize(("http_date", "ahead_s"), [(False, 0), (True, 0), (True, 5 * 3600), (True, -5 * 3600)])
async def test_no_call_goes_inside_a_retry_after_and_one_goes_after_it(online, flash, http_date, ahead_s):
    flash.clock_skew = float(ahead_s)  # so far is the till's off: a date must not mean hours then, or nothing at all
    flash.fault("status", status=429, retry_after=2, http_date=http_date, times=1)
    first = await online.sell("o1", 20, wait=1)
    assert first.json["status"] == "pending"
    assert (await online.status())["connectivity"] == "throttled"
    began = time.monotonic()
    second = await online.sell("o2", 40, wait=1.5)
    assert time.monotonic() - began < 2.5
    calls = flash.counters["requests"]
    assert second.json["status"] == "pending"
    assert calls == 1
    sold = {"o1": first.json["id"], "o2": second.json["id"]} | await sell(online, 30)
    await assert_each_counted_once(online, flash, sold)


async def test_a_retry_after_outlives_a_restart(tmp_path, flash):
    flash.fault("status", status=429, retry_after=2, times=1)
    async with running(tmp_path, settings(flash.base_url)) as register:
        sale = await register.sell("o1", 20, wait=1)
    async with running(tmp_path, settings(flash.base_url)) as register:
        other = await register.sell("o2", 40, wait=0.5)
        await assert_each_counted_once(register, flash, {"o1": sale.json["id"], "o2": other.json["id"]})


@pytest.mark.parametrize(
    ("variant", "echo"),
    [
        ("missing", False),
        ("doubled", False),
        ("missing", True),
        ("doubled", True),
        ("reordered", True),
        ("swapped", True),
    ],
)
async def test_a_batchs_results_reach_their_own_sales(tmp_path, flash, variant, echo):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        sold = await sell(register, 12)
        trouble = flash.fault("multi-status", variant=variant, echo=echo, path="/batch$")
        flash.start()
        await assert_each_counted_once(register, flash, sold)
        assert trouble.fired >= 1


@pytest.mark.parametrize("status", [400, 404, 405, 413, 422, 501])
async def test_a_refused_batch_goes_singly_and_settles_nobody(tmp_path, flash, status):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        sold = await sell(register, 12)
        flash.fault("status", status=status, path="/batch$")
        flash.start()
        await assert_each_counted_once(register, flash, sold)


@pytest.mark.parametrize(("poison", "end"), [(422, "failed"), (409, "failed"), (500, "pending"), (429, "pending")])
async def test_poison_among_five_hundred_stops_nobody_else(tmp_path, flash, poison, end):
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        sold = await sell(register, 500)
        flash.poison("o250", poison)
        flash.start()

        async def others_settled():
            return (await register.status())["pending"] == (1 if end == "pending" else 0)

        await until(others_settled, 30)
        assert flash.awards == dict.fromkeys(sold.keys() - {"o250"}, 1)
        assert (await register.operation(sold["o250"]))["status"] == end
        assert flash.violations == []


async def test_409_without_a_code_is_tried_three_times_under_one_key(online, flash):
    flash.fault("conflict-no-code", path="^/orders$")
    sale = await online.sell(wait=20)
    assert (sale.status, sale.json["status"]) == (200, "failed")
    assert (sale.json["error"]["code"], sale.json["error"]["httpStatus"]) == ("order-conflict", 409)
    assert [seen.request.key for seen in posts(flash)] == ["sale-90871"] * 3


async def test_a_key_still_in_flight_is_waited_for(online, flash):
    flash.fault("in-flight", path="^/orders$", times=2)
    sale = await online.sell("o5", 100, wait=10)
    await assert_each_counted_once(online, flash, {"o5": sale.json["id"]})
    assert {seen.request.key for seen in posts(flash)} == {"sale-o5"}


def sell_elsewhere(flash, order, amount):
    """Another till's sale."""
    line = http.client.HTTPConnection("127.0.0.1", flash.port, timeout=5)
    headers = {
        "Authorization": f"Bearer {OTHER_TILLS_KEY}",
        "Content-Type": "application/json",
        "Idempotency-Key": f"elsewhere-{order}",
        "User-Agent": "other-till/1.0",
    }
    body = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": amount}
    line.request("POST", "/api/v2/orders", json.dumps(body), headers)
    assert line.getresponse().status == 200
    line.close()


async def test_a_refund_whose_order_is_not_there_yet_waits_and_goes_under_a_new_key(online, flash):
    body = {"externalOrderId": "elsewhere", "refundId": "r1", "amount": 40}
    refund = await online.call("POST", "/v1/refunds", body, Prefer="wait=5")
    assert (refund.status, refund.json["status"]) == (202, "pending")
    assert (refund.json["error"]["code"], refund.json["error"]["httpStatus"]) == ("order-unknown", 404)
    assert refund.json["nextAttemptAt"]
    await asyncio.to_thread(sell_elsewhere, flash, "elsewhere", 100)
    settled = await online.settled(refund.json["id"])
    assert (settled["status"], settled["result"]["clawedBack"]) == ("succeeded", 2)
    keys = [seen.request.key for seen in posts(flash, "/orders/elsewhere/refund")]
    assert len(keys) == len(set(keys)) > 1
    assert flash.violations == []


@pytest.mark.parametrize("name", ["hang", "slow-body", "latency"])
async def test_a_register_never_sits_longer_than_it_asked(tmp_path, flash, name):
    flash.fault(name, **({"ms": 20_000} if name == "latency" else {}))
    async with running(tmp_path, settings(flash.base_url, flash={"attempt_timeout_s": 8.0})) as register:
        for order, wait in (("1", 1), ("2", 0.5), ("3", 0)):
            began = time.monotonic()
            assert (await register.sell(order, wait=wait)).status == 202
            assert time.monotonic() - began < wait + 1.0
        flash.stop()


def test_an_agent_that_cannot_reach_flash_starts_and_serves(tmp_path):
    with agent_process(tmp_path, "http://127.0.0.1:9/api/v2") as process:
        line = http.client.HTTPConnection("127.0.0.1", process.port, timeout=10)
        line.request("GET", "/readyz")
        assert line.getresponse().read() == b'{"status":"ok"}'
        body = json.dumps({"externalOrderId": "1", "customer": {"externalId": "C"}, "totalAmount": 1})
        headers = {"Authorization": f"Bearer {process.token}", "Content-Type": "application/json"}
        line.request("POST", "/v1/sales", body, headers)
        assert line.getresponse().status == 202
        line.close()


async def test_the_log_says_once_when_the_line_goes_and_when_it_comes_back(tmp_path, flash, capfd):
    logs.set_up()
    async with running(tmp_path, settings(flash.base_url)) as register:
        await register.sell("1", wait=10)
        flash.stop()
        await sell(register, 5, "gone")
        await until(lambda: connectivity_is(register, "offline"))
        flash.start()
        await register.sell("2", wait=10)
        await all_settled(register)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line.startswith("{")]
    states = [line["state"] for line in lines if line["event"] == "line to Flash"]
    assert states == ["online", "offline", "online"]


async def connectivity_is(register, state):
    return (await register.status())["connectivity"] == state
