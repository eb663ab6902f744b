"""What an attempt makes of an operation: how long it pauses, when it gives up, when it takes a new key."""

import pytest

from agent.delivery import BATCH_REFUSED, Contact, Fate, Kind, Outcome
from agent.flash.outcome import judge
from agent.outbox.operation import Operation, Verdict
from agent.outbox.retry import (
    LINE_CEILING_S,
    OPERATION_CEILING_S,
    STORED_FAILURES,
    decide,
    line_wait_s,
    operation_wait_s,
)
from agent.outbox.state import FINAL, UNSETTLED, Status, may_discard, may_retry

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
UPSERTS_AND_SALES = [kind for kind in Kind if kind is not Kind.REDEMPTION]


def operation(kind=Kind.SALE, *, attempts=1, strikes=0, verdict=None, accepted_at=NOW_MS):
    return Operation(
        seq=1, id="op_1", kind=kind, status=Status.PENDING, generation=1, blocked=False, attempts=attempts,
        maybe_sent=1, strikes=strikes, accepted_at=accepted_at, next_attempt_at=None, settled_at=None,
        business_date=None, content=None, verdict=verdict or Verdict(),
    )  # fmt: skip


def after(settlement):
    """The operation as it stands at its next attempt."""
    before = settlement.operation
    return operation(
        before.kind, attempts=before.attempts + 1, strikes=settlement.strikes, verdict=settlement.verdict,
        accepted_at=before.accepted_at,
    )  # fmt: skip


def settle(subject, outcome, now_ms=NOW_MS, order_wait_h=72.0):
    return decide(subject, outcome, now_ms, order_wait_h)


def in_a_row(outcomes, kind=Kind.SALE):
    subject, settlements = operation(kind), []
    for outcome in outcomes:
        settlements.append(settle(subject, outcome))
        subject = after(settlements[-1])
    return settlements


def conflict(code=""):
    return judge(Kind.SALE, 409, b'{"error":{"code":"%s"}}' % code.encode() if code else b"{}")


def failing(status=500, kind=Kind.SALE):
    return judge(kind, status, b"{}")


OFFLINE = Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", unsent=True)


# ---- pauses --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wait", "ceiling"), [(operation_wait_s, OPERATION_CEILING_S), (line_wait_s, LINE_CEILING_S)])
def test_a_pause_grows_with_jitter_up_to_its_ceiling(wait, ceiling):
    for attempt in (0, 1, 2, 5, 9, 32, 1000, 10**9):
        drawn = [wait(attempt, None) for _ in range(200)]
        assert min(drawn) > 0
        assert max(drawn) <= min(ceiling, 2 ** min(attempt, 20) + 1)
        assert len(set(drawn)) > 100
    assert max(drawn) > ceiling / 2


def test_the_ceilings_are_the_promised_ones():
    assert (OPERATION_CEILING_S, LINE_CEILING_S) == (300, 15)


@pytest.mark.parametrize("wait", [operation_wait_s, line_wait_s])
@pytest.mark.parametrize("asked", [20.0, 301.0, 86_400.0])
def test_a_pause_is_never_shorter_than_flash_asked_for(wait, asked):
    assert all(wait(attempt, asked) >= asked for attempt in range(1, 40))


@pytest.mark.parametrize("outcome", [conflict("IDEMPOTENCY_IN_FLIGHT"), conflict(), failing(500), failing(503)])
def test_what_flash_puzzles_over_alone_pauses_alone(outcome):
    settlement = settle(operation(attempts=3), outcome)
    assert settlement.status is Status.PENDING
    assert settlement.settled_at is None
    assert NOW_MS < settlement.next_attempt_at <= NOW_MS + OPERATION_CEILING_S * 1000


def test_the_pause_of_an_operation_is_floored_by_retry_after():
    settlement = settle(operation(), judge(Kind.SALE, 503, b"{}", retry_after=400.0))
    assert settlement.next_attempt_at >= NOW_MS + 400_000


@pytest.mark.parametrize(
    "outcome",
    [
        OFFLINE,
        judge(Kind.SALE, 429, b"", retry_after=30.0),
        judge(Kind.SALE, 401, b""),
        judge(Kind.SALE, 403, b""),
        Outcome(Fate.RETRY, Contact.ANSWERED, BATCH_REFUSED, http_status=413),
    ],
    ids=lambda outcome: outcome.code,
)
def test_the_lines_trouble_is_not_the_operations(outcome):
    settlement = settle(operation(), outcome)
    assert (settlement.status, settlement.next_attempt_at) == (Status.PENDING, None)
    assert (settlement.new_generation, settlement.strikes) == (False, 0)
    assert settlement.unsent is outcome.unsent


@pytest.mark.parametrize(
    ("kind", "status"), [(Kind.REFUND, 409), (Kind.CATALOG, 413), (Kind.SALE, 404), (Kind.ENROLLMENT, 409)]
)
def test_an_answer_that_the_contract_does_not_know_pauses_that_operation_alone(kind, status):
    """One poison operation stops only what depends on it: it must not be sent again the moment a probe succeeds."""
    outcome = judge(kind, status, b'{"error":{"code":"NOT_IN_THE_CONTRACT","message":"no"}}')
    settlement = settle(operation(kind, attempts=5), outcome)
    assert settlement.status is Status.PENDING
    assert settlement.next_attempt_at is not None


# ---- settling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "body", "ends"),
    [
        (Kind.SALE, 200, b'{"data":{"awarded":6}}', Status.SUCCEEDED),
        (Kind.REDEMPTION, 404, b"", Status.DECLINED),
        (Kind.SALE, 409, b'{"error":{"code":"ORDER_CONFLICT","message":"other amount"}}', Status.FAILED),
        (Kind.ENROLLMENT, 422, b"{}", Status.FAILED),
    ],
)
def test_flashs_word_settles(kind, status, body, ends):
    settlement = settle(operation(kind), judge(kind, status, body))
    assert (settlement.status, settlement.settled_at, settlement.next_attempt_at) == (ends, NOW_MS, None)
    assert settlement.verdict.http_status == status
    assert not settlement.new_generation


def test_the_verdict_keeps_what_flash_said():
    verdict = settle(operation(), judge(Kind.SALE, 200, b'{"data":{"awarded":6,"balance":7}}')).verdict
    assert (verdict.result, verdict.code) == ({"awarded": 6, "balance": 7}, "")
    verdict = settle(operation(), conflict("ORDER_CONFLICT")).verdict
    assert (verdict.code, verdict.definitive) == ("order-conflict", True)
    assert Verdict.from_bytes(verdict.to_bytes()) == verdict


# ---- conflicts without a code --------------------------------------------------------------------------------------


def test_three_unexplained_conflicts_fail():
    settlements = in_a_row([conflict()] * 3)
    assert [each.status for each in settlements] == [Status.PENDING, Status.PENDING, Status.FAILED]
    assert [each.new_generation for each in settlements] == [False] * 3
    assert (settlements[2].verdict.code, settlements[2].verdict.definitive) == ("order-conflict", True)


@pytest.mark.parametrize("before", [OFFLINE, judge(Kind.SALE, 429, b""), judge(Kind.SALE, 401, b""), failing(503)])
def test_three_unexplained_conflicts_fail_whatever_came_before_the_first(before):
    settlements = in_a_row([before, *[conflict()] * 3])
    assert settlements[-1].status is Status.FAILED


def test_a_key_in_flight_is_no_conflict_however_often():
    settlements = in_a_row([conflict("IDEMPOTENCY_IN_FLIGHT")] * 20)
    assert {each.status for each in settlements} == {Status.PENDING}
    assert not any(each.new_generation for each in settlements)


# ---- generations of the key ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", UPSERTS_AND_SALES)
@pytest.mark.parametrize("status", [500, 501, 599])
def test_a_5xx_that_may_be_stored_advances_the_key_after_several_replays(kind, status):
    settlements = in_a_row([failing(status, kind)] * (2 * STORED_FAILURES), kind)
    advanced = [place for place, each in enumerate(settlements, 1) if each.new_generation]
    assert advanced == [STORED_FAILURES, 2 * STORED_FAILURES]
    assert STORED_FAILURES > 2
    assert {each.status for each in settlements} == {Status.PENDING}


@pytest.mark.parametrize("status", [500, 501, 503])
def test_a_redemptions_key_never_advances_while_its_outcome_is_unknown(status):
    settlements = in_a_row([failing(status, Kind.REDEMPTION)] * 30, Kind.REDEMPTION)
    assert not any(each.new_generation for each in settlements)


@pytest.mark.parametrize("outcome", [failing(502), failing(503), failing(504), failing(408), failing(301), OFFLINE])
def test_a_gateways_failure_is_not_stored_and_keeps_the_key(outcome):
    assert not any(each.new_generation for each in in_a_row([outcome] * 30))


def test_an_answer_in_between_starts_the_count_anew():
    outcomes = [*[failing(500)] * (STORED_FAILURES - 1), failing(503), *[failing(500)] * (STORED_FAILURES - 1)]
    assert not any(each.new_generation for each in in_a_row(outcomes))


def test_only_the_same_5xx_again_may_be_a_stored_one():
    assert not any(each.new_generation for each in in_a_row([failing(500), failing(501)] * STORED_FAILURES))


def test_no_alarm_mints_a_key():
    settlement = settle(operation(), conflict("IDEMPOTENCY_CONFLICT"))
    assert (settlement.status, settlement.new_generation) == (Status.FAILED, False)


# ---- refunds that come before their order --------------------------------------------------------------------------


def order_unknown(*, if_known=False):
    return judge(Kind.REFUND, 404, b"", if_known=if_known)


def test_a_refund_waits_for_its_order_under_a_new_key_each_time():
    settlement = settle(operation(Kind.REFUND), order_unknown())
    assert (settlement.status, settlement.new_generation) == (Status.PENDING, True)
    assert settlement.next_attempt_at > NOW_MS


@pytest.mark.parametrize(
    ("age_h", "wait_h", "ends"),
    [(72, 72, Status.PENDING), (72.01, 72, Status.FAILED), (2, 1, Status.FAILED), (72.01, 100, Status.PENDING)],
)
def test_a_refund_waits_for_its_order_as_long_as_configured(age_h, wait_h, ends):
    subject = after(settle(operation(Kind.REFUND), order_unknown(), NOW_MS - int(age_h * HOUR_MS)))
    settlement = settle(subject, order_unknown(), order_wait_h=wait_h)
    assert (settlement.status, settlement.verdict.code) == (ends, "order-unknown")


def test_its_patience_is_counted_from_flashs_first_word_and_through_all_that_comes_between():
    days_ago = NOW_MS - 30 * 24 * HOUR_MS
    subject = after(settle(operation(Kind.REFUND, accepted_at=days_ago), order_unknown()))
    for outcome in (OFFLINE, failing(500, Kind.REFUND), order_unknown()):
        settlement = settle(subject, outcome, NOW_MS + 71 * HOUR_MS)
        assert settlement.status is Status.PENDING
        subject = after(settlement)
    assert settle(subject, order_unknown(), NOW_MS + 73 * HOUR_MS).status is Status.FAILED


def test_age_alone_fails_nothing_else():
    ancient = operation(Kind.REFUND, accepted_at=0)
    for outcome in (OFFLINE, failing(500, Kind.REFUND), judge(Kind.REFUND, 429, b"")):
        assert settle(ancient, outcome).status is Status.PENDING


def test_a_refund_that_need_not_be_known_is_declined_at_once():
    assert settle(operation(Kind.REFUND), order_unknown(if_known=True)).status is Status.DECLINED


# ---- what an operator may do ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_an_operator_retries_failures_and_discards_what_had_no_effect(status):
    assert may_retry(status) is (status is Status.FAILED)
    assert may_discard(status, maybe_sent=True) is (status is Status.FAILED)
    assert may_discard(status, maybe_sent=False) is (status in {Status.FAILED, Status.PENDING})


@pytest.mark.parametrize("status", list(Status))
def test_a_state_is_final_or_unsettled(status):
    assert (status in FINAL) is not (status in UNSETTLED)
