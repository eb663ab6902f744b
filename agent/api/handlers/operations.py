"""Operations shown, listed, sent again and given up."""

import base64
import re

from agent.api import web
from agent.api.bodies import Discard
from agent.api.calls import (
    Call,
    answer,
    answer_operation,
    date_in_query,
    operation_id,
    read_order,
    wording_for,
    wrong_parameter,
)
from agent.api.shown import operation_listed
from agent.delivery import Kind
from agent.outbox.reading import MAX_LISTED, Filter
from agent.outbox.state import Status

_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,16}")


async def get_operation(call: Call) -> web.Response:
    """One operation."""
    return answer_operation(call, await call.service.store.get(operation_id(call)))


async def list_operations(call: Call) -> web.Response:
    """A page of operations, newest first.

    An enrollment's `result` shows here what names nobody; ask for the one operation to see the member.
    """
    query = call.request.query
    wanted = Filter(
        status=_one_of(query.get("status"), "status", [status.value for status in Status]),
        kind=_one_of(query.get("kind"), "kind", [kind.value for kind in Kind]),
        external_order_id=query.get("externalOrderId"),
        transaction_id=query.get("transactionId"),
        business_date=date_in_query(call),
    )
    operations, before = await call.service.store.select(
        wanted, _limit(query.get("limit")), _cursor(query.get("cursor"))
    )
    headers: dict[str, str] = {}
    wording = wording_for(call, headers)
    shown = [operation_listed(operation, wording) for operation in operations]
    page = {"operations": shown, "nextCursor": None if before is None else _spell_cursor(before)}
    return answer(page, headers=headers)


async def retry_operation(call: Call) -> web.Response:
    """Send a failed operation again."""
    return answer_operation(call, await call.service.retry(operation_id(call)))


async def discard_operation(call: Call) -> web.Response:
    """Give an operation up, with a reason."""
    discard, warnings = await read_order(call, Discard, "The document has faults; nothing was changed.")
    operation, dependents = await call.service.discard(operation_id(call), call.caller.name, discard.reason)
    return answer_operation(call, operation, warnings=warnings, dependents=dependents)


def _one_of(value: str | None, field: str, allowed: list[str]) -> str | None:
    if value is not None and value not in allowed:
        raise wrong_parameter(field, f"must be one of {', '.join(allowed)}")
    return value


def _limit(value: str | None) -> int:
    if value is None:
        return 50
    if not re.fullmatch(r"\d{1,4}", value, re.ASCII) or not 1 <= int(value) <= MAX_LISTED:
        raise wrong_parameter("limit", f"must be a number from 1 to {MAX_LISTED}")
    return int(value)


def _spell_cursor(seq: int) -> str:
    return base64.urlsafe_b64encode(str(seq).encode()).decode().rstrip("=")


def _cursor(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        if not _CURSOR.fullmatch(value):
            raise ValueError
        seq = int(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("ascii"))
        if _spell_cursor(seq) != value or seq < 1:
            raise ValueError
    except ValueError:
        raise wrong_parameter("cursor", "must be a nextCursor of this list") from None
    return seq
