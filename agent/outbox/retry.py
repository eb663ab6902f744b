"""What an attempt's outcome makes of an operation; pure: values in, a settlement out.

Retries have one owner, the outbox: attempts and pauses are columns, and nothing below retries on its own. Waits grow
exponentially with full jitter and are floored by what Flash asked for in Retry-After.
"""

import random
from typing import Final

from msgspec.structs import replace

from agent.delivery import BATCH_REFUSED, ORDER_UNKNOWN, Fate, Kind, Outcome
from agent.outbox.catalog_rows import refusal_warnings
from agent.outbox.operation import Operation, Settlement, Verdict
from agent.outbox.state import Status

OPERATION_CEILING_S: Final = 300.0
LINE_CEILING_S: Final = 15.0
UNEXPLAINED_CONFLICTS: Final = 3
STORED_FAILURES: Final = 5

_FATES = {
    Fate.SUCCEEDED: Status.SUCCEEDED,
    Fate.DECLINED: Status.DECLINED,
    Fate.FAILED: Status.FAILED,
    Fate.RETRY: Status.PENDING,
    Fate.HOLD: Status.PENDING,
}


def operation_wait_s(attempt: int, retry_after_s: float | None) -> float:
    """How long one failing operation pauses before its next attempt."""
    return max(_wait_s(attempt, 0.5, OPERATION_CEILING_S), retry_after_s or 0.0)


def line_wait_s(failures: int, retry_after_s: float | None) -> float:
    """How long a dead line is left alone before the next probe."""
    return max(_wait_s(failures, 0.25, LINE_CEILING_S), retry_after_s or 0.0)


def _wait_s(attempt: int, least_s: float, most_s: float) -> float:
    """Anything from the least to a bound that doubles with each attempt, so that tills do not come back together."""
    bound_s = least_s * 2 ** max(1, min(attempt, 32))
    return random.uniform(least_s, min(bound_s, most_s))  # noqa: S311 - jitter


def decide(
    operation: Operation, outcome: Outcome, now_ms: int, order_wait_h: float, steady_ms: int | None = None
) -> Settlement:
    """The next state of an operation after one attempt.

    `now_ms` is the wall clock, for what people read; `steady_ms` counts the pause (default: the same).

    An operation that cannot have reached Flash (no connection, throttling, a hold) keeps no pause of its own: the line
    decides when it goes again. Any other pauses by itself, so that one that harms the line does not go first for ever.
    """
    counted_ms = now_ms if steady_ms is None else steady_ms
    unknown_since = _unknown_since(operation, outcome, counted_ms)
    verdict = Verdict(
        dict(outcome.result),
        outcome.code,
        outcome.detail,
        outcome.http_status,
        outcome.definitive,
        unknown_since=unknown_since,
    )
    status = _FATES[outcome.fate]
    strikes = _strikes(operation, outcome)
    if outcome.code == "conflict-unexplained" and strikes >= UNEXPLAINED_CONFLICTS:
        status, verdict = Status.FAILED, _failed(verdict, "order-conflict")
    waited_ms = 0 if unknown_since is None else counted_ms - unknown_since
    if outcome.code == ORDER_UNKNOWN and status is Status.PENDING and waited_ms > order_wait_h * 3_600_000:
        status = Status.FAILED
    if status is not Status.PENDING:
        return Settlement(
            operation,
            status,
            replace(verdict, warnings=refusal_warnings(operation, outcome.refused_rows)),
            settled_at=now_ms,
            unsent=outcome.unsent,
            refused_rows=outcome.refused_rows,
        )
    return _again(operation, outcome, verdict, strikes, counted_ms)


def _again(operation: Operation, outcome: Outcome, verdict: Verdict, strikes: int, counted_ms: int) -> Settlement:
    """It stays pending: when it may go next, and under which key."""
    own_pause = not outcome.unsent and outcome.code != BATCH_REFUSED
    wait_s = operation_wait_s(operation.attempts, outcome.retry_after_s) if own_pause else 0.0
    stored_failure = strikes >= STORED_FAILURES and operation.kind is not Kind.REDEMPTION and _may_be_stored(outcome)
    return Settlement(
        operation,
        Status.PENDING,
        verdict,
        settled_at=None,
        next_attempt_at=counted_ms + int(wait_s * 1000) if own_pause else None,
        new_generation=outcome.definitive or stored_failure,
        strikes=0 if stored_failure else strikes,
        unsent=outcome.unsent,
    )


def _unknown_since(operation: Operation, outcome: Outcome, now_ms: int) -> int | None:
    """Since when Flash says that it does not know a refund's order.

    Not since it was accepted: when an outage of days ends, the till that sold may have its backlog to send still.
    """
    if operation.verdict.unknown_since is not None:
        return operation.verdict.unknown_since
    return now_ms if outcome.code == ORDER_UNKNOWN else None


def _failed(verdict: Verdict, code: str) -> Verdict:
    return Verdict(verdict.result, code, verdict.detail, verdict.http_status, definitive=True)


def _may_be_stored(outcome: Outcome) -> bool:
    """A 5xx that a server may have stored under the key and replays; a gateway's own are not stored."""
    return outcome.http_status is not None and outcome.http_status >= 500 and outcome.http_status not in {502, 503, 504}


def _strikes(operation: Operation, outcome: Outcome) -> int:
    """How often in a row this operation has met the same puzzling answer, this one included."""
    last = operation.verdict
    if outcome.code == "conflict-unexplained":
        return operation.strikes + 1 if last.code == outcome.code else 1
    if _may_be_stored(outcome):
        return operation.strikes + 1 if last.http_status == outcome.http_status else 1
    return 0
