"""What was left on a dead till."""

from agent.api import web
from agent.api.calls import Call, answer, not_for_pages, read_body
from agent.api.guard import Guard
from agent.errors import BadRequestError

MAX_BYTES = 4 * 1024 * 1024


async def take_rescue(call: Call) -> web.Response:
    """Take operations of another till that died; each is delivered under its own key and in that till's name.

    `flash-agent rescue import` opens the sealed file and sends it here, part by part. The same part twice counts once.
    """
    from agent.rescue.travelling import unpack_load  # noqa: PLC0415 - hardly any till ever does

    not_for_pages(call)
    Guard.check_json(call.request)
    body = await read_body(call.request, MAX_BYTES)
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(f"The body is not valid UTF-8 (byte {error.start}).", code="invalid-utf8") from None
    fates = await call.service.rescuing.take(unpack_load(body))
    await call.service.count()
    return answer({"operations": [{"id": left.id, "fate": fate} for left, fate in fates]})
