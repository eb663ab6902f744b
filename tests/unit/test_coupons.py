"""What follows from what the till saw of a coupon."""

from decimal import Decimal

import pytest

from agent.coupons import Limits, Sighting, Standing, standing, why_not_offline

NOW = 1_800_000_000_000
HOUR = 3_600_000


def row(coupon_id="C-5", status="active", **fields):
    return {"id": coupon_id, "status": status, **fields}


@pytest.mark.parametrize(
    ("listed", "before", "was_seen", "expected"),
    [
        ([row()], {}, False, Standing.ACTIVE),
        ([row(status="ACTIVE")], {}, False, Standing.ACTIVE),
        ([row("other")], {}, False, Standing.UNCLEAR),
        ([row("other")], row(), True, Standing.GONE),
        ([], {}, True, Standing.GONE),
        ([], {}, False, Standing.UNCLEAR),
        ([row(status="redeemed")], {}, False, Standing.GONE),
        ([row(status="used")], row(), True, Standing.GONE),
        ([row(status="paused")], row(), True, Standing.UNCLEAR),
        ([row(status=None)], row(), True, Standing.UNCLEAR),
        ([row(uses=1, used=0)], {}, False, Standing.ACTIVE),
        ([row(uses=2, used=1)], {}, False, Standing.UNCLEAR),
        ([row(usesLeft=1)], {}, False, Standing.UNCLEAR),
        ([row(usesLeft=1)], row(usesLeft=1), True, Standing.ACTIVE),
        ([row(usesLeft=1)], row(usesLeft=2), True, Standing.UNCLEAR),
        ([row(status="redeemed", usesLeft=0)], row(usesLeft=2), True, Standing.UNCLEAR),
        ([row(), row()], {}, True, Standing.UNCLEAR),
    ],
)
def test_standing(listed, before, was_seen, expected):
    assert standing(listed, "C-5", before=before, was_seen=was_seen) is expected


def seen(at=NOW - HOUR, *, clock_known=True, **fields):
    return Sighting(row(**fields), "mem_1", at, clock_known)


@pytest.mark.parametrize(
    ("sighting", "clock_known", "limits", "allowed"),
    [
        (seen(), True, Limits(), True),
        (None, True, Limits(), False),
        (seen(status="not-listed"), True, Limits(), False),
        (seen(), False, Limits(), False),
        (seen(clock_known=False), True, Limits(), False),
        (seen(NOW - 24 * HOUR), True, Limits(), True),
        (seen(NOW - 24 * HOUR - 1), True, Limits(), False),
        (seen(NOW + 4_000), True, Limits(), True),
        (seen(NOW + HOUR), True, Limits(), False),
        (seen(expiresAt="2020-01-01T00:00:00Z"), True, Limits(), False),
        (seen(usesLeft=0), True, Limits(), False),
        (seen(terms={"type": "amount", "value": 5}), True, Limits(max_value=Decimal(5)), True),
        (seen(terms={"type": "amount", "value": 5}), True, Limits(max_value=Decimal("4.99")), False),
        (seen(), True, Limits(max_value=Decimal(5)), False),
    ],
)
def test_why_not_offline(sighting, clock_known, limits, allowed):
    assert (why_not_offline(sighting, NOW, clock_known=clock_known, limits=limits) == "") is allowed
