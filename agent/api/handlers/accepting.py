"""Documents of registers: accepted, and handed to the relay while the register waits."""

from collections.abc import Awaitable, Callable

from agent.api import prefer, web
from agent.api.calls import Call, answer, object_in, read_body, request_key, wording_for
from agent.api.shown import operation_json
from agent.delivery import Kind
from agent.errors import Refusal
from agent.intake import Request
from agent.intake.common_sale import CommonSale
from agent.outbox.operation import Accepted
from agent.outbox.state import Status


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
