"""The Prefer header: a wait within bounds, strictness when asked, the rest ignored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.api.prefer import MAX_WAIT_S, Preference, parse
from agent.errors import BadRequestError


@pytest.mark.parametrize(
    ("headers", "wait_s", "strict"),
    [
        ([], 0, False),
        ([""], 0, False),
        (["wait=2"], 2, False),
        (["wait=2.5"], 2.5, False),
        (["wait=0"], 0, False),
        (["wait=30"], 30, False),
        (["wait=31"], 30, False),
        (["wait=999999999"], 30, False),
        ([f"wait={'9' * 40}"], 30, False),
        (["wait=0.0000000000001"], 1e-13, False),
        (['wait="5"'], 5, False),
        (["WAIT = 5 ; foo=bar"], 5, False),
        (["handling=strict"], 0, True),
        (["Handling=Strict"], 0, True),
        (["handling=lenient"], 0, False),
        (["handling"], 0, False),
        (["wait=5, handling=strict"], 5, True),
        (["wait=5", "handling=strict"], 5, True),
        (["respond-async, wait=5;x, foo=wait"], 5, False),
        (["return=minimal,,"], 0, False),
        (["waiting=5"], 0, False),
    ],
)
def test_what_the_register_asked_for(headers, wait_s, strict):
    assert parse(headers) == Preference(wait_s, strict)


def test_of_a_preference_given_twice_the_first_counts():
    """RFC 7240, section 2."""
    assert parse(["wait=5, wait=9"]).wait_s == 5
    assert parse(["handling=lenient", "handling=strict"]).strict is False


def test_the_default_holds_where_no_wait_was_asked_for():
    assert parse([], 3.0).wait_s == 3
    assert parse(["handling=strict"], 3.0) == Preference(3.0, strict=True)
    assert parse(["wait=0"], 3.0).wait_s == 0


@pytest.mark.parametrize(
    "wait", ["wait", "wait=", "wait=-1", "wait=soon", "wait=1e3", "wait=0x5", "wait=inf", "wait=nan", "wait=1 2"]
)
def test_a_wait_that_is_no_number_is_a_fault(wait):
    with pytest.raises(BadRequestError, match="wait=2") as caught:
        parse([wait])
    assert (caught.value.status, caught.value.code) == (400, "bad-header")


@given(st.lists(st.text(max_size=20) | st.from_regex(r"(wait|handling) ?= ?\"?[\w.+-]{0,12}\"?"), max_size=3))
def test_any_header_is_a_bounded_wait_or_a_named_fault(headers):
    try:
        wait_s = parse(headers).wait_s
    except BadRequestError:
        wait_s = 0.0
    assert 0 <= wait_s <= MAX_WAIT_S
