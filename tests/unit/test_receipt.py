"""Lines for a receipt: short, and true when they are printed."""

import pytest

from agent.delivery import Kind
from agent.outbox.operation import Operation, Verdict
from agent.outbox.state import Status
from agent.receipt import lines


def operation(kind=Kind.SALE, status=Status.SUCCEEDED, **result):
    return Operation(
        seq=1, id="op_1", kind=kind, status=status, generation=1, blocked=False, attempts=1, maybe_sent=1, strikes=0,
        accepted_at=0, next_attempt_at=None, settled_at=0, business_date=None, content=None, verdict=Verdict(result),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("result", "printed"),
    [
        ({"awarded": 6, "balance": 1820}, ["You earned 6 points", "Balance: 1,820"]),
        ({"awarded": 1, "balance": 1}, ["You earned 1 point", "Balance: 1"]),
        ({"awarded": 12345, "balance": 1234567}, ["You earned 12,345 points", "Balance: 1,234,567"]),
        ({"awarded": 0, "balance": 0}, ["Balance: 0"]),
        ({"awarded": 6}, ["You earned 6 points"]),
        ({"awarded": 6, "balance": None}, ["You earned 6 points"]),
        ({"awarded": 6, "balance": "1820"}, ["You earned 6 points"]),
        ({"awarded": 6, "balance": True}, ["You earned 6 points"]),
        ({"awarded": 0, "reason": "not-a-member"}, []),
        ({}, []),
    ],
)
def test_a_settled_sale_says_what_flash_said(result, printed):
    assert lines(operation(**result)) == printed


@pytest.mark.parametrize(
    ("result", "printed"),
    [
        ({"clawedBack": 6, "balance": 1814}, ["6 points taken back", "Balance: 1,814"]),
        ({"clawedBack": 1, "balance": -5}, ["1 point taken back", "Balance: -5"]),
        ({"clawedBack": 0, "balance": 1814}, ["Balance: 1,814"]),
        ({"clawedBack": 0, "awarded": 6}, []),
    ],
)
def test_a_settled_refund_says_what_was_taken_back(result, printed):
    assert lines(operation(Kind.REFUND, **result)) == printed


@pytest.mark.parametrize("kind", [Kind.SALE, Kind.REFUND])
def test_while_it_is_pending_no_number_is_promised(kind):
    (line,) = lines(operation(kind, Status.PENDING, awarded=6, clawedBack=6, balance=1820))
    assert not any(map(str.isdigit, line))


@pytest.mark.parametrize("kind", [Kind.SALE, Kind.REFUND])
@pytest.mark.parametrize("status", [Status.DECLINED, Status.FAILED, Status.DISCARDED])
def test_of_what_came_to_nothing_nothing_is_printed(kind, status):
    assert lines(operation(kind, status, awarded=6, clawedBack=6, balance=1820)) == []


@pytest.mark.parametrize("kind", [Kind.ENROLLMENT, Kind.REDEMPTION, Kind.STORE, Kind.CATALOG])
@pytest.mark.parametrize("status", list(Status))
def test_other_operations_print_nothing_here(kind, status):
    assert lines(operation(kind, status, awarded=6, clawedBack=6, balance=1820)) == []
