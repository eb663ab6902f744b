"""The till itself: how it is, what happens, the drill, a day in numbers."""

from collections.abc import Sequence

from agent.api import web
from agent.api.answers import Answer
from agent.api.bodies import DrillOrder
from agent.api.calls import Call, answer, date_in_query, read_order, warned, wrong_parameter
from agent.api.streaming import EventStream, keep_small
from agent.errors import Refusal, StorageUnavailableError
from agent.events import MAX_STREAMS, REGISTER_STREAMS
from agent.tokens import Scope


async def get_status(call: Call) -> web.Response:
    """How the agent is."""
    return answer(await call.service.status())


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


async def get_metrics(call: Call) -> web.Response:
    """Prometheus text."""
    text = await call.service.metrics()
    return Answer(text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


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


async def get_summary(call: Call) -> web.Response:
    """A day in numbers, to be compared with the Z report.

    Operations without a business date count by the local day of their acceptance.
    """
    wanted = date_in_query(call)
    if wanted is None:
        raise wrong_parameter("businessDate", "is required: a date, such as 2026-11-22")
    return answer(await call.service.summary(wanted))


async def get_drill(call: Call) -> web.Response:
    """Whether an outage drill runs."""
    return _drill(call)


async def start_drill(call: Call) -> web.Response:
    """Rehearse an outage: send nothing to Flash for a while.

    One that runs already lasts so long from now on.
    """
    order, warnings = await read_order(call, DrillOrder, "The document has faults; no drill was started.")
    call.service.drill.start(order.seconds, call.caller.name)
    return _drill(call, warnings)


async def stop_drill(call: Call) -> web.Response:
    """End the outage drill, if one runs; what piled up is sent at once."""
    call.service.drill.stop(call.caller.name)
    return _drill(call)


def _drill(call: Call, warnings: Sequence[str] = ()) -> web.Response:
    drill = call.service.drill
    shown = {"active": drill.is_on, "endsAt": drill.ends_at, "secondsLeft": drill.left_s}
    return answer(warned(shown, warnings))
