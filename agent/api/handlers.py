"""The handlers: thin, one a call. They translate HTTP to the rooms below and back, and decide nothing."""

import asyncio
import base64
import codecs
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from pydantic import TypeAdapter, ValidationError

from agent import jsons
from agent.api import prefer, web
from agent.api.answers import Answer
from agent.api.documents import operation_json, operation_listed
from agent.api.streaming import EventStream, keep_small
from agent.common_sale import CommonSale
from agent.delivery import Kind
from agent.errors import (
    BadRequestError,
    Fault,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    Refusal,
    SlowBodyError,
    StorageUnavailableError,
    TooLargeError,
)
from agent.events import MAX_STREAMS, REGISTER_STREAMS
from agent.fields import Date
from agent.intake import Request
from agent.model import Discard, Document, DrillOrder, faults_of
from agent.outbox.operation import Accepted, Operation
from agent.outbox.reading import MAX_LISTED, Filter
from agent.outbox.state import Status
from agent.receipt.wording import Wording
from agent.service import Service
from agent.tokens import Caller, Scope

D = TypeVar("D", bound=Document)
_REQUEST_KEY = re.compile(r"[\x20-\x7e]{1,255}")
BODY_LIMIT_S = 10.0  # on the loopback a body takes milliseconds; who sends none must not hold memory for ever
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,16}")
_DATE: TypeAdapter[str] = TypeAdapter(Date)


class Call(msgspec.Struct, frozen=True):
    """One request on its way to a handler: what the guard and the route table found out."""

    request: web.BaseRequest
    caller: Caller
    service: Service
    parameters: Mapping[str, str] = {}


def answer(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON, with a length, never cached."""
    return Answer(jsons.encode(document), status, headers)


def not_for_pages(call: Call) -> None:
    """Refuse a token that is bound to an origin: tokens and keys are no page's to change; raises ForbiddenError."""
    if call.caller.origin is not None:
        raise ForbiddenError("A token that is bound to an origin cannot manage tokens and keys.")


async def read_object(request: web.BaseRequest) -> dict[str, Any]:
    """The JSON object in the body; raises BadRequestError or InvalidError naming what is wrong with it."""
    return _object_in(await read_body(request, request.client_max_size))


def _place_in(error: ValueError) -> str:
    """Where the parser stopped, and nothing of what it read."""
    found = re.search(r"byte \d+", str(error))
    return f" ({found[0]})" if found else ""


def _object_in(body: bytes) -> dict[str, Any]:
    try:
        document = jsons.loads(body.removeprefix(codecs.BOM_UTF8))
    except UnicodeDecodeError as error:
        raise BadRequestError(f"The body is not valid UTF-8 (byte {error.start}).", code="invalid-utf8") from None
    except ValueError as error:
        raise BadRequestError(f"The body is not valid JSON{_place_in(error)}.", code="malformed-json") from None
    if not isinstance(document, dict):
        raise InvalidError("The body must be a JSON object.", faults=[Fault("", "must be a JSON object")])
    return document


async def read_body(request: web.BaseRequest, max_bytes: int) -> bytes:
    """The body; one that came whole with its head, as nearly all do, is taken without waiting.

    Raises TooLargeError and SlowBodyError.
    """
    if request.content.is_eof():
        body = request.content.read_nowait()
        if len(body) <= max_bytes:
            return body
        raise TooLargeError(f"A body may have at most {max_bytes} bytes.")
    pieces = bytearray()
    try:
        async with asyncio.timeout(BODY_LIMIT_S):
            while piece := await request.content.readany():
                pieces += piece
                if len(pieces) > max_bytes:
                    raise TooLargeError(f"A body may have at most {max_bytes} bytes.")
            return bytes(pieces)
    except TimeoutError:
        raise SlowBodyError(f"The body did not come whole within {BODY_LIMIT_S:.0f} s.") from None
    except RuntimeError:  # aiohttp's word for a connection that was lost before the reading began
        raise ConnectionResetError("The register has hung up.") from None


def request_key(call: Call, kind: Kind) -> str | None:
    """The register's own Idempotency-Key, scoped to its token and the kind; never forwarded."""
    values = call.request.headers.getall("Idempotency-Key", [])
    if not values:
        return None
    value = values[0].strip()
    if len(values) > 1 or not _REQUEST_KEY.fullmatch(value):
        raise BadRequestError("Send one Idempotency-Key of 1 to 255 printable ASCII characters.", code="bad-header")
    return f"{call.caller.name}:{kind}:{value}"


def wording_for(call: Call, headers: dict[str, str]) -> Wording:
    """The receipt's language: the store's, or what the register asks for, which the answer's headers then say."""
    asked = call.request.headers.getall("Accept-Language", None)
    if asked is None:
        return call.service.wordings.default
    wording = call.service.wordings.asked(",".join(asked))
    headers["Content-Language"] = wording.tag
    return wording


def answer_operation(call: Call, operation: Operation, **more: Any) -> web.Response:
    """One operation, with its receipt in the language that was asked for."""
    headers: dict[str, str] = {}
    return answer({**operation_json(operation, wording_for(call, headers)), **more}, headers=headers)


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
        fields = _object_in(body) if common is None else {}
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
        raise _fault("businessDate", "is required: a date, such as 2026-11-22")
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


def validated(model: type[D], fields: dict[str, Any], otherwise: str) -> D:
    """The document; raises InvalidError with all its faults."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InvalidError(otherwise, faults=faults_of(error)) from None


def operation_id(call: Call) -> str:
    """The id in the path; raises NotFoundError for what cannot be one."""
    given = call.parameters["id"]
    if not re.fullmatch(r"op_[0-9a-f]{32}", given):
        raise NotFoundError("There is no operation with this id.", code="operation-not-found")
    return given


def date_in_query(call: Call) -> str | None:
    """`businessDate` of the query; raises InvalidError for what is no date."""
    given = call.request.query.get("businessDate")
    try:
        return None if given is None else _DATE.validate_python(given)
    except ValidationError:
        raise _fault("businessDate", "must be a date, such as 2026-11-22") from None


def _fault(field: str, message: str) -> InvalidError:
    return InvalidError("A query parameter is wrong.", faults=[Fault(field, message)])


def _one_of(value: str | None, field: str, allowed: list[str]) -> str | None:
    if value is not None and value not in allowed:
        raise _fault(field, f"must be one of {', '.join(allowed)}")
    return value


def _limit(value: str | None) -> int:
    if value is None:
        return 50
    if not re.fullmatch(r"\d{1,4}", value, re.ASCII) or not 1 <= int(value) <= MAX_LISTED:
        raise _fault("limit", f"must be a number from 1 to {MAX_LISTED}")
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
        raise _fault("cursor", "must be a nextCursor of this list") from None
    return seq
