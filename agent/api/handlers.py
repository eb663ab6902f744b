"""The handlers: thin, one a call. They translate HTTP to the rooms below and back, and decide nothing.

Those of members, redemptions, documents, keys and tokens stand in modules of their own; what all of them use of a
call is `calls.py`.
"""

import base64
import re
from collections.abc import Awaitable, Callable

from agent.api import prefer, web
from agent.api.answers import Answer
from agent.api.calls import (
    Call,
    answer,
    answer_operation,
    date_in_query,
    not_for_pages,
    object_in,
    operation_id,
    read_body,
    read_object,
    request_key,
    validated,
    wording_for,
    wrong_parameter,
)
from agent.api.documents import operation_json, operation_listed
from agent.api.streaming import EventStream, keep_small
from agent.delivery import Kind
from agent.errors import (
    Refusal,
    StorageUnavailableError,
)
from agent.events import MAX_STREAMS, REGISTER_STREAMS
from agent.intake import Request
from agent.intake.common_sale import CommonSale
from agent.model import Discard, DrillOrder
from agent.outbox.operation import Accepted
from agent.outbox.reading import MAX_LISTED, Filter
from agent.outbox.state import Status
from agent.tokens import Scope

_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,16}")


async def _accept(
    call: Call,
    kind: Kind,
    accept: Callable[[Request], Awaitable[Accepted]],
    shortcut: Callable[[bytes], CommonSale | None] = lambda _: None,
) -> web.Response:
    preference = prefer.parse(call.request.headers.getall("Prefer", []))
    key = request_key(call, kind)
    try:
        body = await read_body(call.request, call.request.client_max_size)
        common = shortcut(body)
        fields = object_in(body) if common is None else {}
        accepted = await accept(Request(fields, key, preference.strict, common))
    except Refusal as refusal:
        if refusal.stored:
            call.service.wake(kind)  # it may be there all the same
        raise
    operation = accepted.operation
    if operation.status is Status.PENDING:
        operation = await call.service.send(operation, preference.wait_s)
    headers = {"Idempotency-Replayed": "true"} if accepted.replayed else {}
    wording = wording_for(call, headers)
    document = operation_json(operation, wording, replayed=accepted.replayed, differs=list(accepted.differs))
    return answer(document, 202 if operation.status is Status.PENDING else 200, headers)


async def post_sale(call: Call) -> web.Response:
    """Accept a sale; it becomes points when Flash hears of it."""
    intake = call.service.intake
    return await _accept(call, Kind.SALE, intake.sale, intake.common_sale)


async def post_refund(call: Call) -> web.Response:
    """Accept a refund of a sale; it follows its sale."""
    return await _accept(call, Kind.REFUND, call.service.intake.refund)


async def post_enrollment(call: Call) -> web.Response:
    """Accept a new member, or news of one; later sales of that member follow it."""
    return await _accept(call, Kind.ENROLLMENT, call.service.intake.enrollment)


async def post_store(call: Call) -> web.Response:
    """Accept a store of the chain, or news of one: master data, an upsert by its externalId."""
    return await _accept(call, Kind.STORE, call.service.intake.store)


async def post_catalog(call: Call) -> web.Response:
    """Accept rows of a product catalog: master data, an upsert by its source.

    One operation holds them all. Flash judges them one by one: `result` counts what it took by entity, `result.errors`
    and `warnings` name what it did not take.
    """
    return await _accept(call, Kind.CATALOG, call.service.intake.catalog)


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
        business_date=query.get("businessDate"),
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
    discard = validated(Discard, await read_object(call.request), "The document has faults; nothing was changed.")
    operation, dependents = await call.service.discard(operation_id(call), call.caller.name, discard.reason)
    return answer_operation(call, operation, dependents=dependents)


async def get_events(call: Call) -> web.StreamResponse:
    """What becomes of operations, how the line is and what needs attention, as it happens.

    Server-Sent Events: `operation` (as GET /v1/operations/{id} shows it, without `honor`), `connectivity`, `attention`,
    and `resync` where more was missed than is told one by one. The first event tells the connectivity. After a
    connection was lost, send the last id that was heard as Last-Event-ID; an operation may be told again.
    """
    transport = call.request.transport
    if transport is None:
        raise ConnectionResetError("the register has gone")
    limit = MAX_STREAMS if call.caller.may(Scope.OPERATOR) else REGISTER_STREAMS
    last_id = call.request.headers.get("Last-Event-ID") or None
    keep_small(transport)
    connection, name = call.request.protocol, call.caller.name
    return EventStream(await call.service.events.open(connection, transport.abort, limit, last_id, name))


async def get_status(call: Call) -> web.Response:
    """How the agent is."""
    return answer(await call.service.status())


async def rotate_data_key(call: Call) -> web.Response:
    """Seal what is stored with a new data key from now on.

    What older keys sealed is sealed anew behind, a few rows at a time; the status shows how it stands.
    """
    not_for_pages(call)
    return answer(call.service.data_key(await call.service.rotation.rotate(call.caller.name)))


async def get_drill(call: Call) -> web.Response:
    """Whether an outage drill runs."""
    return _drill(call)


async def start_drill(call: Call) -> web.Response:
    """Rehearse an outage: send nothing to Flash for a while.

    One that runs already lasts so long from now on.
    """
    order = validated(DrillOrder, await read_object(call.request), "The document has faults; no drill was started.")
    call.service.drill.start(order.seconds, call.caller.name)
    return _drill(call)


async def stop_drill(call: Call) -> web.Response:
    """End the outage drill, if one runs; what piled up is sent at once."""
    call.service.drill.stop(call.caller.name)
    return _drill(call)


def _drill(call: Call) -> web.Response:
    drill = call.service.drill
    return answer({"active": drill.is_on, "endsAt": drill.ends_at, "secondsLeft": drill.left_s})


async def get_summary(call: Call) -> web.Response:
    """A day in numbers, to be compared with the Z report.

    Operations without a business date count by the local day of their acceptance.
    """
    wanted = date_in_query(call)
    if wanted is None:
        raise wrong_parameter("businessDate", "is required: a date, such as 2026-11-22")
    return answer(await call.service.summary(wanted))


async def get_metrics(call: Call) -> web.Response:
    """Prometheus text."""
    text = await call.service.metrics()
    return Answer(text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def get_healthz(call: Call) -> web.Response:  # noqa: ARG001 - alive is alive
    """The process lives and answers."""
    return answer({"status": "ok"})


async def get_readyz(call: Call) -> web.Response:
    """Sales can be stored."""
    try:
        await call.service.check_writable()
    except Refusal as refusal:
        raise StorageUnavailableError(refusal.detail, code=refusal.code, retry_after_s=5) from None
    return answer({"status": "ok"})


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
    except ValueError:
        raise wrong_parameter("cursor", "must be a nextCursor of this list") from None
    return seq
