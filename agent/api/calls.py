"""One call on its way through a handler: who calls, what the body, headers and query say, and how it is answered.

Used by all handlers; raises the refusals that an answer names (400, 403, 404, 408, 413, 422).
"""

import asyncio
import codecs
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from pydantic import TypeAdapter, ValidationError

from agent import jsons
from agent.api import prefer, web
from agent.api.answers import Answer
from agent.api.shown import operation_json
from agent.delivery import Kind
from agent.errors import (
    BadRequestError,
    Fault,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    SlowBodyError,
    TooLargeError,
)
from agent.fields import Date
from agent.model import Document, faults_of, unknown_faults, warnings_of
from agent.outbox.operation import Operation
from agent.receipt.wording import Wording
from agent.service.service import Service
from agent.tokens import Caller

D = TypeVar("D", bound=Document)
_REQUEST_KEY = re.compile(r"[\x20-\x7e]{1,255}")
BODY_LIMIT_S = 10.0  # on the loopback a body takes milliseconds; who sends none must not hold memory for ever
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
    return object_in(await read_body(request, request.client_max_size))


def _place_in(error: ValueError) -> str:
    """Where the parser stopped, and nothing of what it read."""
    found = re.search(r"byte \d+", str(error))
    return f" ({found[0]})" if found else ""


def object_in(body: bytes) -> dict[str, Any]:
    """The JSON object in a body that was read; raises as `read_object`."""
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


def answer_operation(
    call: Call, operation: Operation, *, warnings: list[str] | None = None, **more: Any
) -> web.Response:
    """One operation, with its receipt in the language that was asked for."""
    headers: dict[str, str] = {}
    return answer({**operation_json(operation, wording_for(call, headers), differs=warnings), **more}, headers=headers)


def validated(model: type[D], fields: dict[str, Any], otherwise: str) -> D:
    """The document; raises InvalidError with all its faults."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise InvalidError(otherwise, faults=faults_of(error)) from None


async def read_order(call: Call, model: type[D], otherwise: str) -> tuple[D, list[str]]:
    """The document in the body, and what its sender is to be warned of: fields that are unknown here.

    Raises as `read_object` and `validated`, and for unknown fields where `Prefer: handling=strict` asks for that.
    """
    strict = prefer.parse(call.request.headers.getall("Prefer", [])).strict
    document = validated(model, await read_object(call.request), otherwise)
    unknown = document.unknown_fields()
    if strict and unknown:
        raise InvalidError(otherwise, faults=unknown_faults(unknown))
    return document, warnings_of(unknown)


def warned(fields: dict[str, Any], warnings: Sequence[str]) -> dict[str, Any]:
    """An answer that is no operation: `warnings` is there where there is something to warn of."""
    return {**fields, "warnings": warnings} if warnings else fields


def operation_id(call: Call) -> str:
    """The id in the path; raises NotFoundError for what cannot be one."""
    given = call.parameters["id"]
    if not re.fullmatch(r"op_[0-9a-f]{32}", given):
        raise NotFoundError("There is no operation with this id.", code="operation-not-found")
    return given


def check_text(address: str) -> None:
    """Raise for scanned bytes that are no UTF-8: decoded all the same, different codes would become one."""
    try:
        unquote_to_bytes(address).decode()
    except UnicodeDecodeError:
        detail = "What the address names is not valid UTF-8 once its percent signs are decoded."
        raise BadRequestError(detail, code="invalid-utf8") from None


def check_query(request: web.BaseRequest, known: Collection[str]) -> None:
    """A parameter that is passed over, or taken by half, would show other things than were asked for.

    Raises BadRequestError and InvalidError.
    """
    check_text(request.raw_path)
    query = request.query
    faults = [Fault(name, "is given more than once") for name in known if len(query.getall(name, ())) > 1]
    if any(name not in known and name != "_" for name in query):  # `_`: what pages add against caches
        faults.append(Fault("query", f"has an unknown parameter; there are: {', '.join(known)}"))
    if faults:
        raise InvalidError("The query has faults.", faults=faults)


def date_in_query(call: Call) -> str | None:
    """`businessDate` of the query; raises InvalidError for what is no date."""
    given = call.request.query.get("businessDate")
    try:
        return None if given is None else _DATE.validate_python(given)
    except ValidationError:
        raise wrong_parameter("businessDate", "must be a date, such as 2026-11-22") from None


def wrong_parameter(field: str, message: str) -> InvalidError:
    """The fault of a query parameter, to be raised."""
    return InvalidError("A query parameter is wrong.", faults=[Fault(field, message)])
