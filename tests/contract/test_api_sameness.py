"""What makes a resend the same: defaults written out, spellings of an address, fields of newer registers."""

import pytest

from tests.support.agents import running

SALE = {"externalOrderId": "90871", "customer": {"email": "ada@example.com"}, "totalAmount": 120}
REFUND = {"externalOrderId": "90871", "refundId": "r-1", "amount": 20}
REDEMPTION = {"couponId": "C-5", "transactionId": "T-17"}


@pytest.fixture
async def register(tmp_path):
    async with running(tmp_path) as offline:
        yield offline


async def sent_again(register, path, first, again, **headers):
    """The warnings of the second answer, which is a replay of the first."""
    one = await register.call("POST", path, first, **headers)
    two = await register.call("POST", path, again, **headers)
    assert (two.status, two.json["id"], two.headers["Idempotency-Replayed"]) == (one.status, one.json["id"], "true")
    return two.json["warnings"]


DEFAULTS = [
    ("/v1/sales", SALE, {"storeId": "st_1"}),
    ("/v1/sales", {**SALE, "externalOrderId": "90872"}, {"currency": "USD"}),
    ("/v1/refunds", REFUND, {"ifKnown": False}),
    ("/v1/refunds", {**REFUND, "refundId": "r-2"}, {"currency": "USD"}),
    ("/v1/redemptions", REDEMPTION, {"attempt": 1}),
]


@pytest.mark.parametrize("turned", [False, True], ids=["left out first", "written out first"])
async def test_a_default_written_out_differs_in_nothing(register, turned):
    for path, first, more in DEFAULTS:
        bodies = (first, {**first, **more})
        assert await sent_again(register, path, *(bodies[::-1] if turned else bodies), Prefer="wait=0") == [], more


async def test_what_is_not_the_default_still_differs(register):
    (warning,) = await sent_again(register, "/v1/sales", SALE, {**SALE, "storeId": "st_2", "currency": "EUR"})
    assert "currency" in warning
    assert "storeId" in warning


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k-1"}], ids=["by the natural key", "by the header"])
async def test_the_spelling_of_an_address_differs_in_nothing(register, headers):
    shouted = {**SALE, "customer": {"email": " ADA@Example.com "}}
    assert await sent_again(register, "/v1/sales", SALE, shouted, **headers) == []
    enrollment = {"email": "ada@example.com", "fullName": "Ada"}
    assert await sent_again(register, "/v1/enrollments", enrollment, {**enrollment, "email": "Ada@EXAMPLE.com"}) == []
    (warning,) = await sent_again(register, "/v1/sales", SALE, {**SALE, "customer": {"email": "bob@example.com"}})
    assert "customer" in warning


@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k-1"}], ids=["by the natural key", "by the header"])
async def test_a_resend_s_own_unknown_fields_are_named_once(register, headers):
    newer = {**SALE, "cashierMood": "fine"}
    (warning,) = await sent_again(register, "/v1/sales", SALE, newer, **headers)
    assert "cashierMood" in warning
    other = {**newer, "externalOrderId": "90872"}
    assert len(await sent_again(register, "/v1/sales", other, other)) == 1


@pytest.mark.parametrize("more", ["", ', "cashierMood": 1'], ids=["an ordinary sale", "another"])
async def test_of_a_field_that_stands_twice_the_last_one_counts(register, more):
    twice = '"totalAmount": 10, "totalAmount": 5'
    body = f'{{"externalOrderId": "90871", "customer": {{"externalId": "C"}}, {twice}{more}}}'
    answer = await register.call("POST", "/v1/sales", raw=body.encode())
    assert (answer.status, answer.json["request"]["totalAmount"]) == (202, 5)
