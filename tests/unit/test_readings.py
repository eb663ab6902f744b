"""Readings of members' answers: tolerant, and never an error."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.flash import readings

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(st.dictionaries(st.sampled_from(["id", "status", "usesLeft", "uses", "used", "expiresAt", "terms"]), JSON))
def test_no_coupon_is_an_error(coupon):
    readings.coupon_is_active(coupon)
    readings.coupon_uses_left(coupon)
    readings.coupon_expires_at_ms(coupon)
    readings.coupon_value(coupon)
    assert readings.coupon_id(coupon) in ("", coupon.get("id"))


@given(JSON)
def test_no_answer_is_an_error(data):
    points = readings.points_of(data)
    assert points is None or type(points["balance"]) is int
    readings.tier_of(data)
    readings.coupons_of(data)


@pytest.mark.parametrize(
    ("coupon", "left"),
    [({}, None), ({"usesLeft": 1}, 1), ({"usesLeft": 3, "uses": 9}, 3), ({"uses": 2, "used": 0}, 2),
     ({"uses": 2, "used": 1}, 1), ({"uses": 2}, 2), ({"uses": "2"}, None)],
)  # fmt: skip
def test_how_often_a_coupon_can_still_be_used_is_what_flash_says(coupon, left):
    assert readings.coupon_uses_left(coupon) == left


def test_an_expiry_that_cannot_be_read_is_long_ago():
    assert readings.coupon_expires_at_ms({}) is None
    assert readings.coupon_expires_at_ms({"expiresAt": "soon"}) == 0
    assert readings.coupon_expires_at_ms({"expiresAt": "1970-01-01T00:00:01Z"}) == 1000


def test_the_value_of_a_coupon_is_its_amount_off():
    assert readings.coupon_value({"terms": {"type": "amount", "value": Decimal("5.50")}}) == Decimal("5.50")
    assert readings.coupon_value({"terms": {"type": "percent", "value": 10}}) is None
    for strange in (-1, 10**12, Decimal("1E+999999"), Decimal("1E-999999"), Decimal("1.0000001"), True, "5"):
        assert readings.coupon_value({"terms": {"type": "amount", "value": strange}}) is None


@pytest.mark.parametrize("nought", ["0E-999999999", "0e-41", "0.00", "0"])
def test_no_sum_of_money_takes_all_memory_when_it_is_written_out(nought):
    """Written out, a nought of a thousand million zeros took a gigabyte."""
    order = readings.order_of({"externalOrderId": "1", "totalAmount": Decimal(nought), "refundedAmount": nought})
    coupon = readings.coupon_value({"terms": {"type": "amount", "value": Decimal(nought)}})
    for money in (order["totalAmount"], order["refunded"], coupon):
        assert (money is None) == (nought in {"0E-999999999", "0e-41"})
        assert money is None or (money == 0 and len(f"{money:f}") < 50)
