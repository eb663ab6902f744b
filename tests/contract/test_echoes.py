"""A Flash that repeats what it was sent: its words are kept without keys and without what they say of a person."""

import json

import pytest

from agent import jsons
from agent.delivery import Kind
from agent.flash.outcome import judge
from agent.flash.wire import error_code
from tests.support.agents import WRITE_KEY, running, settings, strict_flash, until
from tests.support.echoing_flash import echoing_flash

MEMBER = {"email": "Canary@post.example", "externalId": "EXT-77", "fullName": "Ada Vogelsang", "phone": "0170 555"}


async def test_what_flash_repeats_of_a_document_is_masked(tmp_path):
    with strict_flash() as flash:
        async with running(tmp_path, settings(flash.base_url)) as register:  # its key is known to be this till's
            await register.sell("first", wait=10)
    with echoing_flash() as echo:
        async with running(tmp_path, settings(echo.base_url)) as register:

            async def one_failed():
                return (await register.status())["failed"] > 0

            await register.call("POST", "/v1/enrollments", MEMBER, Prefer="wait=5")
            await until(one_failed)
            page = (await register.call("GET", "/v1/operations?status=failed")).json
            detail = page["operations"][0]["error"]["detail"]
            assert "/members" in detail  # Flash's own words are told
            for secret in (*MEMBER.values(), "Vogelsang", WRITE_KEY, WRITE_KEY[:12]):
                assert secret.lower() not in json.dumps(page).lower()


@pytest.mark.parametrize("code", ["ORDER_CONFLICT", "order-conflict", "E1.2", "A" * 64])
def test_a_code_is_a_code(code):
    assert error_code({"error": {"code": code}}) == code


@pytest.mark.parametrize("code", ["ada@example.com", "fl_live_0123", "Ada Vogelsang", "A" * 65, "", "1", "é", None, 7])
def test_what_is_no_code_is_none(code):
    assert error_code({"error": {"code": code}}) == ""


def test_a_long_message_is_cut_where_no_address_is_torn():
    message = "x " * 490 + "some.body.with.a.long.name@post.example and more " * 100
    detail = judge(Kind.SALE, 422, jsons.encode({"error": {"code": "V", "message": message}})).detail
    assert len(detail) <= 1_000
    assert "some.body" not in detail


async def test_a_message_without_blanks_costs_no_time():
    message = "a" * 3_000_000 + "@"
    assert judge(Kind.SALE, 422, jsons.encode({"error": {"message": message}})).detail == "Flash refused the document."
