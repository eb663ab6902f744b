"""The oracle can fail a client: what breaks the contract is recorded, and what does not is not."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.strict_flash import READ_KEY, StrictFlash
from tests.support.strict_flash_client import LOST, SALE, call, sell


@pytest.fixture
def flash(tmp_path: Path) -> Iterator[StrictFlash]:
    with StrictFlash(tmp_path / "flash.jsonl", members=[{"externalId": "C1", "email": "Ada@acme.com"}]) as started:
        yield started


@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ("Authorization", {"authorization": None}),
        ("Authorization", {"token": "fl_live_x"}),
        ("User-Agent", {"user_agent": None}),
        ("User-Agent", {"user_agent": "till-agent"}),
        ("User-Agent", {"user_agent": "python-httpx/0.28"}),
        ("no Idempotency-Key", {"key": None}),
        ("Content-Type", {"content_type": None}),
        ("Content-Type", {"content_type": "text/plain"}),
        ("wrong Host", {"host": "flash.example"}),
        ("duplicate keys", {"body": b'{"externalOrderId":"1","externalOrderId":"2"}'}),
        ("non-finite", {"body": b'{"totalAmount":NaN}'}),
        ("sent as str", {"body": SALE | {"totalAmount": "120.00"}}),
        ("float noise", {"body": SALE | {"totalAmount": 120.00000000001}}),
        ("unknown field order.till", {"body": SALE | {"till": "7"}}),
        ("unknown field customer.name", {"body": SALE | {"customer": {"externalId": "C1", "name": "x"}}}),
        ("sent as null", {"body": SALE | {"storeId": None}}),
        (
            "marketingConsent sent",
            {"path": "/members", "body": {"externalId": "C9", "marketingConsent": False}},
        ),
        ("101 items", {"path": "/orders/batch", "body": {"orders": [SALE] * 101}}),
        ("item 1: unknown", {"path": "/orders/batch", "body": {"orders": [SALE, SALE | {"x": "y"}]}}),
        ("no such call", {"path": "/coupons/a/b/redeem"}),
        ("unescaped path segment", {"path": "/coupons/50%/redeem"}),
        ("forbidden path segment", {"path": "/coupons/%2e%2e/redeem"}),
        ("body on a call", {"path": "/coupons/A/redeem", "body": {}}),
        ("unknown query", {"path": "/orders?dry=1"}),
        ("no ISO 8601", {"method": "GET", "path": "/orders?updatedSince=2026-06-26T00:00:00", "body": None}),
    ],
)
def test_every_breach_of_the_contract_is_recorded(flash: StrictFlash, said: str, sent: dict[str, Any]) -> None:
    call(flash, **{"method": "POST", "path": "/orders", "body": SALE, "key": "k"} | sent)
    assert any(said in text for text in flash.violations), flash.violations


def test_too_many_requests_in_flight_are_seen_and_a_client_that_left_is_not_counted(
    flash: StrictFlash,
) -> None:
    flash.set(in_flight_limit=2)
    flash.fault("hang", times=4)
    head = f"GET /api/v2/stores HTTP/1.1\r\nHost: 127.0.0.1:{flash.port}\r\nUser-Agent: till/1\r\n"
    head += f"Authorization: Bearer {READ_KEY}\r\n\r\n"
    lines = [socket.create_connection(("127.0.0.1", flash.port)) for _ in range(3)]
    for line in lines[:2]:
        line.sendall(head.encode())
    assert flash.wait_for(lambda f: f.in_flight == 2)
    assert flash.violations == []
    lines[2].sendall(head.encode())
    assert flash.wait_for(lambda f: f.max_in_flight == 3)
    assert "3 requests in flight" in flash.violations[0]
    for line in lines:
        line.close()
    assert flash.wait_for(lambda f: f.in_flight == 0)


@pytest.mark.parametrize("http_date", [False, True])
def test_a_call_inside_an_announced_pause_is_a_breach(flash: StrictFlash, *, http_date: bool) -> None:
    flash.fault("status", times=1, status=429, retry_after=30, http_date=http_date)
    with closing(http.client.HTTPConnection("127.0.0.1", flash.port)) as line:
        refused = call(line, "POST", "/orders", SALE, key="k")
        assert (refused.status, refused.headers["Retry-After"].endswith("GMT")) == (429, http_date)
        assert call(line, "GET", "/stores", token=READ_KEY).status == 200
        assert flash.violations == []
        assert call(line, "POST", "/orders", SALE, key="k").status == 200
    assert "before the end of a Retry-After" in flash.violations[0]


def test_who_goes_on_calling_does_not_renew_the_grace_of_calls_under_way(flash: StrictFlash) -> None:
    flash.fault("status", status=429, retry_after=30)
    calls = 0
    while not flash.violations and calls < 2_000:  # each on a connection of its own, as calls under way would be
        call(flash, "POST", "/orders", SALE, key="k")
        calls += 1
    assert "before the end of a Retry-After" in flash.violations[0]


def test_a_followed_redirect_is_a_breach(flash: StrictFlash) -> None:
    flash.fault("redirect", times=1)
    there = sell(flash).headers["Location"]
    assert there.startswith(f"http://localhost:{flash.port}/_redirected/api/v2/orders")
    assert flash.violations == []
    call(flash, "GET", "/_redirected/api/v2/orders")
    assert "a redirect followed" in flash.violations[0]


def test_a_coupon_burned_behind_a_lost_answer_must_not_be_posted_under_another_key(
    flash: StrictFlash,
) -> None:
    flash.add_coupon("A")
    flash.set(strict_redeem=False)
    flash.fault("lost-answer", times=1)
    with pytest.raises(LOST):
        call(flash, "POST", "/coupons/A/redeem", key="a1")
    assert call(flash, "POST", "/coupons/A/redeem", key="a1").status == 200
    assert call(flash, "POST", "/coupons/A/redeem", key="a2").status == 404
    assert flash.violations == []
    flash.fault("lost-answer", times=1)
    with pytest.raises(LOST):
        call(flash, "POST", "/coupons/A/redeem", key="a3")
    assert call(flash, "POST", "/coupons/A/redeem", key="a4").status == 404
    assert "under a different key" in flash.violations[0]


def test_an_order_stays_under_its_key_until_flash_has_spoken(flash: StrictFlash) -> None:
    flash.fault("status", status=500, times=3, path="^/orders$")
    assert [sell(flash, "stored").status for _ in range(3)] == [500] * 3
    flash.poison("90871", 422)
    assert sell(flash, "stored.2").status == 422
    flash.cure("90871")
    flash.fault("lost-answer", times=1)
    with pytest.raises(LOST):
        sell(flash, "stored.3")
    assert flash.violations == []
    assert sell(flash, "fresh").status == 200
    assert "sent under a second key while the first had no answer: order:90871" in flash.violations[0]


def test_the_oracle_reports_its_own_faults(flash: StrictFlash) -> None:
    flash.fault("wrong-types", variant="nonsense")
    assert sell(flash).status == 500
    assert "not understood by the oracle" in flash.violations[0]
    with pytest.raises(TypeError):
        flash.fault("status")
