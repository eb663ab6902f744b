"""Ids that were scanned or typed: whatever is in them, they are one encoded segment of Flash's path, or refused."""

import json
from urllib.parse import quote

import pytest

from tests.support.agents import running, settings, strict_flash

MANY = "x" * 128
TAKEN = [
    "../../members",
    "..%2f..%2fmembers",
    "%2e%2e%2f",
    "%2e%2e",
    "a/b",
    "a?b=c",
    "a#b",
    "a;b",
    "a\\b",
    "...",
    "\U0001f389",
    "C-5'; DROP TABLE operation;--",
    "{{7*7}}",
    "<script>",
    MANY,
]
REFUSED = [".", "..", "", " ", "a\x00b", "a\nb", "a\r\nHost: x", "a\x7fb", "\ud800", f"{MANY}x", "x" * 10_000, None, 5]


@pytest.fixture
async def till(tmp_path):
    with strict_flash() as flash:
        flash.set(strict_redeem=False)
        async with running(tmp_path, settings(flash.base_url)) as register:
            register.flash = flash
            yield register


async def redeem(till, code):
    body = json.dumps({"couponId": code, "transactionId": "T-1"}).encode()
    return await till.call("POST", "/v1/redemptions", raw=body, Prefer="wait=5")


async def test_a_scanned_code_is_one_segment(till):
    for code in TAKEN:
        answer = await redeem(till, code)
        assert (answer.status, answer.json["status"], answer.json["honor"]) == (200, "declined", False), answer
    asked = [seen.request.path for seen in till.flash.requests if seen.request.path.endswith("/redeem")]
    assert asked == [f"/api/v2/coupons/{quote(code, safe='')}/redeem" for code in TAKEN]
    assert not till.flash.violations


async def test_what_is_no_code_is_refused_and_never_sent(till):
    for code in REFUSED:
        answer = await redeem(till, code)
        assert (answer.status in {400, 422}, answer.json["stored"]) == (True, False), (code, answer)
    assert not [seen for seen in till.flash.requests if "coupons" in seen.request.path]
    assert (await till.call("GET", "/v1/operations")).json["operations"] == []


async def test_a_members_id_in_our_own_path_is_one_segment_too(till):
    for code in (*TAKEN, ".."):
        answer = await till.call("GET", f"/v1/members/{quote(code, safe='').replace('.', '%2E')}")
        assert answer.status in {404, 422, 503}, (code, answer)
    outside = [seen.request.path for seen in till.flash.requests if not seen.request.path.startswith("/api/v2/")]
    assert outside == []
    assert not till.flash.violations
