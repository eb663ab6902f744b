"""The oracle itself: it answers as the contract says, spoils answers as it is told, and outlives its process."""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.strict_flash import OTHER_TENANT_KEY, READ_KEY, WRITE_KEY, StrictFlash
from tests.support.strict_flash_client import LOST, SALE, Reply, call, sell

ROOT = Path(__file__).parents[2]


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[StrictFlash]:
    with StrictFlash(tmp_path / "flash.jsonl", members=[{"externalId": "C1", "email": "Ada@acme.com"}]) as started:
        yield started


def test_a_sound_client_sees_the_documented_answers_and_breaks_nothing(flash: StrictFlash) -> None:
    member = flash.add_member(externalId="C2", points=7)
    flash.add_coupon("SAVE 10/%", member)
    assert sell(flash).data == {"awarded": 6, "balance": 6, "memberId": "mem_t1_1"}
    assert sell(flash).data["balance"] == 6
    assert sell(flash, "s2", externalOrderId="2", customer={"externalId": "nobody"}).data["reason"] == "not-a-member"
    by_mail = sell(flash, "s3", externalOrderId="3", customer={"email": " ada@ACME.com"}, totalAmount=240)
    assert by_mail.data["awarded"] == 12
    part = {"refundId": "re_1", "reason": "returned", "amount": 80.0}
    assert call(flash, "POST", "/orders/3/refund", part, key="r1").data == {"clawedBack": 4, "balance": 14}
    assert call(flash, "POST", "/orders/3/refund", part, key="r1-again").data["clawedBack"] == 4
    assert call(flash, "POST", "/orders/3/refund", {"refundId": "re_2"}, key="r2").data["clawedBack"] == 8
    ada = {"email": "new@acme.com", "fullName": "Ada", "externalId": "C3"}
    assert call(flash, "POST", "/members", ada, key="m1").status == 201
    assert call(flash, "POST", "/members", ada, key="m2").status == 200
    assert call(flash, "GET", "/members?externalId=C3").json["total"] == 1
    assert call(flash, "GET", f"/members/{member}/points").data == {"balance": 7}
    assert call(flash, "GET", f"/members/{member}/tier").data["name"]
    assert call(flash, "GET", f"/members/{member}/coupons").data[0]["status"] == "active"
    assert call(flash, "POST", "/coupons/SAVE%2010%2F%25/redeem", key="c1").status == 200
    assert call(flash, "POST", "/coupons/SAVE%2010%2F%25/redeem", key="c1").status == 200
    assert call(flash, "GET", "/stores", token=READ_KEY).data[0]["id"] == "st_1"
    store = {"name": "Downtown", "externalId": "ERP-18", "city": "New York"}
    made = call(flash, "POST", "/stores", store, key="st1")
    assert (made.status, call(flash, "PUT", f"/stores/{made.data['id']}", store, key="st2").status) == (
        201,
        200,
    )
    catalog = {"source": "erp", "products": [{"externalId": "P1", "title": "Ring"}, {}]}
    assert call(flash, "POST", "/catalog/import", catalog, key="k").data["products"] == {
        "inserted": 1,
        "updated": 0,
    }
    assert call(flash, "GET", "/products/P1").data["title"] == "Ring"
    page = call(flash, "GET", "/orders?updatedSince=2020-01-01T00:00:00Z&limit=2").json
    assert (len(page["data"]), page["total"], page["nextCursor"]) == (2, 3, "2")
    assert flash.violations == []
    assert flash.awards == {"90871": 1, "2": 0, "3": 1}
    assert flash.doubles() == {}
    assert flash.max_in_flight == 1


def test_only_the_natural_key_saves_a_client_that_changes_its_key(flash: StrictFlash) -> None:
    flash.fault("lost-answer", times=1)
    with pytest.raises(LOST):
        sell(flash, "a")
    assert sell(flash, "b").data["awarded"] == 6
    assert flash.awards["90871"] == 1
    flash.set(natural_keys=False)
    assert sell(flash, "a").data["balance"] == 6
    assert flash.awards["90871"] == 1
    assert sell(flash, "c").data["balance"] == 12
    assert flash.awards["90871"] == 2
    assert flash.doubles() == {"order:90871": 2}
    assert flash.state.keys_by_natural["order:90871"] == ["a", "b", "c"]


def test_refusals_are_replayed_and_a_key_is_bound_to_its_payload(flash: StrictFlash) -> None:
    refund = {"refundId": "re_1", "amount": 20.0}
    assert call(flash, "POST", "/orders/90871/refund", refund, key="r").status == 404
    assert sell(flash).status == 200
    assert call(flash, "POST", "/orders/90871/refund", refund, key="r").status == 404
    assert call(flash, "POST", "/orders/90871/refund", refund, key="r.2").data["clawedBack"] == 1
    assert sell(flash, "other", totalAmount=121).code == "ORDER_CONFLICT"
    assert flash.violations == []
    assert sell(flash, totalAmount=121).code == "IDEMPOTENCY_CONFLICT"
    assert "another payload" in flash.violations[0]
    flash.forget_keys()
    assert call(flash, "POST", "/orders/90871/refund", refund, key="r").data["clawedBack"] == 1
    assert [e["points"] for e in flash.effects if e["kind"] == "refund"] == [-1]


@pytest.mark.parametrize(("name", "committed"), [
    ("drop-before-read", 0), ("drop-before-commit", 0), ("lost-answer", 1), ("torn-answer", 1),
])  # fmt: skip
def test_lost_answers_commit_as_told_and_a_retry_gets_the_first_result(
    flash: StrictFlash, name: str, committed: int
) -> None:
    flash.fault(name, every=2, path="^/orders$")
    sell(flash, "first", externalOrderId="1")
    with pytest.raises(LOST):
        sell(flash)
    assert flash.awards["90871"] == committed
    assert sell(flash).data["balance"] == 12
    assert (flash.awards["90871"], flash.violations) == (1, [])


def test_spoiled_answers(flash: StrictFlash) -> None:
    def under(name: str, **options: Any) -> Reply:
        flash.clear()
        flash.fault(name, **options)
        return sell(flash)

    assert under("captive-portal").headers["Content-Type"] == "text/html"
    assert under("empty-200").raw == b""
    assert under("conflict-no-code").json == {"error": {"message": "conflict"}}
    assert under("in-flight").code == "IDEMPOTENCY_IN_FLIGHT"
    for status in (401, 403, 404, 405, 408, 413, 425, 500, 502, 503, 504):
        assert under("status", status=status).status == status
    assert under("status", status=502, body="<h1>Bad gateway</h1>").raw == b"<h1>Bad gateway</h1>"
    assert flash.awards == {}
    assert under("status", status=500, commit=True).status == 500
    assert flash.awards == {"90871": 1}
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        _ = under("truncated-json").json
    variants = [under("wrong-types", variant=v).data for v in ("string", "bool", "null")]
    assert [data["awarded"] for data in variants] == ["6", True, None]
    assert isinstance(under("wrong-types", variant="list").data, list)
    assert under("close-after-answer").headers["Connection"] == "keep-alive"
    assert under("slow-body", interval=0.0001).data["awarded"] == 6
    assert under("latency", ms=1, after=True).data["awarded"] == 6
    assert (flash.awards, flash.violations) == ({"90871": 1}, [])


def test_a_key_still_under_way_is_told_so_and_commits_after_its_client_left(flash: StrictFlash) -> None:
    flash.fault("latency", ms=300, times=1)
    with closing(http.client.HTTPConnection("127.0.0.1", flash.port)) as line:
        body = json.dumps(SALE)
        head = {
            "Authorization": f"Bearer {WRITE_KEY}",
            "User-Agent": "till/1",
            "Content-Type": "application/json",
        }
        line.request("POST", "/api/v2/orders", body, {**head, "Idempotency-Key": "sale-90871"})
        assert flash.wait_for(lambda f: f.counters["requests"] == 1 and f.requests)
        assert sell(flash).code == "IDEMPOTENCY_IN_FLIGHT"
        assert flash.awards == {}
    assert flash.wait_for(lambda f: f.awards["90871"] == 1)
    assert flash.requests[0].delivery == "lost"


def test_batches_settle_items_one_by_one_and_can_be_scrambled(flash: StrictFlash) -> None:
    flash.poison("bad")
    orders = [SALE | {"externalOrderId": name} for name in ("1", "bad", "3")]
    done = call(flash, "POST", "/orders/batch", {"orders": orders}, key="b")
    assert (done.status, [item["status"] for item in done.data]) == (207, [200, 422, 200])
    assert "externalOrderId" not in done.data[0]["data"]
    shapes = {"missing": ["bad", "3"], "doubled": ["1", "1", "bad", "3"], "reordered": ["3", "bad", "1"]}
    for variant, expected in (shapes | {"swapped": ["1", "1", "bad"]}).items():
        flash.clear()
        flash.fault("multi-status", variant=variant, echo=True)
        data = call(flash, "POST", "/orders/batch", {"orders": orders}, key="b").data
        assert [item["data"]["externalOrderId"] for item in data] == expected
    people = {"members": [{"externalId": "C1"}, {"externalId": "C8"}, {"phone": "1"}]}
    flash.clear()
    made = call(flash, "POST", "/members/batch", people, key="mb").data
    assert [item["status"] for item in made] == [200, 201, 422]
    assert flash.awards == {"1": 1, "3": 1}


def test_scripted_and_poisoned_orders(flash: StrictFlash) -> None:
    flash.script("90871", [503, "drop", {"status": 409, "body": {"error": {}}}, "lost", "ok"])
    assert sell(flash).status == 503
    with pytest.raises(LOST):
        sell(flash)
    assert sell(flash).status == 409
    assert flash.awards == {}
    with pytest.raises(LOST):
        sell(flash)
    assert sell(flash).data["awarded"] == 6
    flash.poison("7", 500)
    assert sell(flash, "s7", externalOrderId="7").status == 500
    flash.cure("7")
    assert sell(flash, "s7", externalOrderId="7").status == 200
    assert flash.awards == {"90871": 1, "7": 1}


def test_keys_are_bound_to_a_tenant_a_scope_and_their_endpoints(flash: StrictFlash) -> None:
    assert [s["id"] for s in call(flash, "GET", "/stores", token=OTHER_TENANT_KEY).data] == ["st_2"]
    assert call(flash, "POST", "/orders", SALE, key="k", token=READ_KEY).status == 403
    assert call(flash, "POST", "/orders", SALE, key="k", token=OTHER_TENANT_KEY).status == 422
    flash.deny(WRITE_KEY, "POST /orders")
    assert sell(flash, "k").status == 403
    assert call(flash, "POST", "/orders/batch", {"orders": [SALE]}, key="b").status == 207
    flash.revoke(WRITE_KEY)
    assert call(flash, "GET", "/stores").status == 401
    assert flash.violations == []


def test_down_means_refused_and_the_state_is_kept_in_memory_and_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "flash.jsonl"
    with StrictFlash(path, members=[{"externalId": "C1"}]) as flash:
        sell(flash)
        call(flash, "GET", "/orders", user_agent="nameless")
        flash.stop()
        with pytest.raises(ConnectionRefusedError):
            sell(flash)
        flash.start()
        assert sell(flash).data["balance"] == 6
        first = (flash.effects, flash.awards, flash.violations)
    with path.open("a") as file:
        file.write('{"effects": [{"n"')
    with StrictFlash(path, members=[{"externalId": "C1"}]) as again:
        assert (again.effects, again.awards, again.violations) == first
        assert sell(again).data["balance"] == 6
        assert sell(again, "s2", externalOrderId="2").data["balance"] == 12
        assert again.doubles() == {}
        first = (again.effects, again.awards, again.violations)
    with StrictFlash(path) as third:
        assert (third.effects, third.awards, third.violations) == first


def test_the_process_is_controlled_over_http_and_survives_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.strict_flash", "--state", str(tmp_path / "f.jsonl")]
    command += ["--members", '[{"externalId": "C1"}]', "--fault", "status:status=503,times=1,path=^/orders"]
    for _ in range(2):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as line:
                assert call(line, "POST", "/orders", SALE, key="k").status == 503
                told = [{"call": "fault", "args": {"name": "conflict-no-code", "times": 1}}]
                assert call(line, "POST", "/_control", told).json == {"ok": True}
                assert call(line, "POST", "/_control", {"call": "close"}).status == 400
                assert call(line, "POST", "/orders", SALE, key="k").status == 409
                assert call(line, "POST", "/orders", SALE, key="k").data["balance"] == 6
                seen = call(line, "GET", "/_control?full").json
            assert (seen["effects"], seen["violations"], seen["max_in_flight"]) == (1, [], 1)
            assert seen["all_awards"] == {"90871": 1}
            assert seen["counters"]["POST 200"] == 1
            os.kill(process.pid, signal.SIGKILL)
