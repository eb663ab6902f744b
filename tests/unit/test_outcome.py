"""The outcome table: every kind, status, code and shape of body has one fate, and it is the promised one.

`expected` is written from the promises ("what counts as Flash's word"), not from the table under test.
"""

import json
from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.delivery import Contact, Fate, Kind, Outcome
from agent.flash.outcome import MAX_RETRY_AFTER_S, judge, retry_after_s

STATUSES = [
    200, 201, 202, 204, 207, 301, 302, 400, 401, 403, 404, 405,
    408, 409, 413, 422, 425, 429, 500, 502, 503, 504, 511, 599,
]  # fmt: skip
CODES = [None, "ORDER_CONFLICT", "IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_IN_FLIGHT", "VALIDATION", "SOMETHING_NEW"]
# What Flash documents in `data`, and the one field of it that must be an integer.
DATA = {
    Kind.SALE: {"awarded": 6, "balance": 1820, "memberId": "mem_1"},
    Kind.REFUND: {"clawedBack": 6, "balance": 1814},
    Kind.ENROLLMENT: {"id": "mem_1", "externalId": "POS-1"},
    Kind.REDEMPTION: {"id": "cpn_1", "status": "redeemed"},
    Kind.STORE: {"id": "st_1"},
    Kind.CATALOG: {"products": {"inserted": 1, "updated": 0}, "errors": []},
}
INTEGER_FIELD = {Kind.SALE: "awarded", Kind.REFUND: "clawedBack"}
WRONG_VALUES = {"as-string": "6", "as-bool": True, "as-null": None, "as-float": 6.5, "as-list": [6], "left-out": ...}
ENVELOPES = ["whole", *WRONG_VALUES, "data-list", "data-string", "data-null", "data-missing"]
SHAPES = [*ENVELOPES, "empty", "blank", "truncated", "html", "array"]
NOT_AN_OBJECT = {"truncated", "html", "array"}
EMPTY = {"empty", "blank"}


class Word(NamedTuple):
    """What is asserted of an outcome."""

    fate: Fate
    contact: Contact
    definitive: bool = False
    unsent: bool = False


NOT_FLASH = Word(Fate.RETRY, Contact.UNREACHABLE)


def envelope(kind, code, shape):
    data = dict(DATA[kind])
    if shape in WRONG_VALUES and (name := INTEGER_FIELD.get(kind)):
        data[name] = WRONG_VALUES[shape]
        if data[name] is ...:
            del data[name]
    document = {"data": {"data-list": [data], "data-string": "6", "data-null": None}.get(shape, data)}
    if shape == "data-missing":
        document = {"message": "done"}
    if code:
        document = {"error": {"code": code, "message": "as Flash says it"}}
    return document


def body_of(kind, code, shape):
    match shape:
        case "empty":
            return b""
        case "blank":
            return b" \r\n"
        case "html":
            return b"<!doctype html><html><title>Sign in</title></html>"
        case "array":
            return json.dumps([envelope(kind, code, "whole")]).encode()
        case "truncated":
            return json.dumps(envelope(kind, code, "whole")).encode()[:-3]
        case _:
            return json.dumps(envelope(kind, code, shape)).encode()


def expected(kind, status, code, shape):
    if 200 <= status < 300:
        return Word(Fate.SUCCEEDED, Contact.ANSWERED) if is_a_yes(kind, status, code, shape) else NOT_FLASH
    if status == 429:
        return Word(Fate.RETRY, Contact.THROTTLED, unsent=True)
    if status in {408, 425} or status >= 500:
        return Word(Fate.RETRY, Contact.TROUBLED)
    if shape in NOT_AN_OBJECT:
        return NOT_FLASH
    if status in {401, 403}:
        refused = {401: Contact.KEY_REFUSED, 403: Contact.ENDPOINT_REFUSED}
        return Word(Fate.HOLD, refused[status], unsent=True)
    return a_no(kind, status, None if shape in EMPTY else code)


def is_a_yes(kind, status, code, shape):
    if kind is Kind.REDEMPTION:  # "a redeem: 200, JSON or empty, never HTML"; an error is no yes
        return status == 200 and shape not in NOT_AN_OBJECT and (code is None or shape in EMPTY)
    if shape in NOT_AN_OBJECT | EMPTY or code is not None:
        return False
    return shape == "whole" or (shape in WRONG_VALUES and kind not in INTEGER_FIELD)


def a_no(kind, status, code):
    final = Word(Fate.FAILED, Contact.ANSWERED, definitive=True)
    has_body = kind is not Kind.REDEMPTION
    if (status in {409, 422} and code == "IDEMPOTENCY_CONFLICT") or (status in {400, 422} and has_body):
        return final
    if status == 404 and kind is Kind.REDEMPTION:
        return Word(Fate.DECLINED, Contact.ANSWERED, definitive=True)
    if status == 404 and kind is Kind.REFUND:
        return Word(Fate.RETRY, Contact.ANSWERED, definitive=True)
    if status == 409 and code == "IDEMPOTENCY_IN_FLIGHT":
        return Word(Fate.RETRY, Contact.ANSWERED)
    if status == 409 and kind is Kind.SALE:
        return final if code else Word(Fate.RETRY, Contact.ANSWERED)
    return Word(Fate.RETRY, Contact.TROUBLED) if code else NOT_FLASH  # Flash's own voice is no outage


def word(outcome):
    return Word(outcome.fate, outcome.contact, outcome.definitive, outcome.unsent)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("kind", list(Kind))
def test_every_answer_has_the_promised_fate(kind, status):
    wrong = [
        f"{code} {shape}: {got} and not {want}"
        for code in CODES
        for shape in SHAPES
        if (got := word(judge(kind, status, body_of(kind, code, shape))))
        != (want := expected(kind, status, code, shape))
    ]
    assert wrong == []


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("status", STATUSES)
def test_the_status_is_kept_for_people(kind, status):
    assert judge(kind, status, body_of(kind, None, "whole")).http_status == status


def test_a_yes_carries_flashs_data():
    assert judge(Kind.SALE, 200, body_of(Kind.SALE, None, "whole")).result == DATA[Kind.SALE]
    assert judge(Kind.REDEMPTION, 200, b"").result == {}


@pytest.mark.parametrize("status", [201, 202, 204, 207])
def test_a_coupon_is_redeemed_only_by_a_200(status):
    assert word(judge(Kind.REDEMPTION, status, b"")) == NOT_FLASH


def test_an_empty_error_beside_the_data_is_no_error():
    for kind, data in DATA.items():
        body = json.dumps({"data": data, "error": None}).encode()
        assert word(judge(kind, 200, body)) == Word(Fate.SUCCEEDED, Contact.ANSWERED)


@pytest.mark.parametrize("written", ["6.0", "6e0", "0.6E1", "6.000000000000000000000"])
@pytest.mark.parametrize("kind", INTEGER_FIELD)
def test_a_whole_number_is_an_integer_however_it_is_written(kind, written):
    answer = judge(kind, 200, f'{{"data":{{"{INTEGER_FIELD[kind]}":{written},"balance":1820}}}}'.encode())
    assert (answer.fate, answer.result["balance"]) == (Fate.SUCCEEDED, 1820)
    assert type(answer.result[INTEGER_FIELD[kind]]) is int
    assert answer.result[INTEGER_FIELD[kind]] == 6


@pytest.mark.parametrize("written", ["1e15", "-1e999999", "6.0000001"])
def test_points_beyond_measure_or_in_parts_are_none(written):
    assert word(judge(Kind.SALE, 200, f'{{"data":{{"awarded":{written}}}}}'.encode())) == NOT_FLASH


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (Kind.SALE, {"awarded": 6, "memberId": 5}),
        (Kind.SALE, {"awarded": 6, "memberId": {}}),
        (Kind.ENROLLMENT, {"id": 5}),
        (Kind.STORE, {"id": []}),
    ],
)
def test_an_id_that_is_no_text_is_not_flashs(kind, data):
    assert word(judge(kind, 200, json.dumps({"data": data}).encode())) == NOT_FLASH


def test_a_byte_order_mark_changes_nothing():
    assert judge(Kind.SALE, 200, b'\xef\xbb\xbf{"data":{"awarded":6}}').result == {"awarded": 6}
    assert judge(Kind.SALE, 422, b'\xef\xbb\xbf{"error":{"code":"VALIDATION"}}').fate is Fate.FAILED
    assert word(judge(Kind.SALE, 200, b"\xef\xbb\xbf<html>")) == NOT_FLASH


@pytest.mark.parametrize("spell", [str.lower, lambda code: code.replace("_", "-"), lambda code: code.title()])
@pytest.mark.parametrize("status", [409, 422])
@pytest.mark.parametrize("code", ["IDEMPOTENCY_IN_FLIGHT", "IDEMPOTENCY_CONFLICT", "ORDER_CONFLICT"])
def test_a_code_means_the_same_however_it_is_spelled(code, status, spell):
    for kind in Kind:
        usual, other = (judge(kind, status, body_of(kind, each, "whole")) for each in (code, spell(code)))
        assert (other.fate, other.contact, other.code) == (usual.fate, usual.contact, usual.code)


def test_a_sale_of_a_non_member_is_a_yes():
    answer = judge(Kind.SALE, 200, b'{"data":{"awarded":0,"reason":"not-a-member"}}')
    assert (answer.fate, answer.result["reason"]) == (Fate.SUCCEEDED, "not-a-member")


@pytest.mark.parametrize(
    ("kind", "status", "code", "told"),
    [
        (Kind.SALE, 409, "ORDER_CONFLICT", "order-conflict"),
        (Kind.SALE, 409, "IDEMPOTENCY_CONFLICT", "idempotency-conflict"),
        (Kind.ENROLLMENT, 422, "IDEMPOTENCY_CONFLICT", "idempotency-conflict"),
        (Kind.SALE, 422, "ORDER_CONFLICT", "validation"),
        (Kind.SALE, 400, "IDEMPOTENCY_CONFLICT", "validation"),
        (Kind.CATALOG, 422, None, "validation"),
        (Kind.REFUND, 404, None, "order-unknown"),
        (Kind.REFUND, 404, "ORDER_NOT_FOUND", "order-unknown"),
    ],
)
def test_the_codes_that_people_and_registers_see(kind, status, code, told):
    assert judge(kind, status, body_of(kind, code, "whole")).code == told


def test_a_refund_of_an_unknown_order_is_declined_only_where_the_register_asked():
    assert word(judge(Kind.REFUND, 404, b"", if_known=True))[:2] == (Fate.DECLINED, Contact.ANSWERED)
    assert judge(Kind.REFUND, 404, b"<html>", if_known=True).fate is Fate.RETRY
    assert judge(Kind.SALE, 404, b"", if_known=True).fate is Fate.RETRY


@pytest.mark.parametrize("error", [409, None, [], {"code": 7}, {"code": None}, {"message": "x"}])
def test_a_code_that_is_no_text_is_no_code(error):
    answer = judge(Kind.SALE, 409, json.dumps({"error": error}).encode())
    assert (answer.fate, answer.code) == (Fate.RETRY, "conflict-unexplained")


@pytest.mark.parametrize("status", [429, 503, 500])
def test_retry_after_is_handed_on(status):
    assert judge(Kind.SALE, status, b"", retry_after=7.0).retry_after_s == 7.0
    assert judge(Kind.SALE, status, b'{"error":{}}', retry_after=7200.0).retry_after_s == 7200.0


@pytest.mark.parametrize("status", [429, 503, 500])
@pytest.mark.parametrize(("body", "asked_s"), [(b"<html>", 60.0), (b"[]", 60.0), (b"{}", 86_400.0), (b"", 86_400.0)])
def test_a_gateways_page_is_believed_for_a_minute_at_the_most(status, body, asked_s):
    assert judge(Kind.SALE, status, body, retry_after=86_400.0).retry_after_s == asked_s
    assert judge(Kind.SALE, status, body, retry_after=5.0).retry_after_s == 5.0


@pytest.mark.parametrize(
    "body", [b"\xff\xfe\x00", b'{"data":NaN}', b"[" * 50_000, b'{"data":1e99999999999999999999}', b"9" * 5000]
)
@pytest.mark.parametrize("status", [200, 409, 404])
def test_a_body_made_to_hurt_is_an_answer_that_is_not_flashs(status, body):
    assert word(judge(Kind.SALE, status, body)) == NOT_FLASH


@given(st.sampled_from(list(Kind)), st.integers(100, 999), st.binary(max_size=40))
def test_any_bytes_have_an_outcome_and_noise_is_never_a_yes(kind, status, body):
    outcome = judge(kind, status, body)
    assert isinstance(outcome, Outcome)
    assert outcome.fate is not Fate.SUCCEEDED or (kind is Kind.REDEMPTION and status == 200 and not body.strip())


# ---- Retry-After ---------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("", None), ("0", 0.0), ("7", 7.0), (" 7 ", 7.0), ("86401", MAX_RETRY_AFTER_S),
        ("999999999", MAX_RETRY_AFTER_S), ("99999999999999999999", MAX_RETRY_AFTER_S),
        ("Sun, 22 Nov 2026 12:01:30 GMT", 90.0), ("Sun, 22 Nov 2026 13:01:30 +0100", 90.0),
        ("Sun, 22 Nov 2026 12:01:30 -0000", 90.0), ("Sun, 22 Nov 2026 11:00:00 GMT", 0.0),
        ("Fri, 22 Nov 2999 12:00:00 GMT", MAX_RETRY_AFTER_S),
        ("-5", None), ("1.5", None), ("soon", None), ("inf", None), ("nan", None), ("7 seconds", None),
        ("Sun, 99 Nov 2026 12:01:30 GMT", None), ("Sun, 22 Nov 99999999999999999999 12:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_in_seconds_as_a_date_or_not_at_all(value, seconds):
    assert retry_after_s(value, NOW) == seconds


@given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,20} Nov \d{1,20} \d{1,9}:\d\d:\d\d [+-]\d{1,9}"))
def test_no_retry_after_is_beyond_its_bounds_and_none_raises(value):
    seconds = retry_after_s(value, NOW)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S
