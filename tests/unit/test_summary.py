"""A day in numbers: what is summed, by currency, exactly; what is not known is not zero."""

import time
from decimal import Decimal

import pytest

from agent import jsons
from agent.cli.commands.summary import sheet
from agent.delivery import Kind
from agent.outbox.day import DayRedemption
from agent.outbox.operation import Content, Operation, Verdict
from agent.outbox.rows import DAMAGED
from agent.outbox.state import Status
from agent.service.summary import MAX_NAMED, DaySummary, RedemptionSummary, local_day, spelt


def operation(kind=Kind.SALE, status=Status.SUCCEEDED, *, date="2026-11-25", verdict=None, stripped=False, **request):
    content = None if stripped else Content(request, "/orders", jsons.raw({}), "key")
    return Operation(
        seq=1, id="op_1", kind=kind, status=status, generation=1, blocked=False, attempts=1, maybe_sent=1, strikes=0,
        accepted_at=0, next_attempt_at=None, settled_at=0, business_date=date, content=content,
        verdict=Verdict(verdict or {}),
    )  # fmt: skip


def summed(*operations):
    day = DaySummary("2026-11-25", "USD", kept_since_ms=1000)
    for each in operations:
        day.add(each)
    return day.as_json()


def test_amounts_are_summed_exactly_by_currency():
    shown = summed(
        *[operation(totalAmount=Decimal("0.10")) for _ in range(3)],
        operation(totalAmount=120),
        operation(totalAmount="7.5", currency="EUR"),
        operation(totalAmount=Decimal(1200), currency="JPY"),
        operation(totalAmount=0, currency="KWD"),
        operation(totalAmount=Decimal("999999999999.99"), currency="CHF"),
        operation(totalAmount=Decimal("0.01"), currency="CHF"),
    )
    assert shown["sales"]["count"] == 9
    assert shown["sales"]["amounts"] == {
        "CHF": "1000000000000.00", "EUR": "7.50", "JPY": "1200", "KWD": "0.000", "USD": "120.30",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        ("120", "USD", "120.00"),
        ("120.5000", "USD", "120.50"),
        ("1E+2", "USD", "100.00"),
        ("0.0001", "CLF", "0.0001"),
        ("12.345", "USD", "12.345"),
        ("-0.5", "JPY", "-0.5"),
    ],
)
def test_a_decimal_string_has_the_currencys_decimals_and_loses_none(amount, currency, written):
    assert spelt(Decimal(amount), currency) == written


def test_by_status_and_what_is_discarded_counts_nowhere_else():
    shown = summed(*[operation(status=status, totalAmount=10) for status in Status])
    one = {"count": 1, "amounts": {"USD": "10.00"}}
    assert all(shown["sales"][status.value] == one for status in Status)
    assert (shown["sales"]["count"], shown["sales"]["amounts"]) == (4, {"USD": "40.00"})


def test_points_are_flashs_and_of_what_succeeded_alone():
    shown = summed(
        operation(verdict={"awarded": 6}, totalAmount=1),
        operation(verdict={"awarded": 0, "reason": "not-a-member"}, totalAmount=5),
        operation(status=Status.FAILED, verdict={"awarded": 100}, totalAmount=1),
        operation(Kind.REFUND, verdict={"clawedBack": 2}, amount=1),
        operation(Kind.REFUND, status=Status.PENDING),
    )
    assert shown["points"] == {"awarded": 6, "clawedBack": 2}
    assert shown["sales"]["notAMember"] == {"count": 1, "amounts": {"USD": "5.00"}}
    assert (shown["refunds"]["count"], shown["refunds"]["amounts"]) == (2, {"USD": "1.00"})
    assert shown["refunds"]["withoutAmount"] == 1


def test_a_day_without_operations_is_all_zeros_and_complete():
    shown = summed()
    assert (shown["complete"], shown["sales"]["count"], shown["sales"]["amounts"]) == (True, 0, {})
    assert shown["points"] == {"awarded": 0, "clawedBack": 0}


def test_once_a_row_is_stripped_no_sum_is_shown_and_counts_stay():
    shown = summed(
        operation(totalAmount=10, verdict={"awarded": 6}),
        operation(stripped=True),
        operation(Kind.REFUND, stripped=True, status=Status.DECLINED),
    )
    assert (shown["complete"], shown["stripped"], shown["points"]) == (False, 2, None)
    assert (shown["sales"]["count"], shown["sales"]["amounts"]) == (2, None)
    assert shown["sales"]["succeeded"] == {"count": 2, "amounts": None}
    assert shown["sales"]["notAMember"] is None
    assert shown["refunds"]["declined"] == {"count": 1, "amounts": None}
    assert shown["refunds"]["withoutAmount"] == 0


def test_what_was_forgotten_with_its_member_is_counted_and_in_no_sum():
    forgotten = operation(stripped=True)
    forgotten.settled_at = 1000  # too young for retention to have stripped it
    shown = summed(forgotten, operation(totalAmount=10, verdict={"awarded": 6}))
    assert (shown["complete"], shown["stripped"], shown["forgotten"]) == (False, 0, 1)
    assert (shown["sales"]["count"], shown["sales"]["amounts"]) == (2, {"USD": "10.00"})
    assert shown["points"] == {"awarded": 6, "clawedBack": 0}


def test_a_damaged_row_is_counted_and_said():
    damaged = operation(stripped=True)
    damaged.verdict = DAMAGED
    shown = summed(damaged, operation(totalAmount=10))
    assert (shown["complete"], shown["stripped"], shown["unreadable"]) == (False, 0, 1)
    assert (shown["sales"]["count"], shown["sales"]["amounts"]) == (2, {"USD": "10.00"})


def test_what_has_no_business_date_is_said():
    shown = summed(
        operation(date=None, totalAmount=1),
        operation(totalAmount=1),
        operation(Kind.REFUND, date=None, amount=1),
        operation(Kind.ENROLLMENT, date=None),
        operation(Kind.STORE, date=None),
    )
    assert shown["undated"] == 2
    assert shown["enrollments"] == {
        "count": 1, "succeeded": 1, "pending": 0, "declined": 0, "failed": 0, "discarded": 0,
    }  # fmt: skip


def redemption(number=1, **fields):
    plain = {
        "operation_id": f"op_{number}", "discarded": False, "honor": True, "basis": "flash", "credit": None,
        "unconfirmed": False, "offline": False, "value": None, "lost": False, "has_sale": True,
    }  # fmt: skip
    return DayRedemption(**{**plain, **fields})


def redeemed(*redemptions, open_in_all=0):
    day = RedemptionSummary("USD")
    for each in redemptions:
        day.add(each)
    return day.as_json(open_in_all)


def test_coupons_by_what_the_register_was_told():
    shown = redeemed(
        redemption(),
        redemption(),
        redemption(basis="earlier-redemption"),
        redemption(honor=False),
        redemption(honor=False, basis="not-sent"),
        redemption(honor=False, basis="unconfirmed", unconfirmed=True),
        redemption(honor=False, basis="voided", discarded=True),
        redemption(basis="offline-policy", discarded=True, offline=True),
    )
    assert (shown["honored"], shown["notHonored"], shown["unconfirmed"]) == (4, 3, 1)
    assert shown["honoredByBasis"] == {"flash": 2, "earlier-redemption": 1, "offline-policy": 1}
    assert shown["notHonoredByBasis"] == {"flash": 1, "not-sent": 1, "unconfirmed": 1}


def test_coupons_honored_offline_and_their_loss():
    offline = {"basis": "offline-policy", "offline": True}
    shown = redeemed(
        redemption(**offline, value=Decimal(5)),
        redemption(**offline, value=Decimal("2.50"), lost=True),
        redemption(**offline, value=None, lost=True),
        redemption(),
    )["offline"]
    assert shown == {
        "count": 3, "value": "7.50", "unvalued": 1, "lost": 2, "lostValue": "2.50", "lostUnvalued": 1,
        "currency": "USD",
    }  # fmt: skip


def test_credits_and_discounts_without_a_sale():
    many = [redemption(number, has_sale=False) for number in range(MAX_NAMED + 1)]
    owed = [redemption(honor=False, has_sale=False, credit=state) for state in ("open", "used", "used", "closed")]
    shown = redeemed(*many, *owed, redemption(), open_in_all=7)
    assert shown["credits"] == {"open": 1, "used": 2, "closed": 1, "openInAll": 7}
    assert shown["withoutSale"]["count"] == MAX_NAMED + 1
    assert shown["withoutSale"]["operations"] == [f"op_{number}" for number in range(MAX_NAMED)]


def test_the_sheet_fits_a_terminal_with_the_largest_numbers():
    figure = {"count": 123_456, "amounts": dict.fromkeys(("EUR", "JPY", "USD"), "-1234567890123.4567")}
    money = {**figure, **{status.value: figure for status in Status}, "notAMember": figure, "withoutAmount": 123_456}
    offline = {"count": 12_345, "value": "1234567.00", "lost": 123, "lostValue": "1234567.00", "currency": "USD"}
    summary = {
        "businessDate": "2026-11-25", "storeId": "s" * 128, "tillId": "t" * 64, "asOf": "2026-11-25T19:59:49.684Z",
        "localDay": {"from": "2026-11-25T00:00:00+01:00", "to": "2026-11-26T00:00:00+01:00"}, "stripped": 12_345,
        "forgotten": 12_345, "unreadable": 12_345, "undated": 12_345, "sales": money, "refunds": money,
        "points": {"awarded": 10**9, "clawedBack": 10**9},
        "enrollments": {"count": 12_345, **{status.value: 12_345 for status in Status}},
        "redemptions": {
            "honored": 12_345, "notHonored": 12_345, "unconfirmed": 12_345, "offline": {**offline, "unvalued": 12_345},
            "credits": {"open": 123, "used": 123, "closed": 123, "openInAll": 12_345},
            "withoutSale": {"count": 12_345, "operations": ["op_01a214672907da89a41e881d728309e6"] * MAX_NAMED},
        },
    }  # fmt: skip
    lines = list(sheet(summary))
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for said in ("Past its retention", "forgotten", "readable", "business date", "no amount", "worth", "never came"):
        assert said in text
    assert "-1,234,567,890,123.4567" in text
    stripped = {**summary, "points": None, "sales": {**money, "notAMember": None, "amounts": None}}
    assert "points awarded" in "\n".join(sheet(stripped))


@pytest.fixture
def berlin(monkeypatch):
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone of a process can be changed on POSIX alone")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("day", "begins", "hours"),
    [
        ("2026-11-25", "2026-11-25T00:00:00+01:00", 24),
        ("2026-03-29", "2026-03-29T00:00:00+01:00", 23),
        ("2026-10-25", "2026-10-25T00:00:00+02:00", 25),
    ],
)
@pytest.mark.usefixtures("berlin")
def test_a_local_day_is_as_long_as_the_clocks_say(day, begins, hours):
    begin, end = local_day(day)
    assert begin.isoformat() == begins
    assert (end.timestamp() - begin.timestamp()) / 3600 == hours


@pytest.mark.parametrize("day", ["0001-01-01", "1905-01-01", "9999-12-31"])
def test_a_day_that_no_till_can_mean_is_refused(day):
    with pytest.raises(ValueError):
        local_day(day)
