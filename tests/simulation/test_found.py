"""What the simulation found, written down as the plans that showed it."""

from typing import Any

import pytest

from tests.simulation.plan import (
    FIRST_KEY,
    SECOND_KEY,
    Ask,
    ClockJump,
    Crash,
    Event,
    LookUp,
    Plan,
    Restart,
    Revoke,
    Strike,
    generate,
)
from tests.simulation.run import Result, run

TILL, OTHER_TILL = "till-1", "till-2"


def happen(*events: Event, ends_at: float = 300.0, **options: Any) -> Result:
    """Run a plan of two tills in fair weather, but for what is struck."""
    plan = Plan(seed=-1, salt=1, tills=(TILL, OTHER_TILL), ends_at=ends_at, events=events, **options)
    result = run(plan)
    assert result.breaches == [], result.story()
    return result


def sale(at: float, order: str, wait_s: float = 0.0) -> Ask:
    fields = {"externalOrderId": order, "customer": {"externalId": "C1"}, "totalAmount": 20}
    return Ask(at, TILL, "sale", fields, wait_s)


def left_at(result: Result, text: str) -> float:
    """When the first call with this text left."""
    return next(float(line.split()[0]) for line in result.trace if text in line and " leaves" in line)


def test_a_pause_that_a_look_up_met_outlives_a_crash() -> None:
    result = happen(
        Strike(0.5, "GET /members?", "asked-to-wait", asks_s=120),
        LookUp(1.0, TILL, "C1"),
        Crash(10.0, TILL, 1, 0.5),
        sale(10.0, "1"),
        sale(20.0, "2"),
    )
    assert left_at(result, "POST /orders") > 121


def test_a_pause_that_one_call_of_a_look_up_met_holds_before_its_others_are_over() -> None:
    result = happen(
        LookUp(1.0, TILL, "C1"),
        Strike(60.0, "/m_1/points", "slow"),
        Strike(60.0, "/m_1/coupons", "unavailable", asks_s=60),
        LookUp(61.0, TILL, "C1"),
        sale(61.5, "1", wait_s=3.0),
    )
    assert left_at(result, "POST /orders") > 120


def test_a_pause_that_the_look_for_the_store_met_is_kept() -> None:
    """A new key is used once Flash shows the store under it; Flash may ask for patience there, too."""
    result = happen(
        sale(1.0, "1"),
        Restart(10.0, TILL, 1.0, SECOND_KEY),
        Strike(10.5, "GET /stores", ""),
        Strike(10.5, "GET /stores", "unavailable", asks_s=200),
        sale(12.0, "2"),
        Crash(20.0, TILL, 1, 0.5),
        sale(20.0, "3"),
        Revoke(25.0, FIRST_KEY),
    )
    asked = next(float(line.split()[0]) for line in result.trace if "(unavailable)" in line)
    again = [float(line.split()[0]) for line in result.trace if " leaves" in line]
    assert min(at for at in again if at > asked) > asked + 200


def test_a_pause_that_begins_between_two_reads_of_a_coupon_holds_the_second() -> None:
    redemption = {"couponId": "K1", "transactionId": "B1", "customer": {"externalId": "C1"}}
    result = happen(
        Strike(1.0, "POST /coupons", "reset-before"),
        Strike(1.0, "POST /coupons", "lost-answer"),
        Ask(2.0, TILL, "redemption", redemption, 1.0, 0),
        Strike(3.5, "GET /members?", "slow"),
        Strike(3.5, "POST /orders", "unavailable", asks_s=60),
        sale(10.4, "1"),
    )
    assert left_at(result, "GET /members?") < 11
    assert left_at(result, "/m_1/coupons") > 70


def test_a_clock_set_ahead_does_not_end_an_attempt_that_is_still_on_its_way() -> None:
    """Read too early, the coupon was still active: "nothing was burned", and a moment later it was."""
    redemption = {"couponId": "K1", "transactionId": "B1", "customer": {"externalId": "C1"}}
    result = happen(
        ClockJump(1.0, TILL, 3600.0),
        Strike(1.0, "POST /coupons", "late"),
        Ask(2.0, TILL, "redemption", redemption, 3.0, 0),
        Crash(2.06, TILL, 1, 0.5),
    )
    assert left_at(result, "/m_1/coupons") > left_at(result, "POST /coupons") + 8
    assert "[redemption-K1:st_1:till-1:-:B1:1] -> 200" in result.story()


@pytest.mark.parametrize("fault", ["unauthorized", "refused"])
def test_what_pauses_by_itself_wakes_a_line_that_died_meanwhile(fault: str) -> None:
    """A refund waits for another till's sale; the line dies under a redemption, which leaves nothing to be sent."""
    fields = {"externalOrderId": "1", "customer": {"externalId": "C1"}, "totalAmount": 20}
    redemption = {"couponId": "K1", "transactionId": "B1"}
    result = happen(
        Ask(1.0, TILL, "refund", {"externalOrderId": "1", "refundId": "r"}),
        Strike(9.0, "POST /coupons", fault),
        Ask(10.0, TILL, "redemption", redemption, 0.1, 0),
        Ask(11.0, OTHER_TILL, "sale", fields),
    )
    assert any("orders/1/refund" in line and "-> 200" in line for line in result.trace), result.story()


def test_a_backlog_goes_on_when_the_last_cashier_leaves_while_places_are_counted() -> None:
    """The moment is a hundredth of a second wide, so the seed that met it is kept with all its events."""
    result = run(generate(1795660402))
    assert result.breaches == [], result.story()
