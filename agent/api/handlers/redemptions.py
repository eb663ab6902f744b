"""Redemptions: an answer that says yes is watched until it is written."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from agent import jsons
from agent.api import prefer, web
from agent.api.answers import Answer
from agent.api.bodies import Close
from agent.api.calls import (
    Call,
    answer,
    answer_operation,
    date_in_query,
    operation_id,
    read_object,
    read_order,
    request_key,
    warned,
    wording_for,
)
from agent.api.shown import operation_json
from agent.delivery import Kind
from agent.intake import Request
from agent.model import BasketVoid
from agent.outbox.state import Status

DEFAULT_WAIT_S = 3.0
_FAULTY = "The document has faults; nothing was changed."


async def post_redemption(call: Call) -> web.Response:
    """Burn a coupon for a basket, at tender: give the discount if and only if `honor` is true.

    It waits 3 seconds unless Prefer says otherwise, and is sent only while a register waits.
    """
    clock = asyncio.get_running_loop()
    began = clock.time()
    preference = prefer.parse(call.request.headers.getall("Prefer", []), DEFAULT_WAIT_S)
    key = request_key(call, Kind.REDEMPTION)
    accepted = await call.service.intake.redemption(Request(await read_object(call.request), key, preference.strict))

    def is_gone() -> bool:
        transport = call.request.transport
        return transport is None or transport.is_closing()

    left_s = preference.wait_s - (clock.time() - began)
    told = await call.service.redeeming.redeem(accepted.operation, left_s, is_gone)
    headers = {"Idempotency-Replayed": "true"} if accepted.replayed else {}
    try:
        document = operation_json(
            told.operation, wording_for(call, headers), replayed=accepted.replayed, differs=list(accepted.differs)
        )
        body = jsons.encode(document)
    except BaseException:
        if told.written is not None:
            told.written(False)  # the register gets another answer, and no yes
        raise
    status = 202 if told.operation.status is Status.PENDING else 200
    return Answer(body, status, headers) if told.written is None else _Watched(body, status, headers, told.written)


async def void_basket(call: Call) -> web.Response:
    """Void a basket: nothing more is burned for it; what was burned is a credit for the coupon's next redemption."""
    void, warnings = await read_order(call, BasketVoid, _FAULTY)
    credit = await call.service.redeeming.void(void)
    basket = {"couponId": void.coupon_id, "transactionId": void.transaction_id}
    return answer(warned({**basket, "voided": True, "credit": credit}, warnings))


async def close_operation(call: Call) -> web.Response:
    """Close a redemption's credit, or say of a failed one whether it burned; leave a catalog's refused rows."""
    close, warnings = await read_order(call, Close, _FAULTY)
    operation = await call.service.close(operation_id(call), call.caller.name, burned=close.burned, reason=close.reason)
    return answer_operation(call, operation, warnings=warnings)


async def get_exposure(call: Call) -> web.Response:
    """Coupons honored without Flash's word: a day's sheet, for the till's today where no date is given."""
    return answer(await call.service.exposure(date_in_query(call)))


class _Watched(Answer):
    """An answer that tells, once, whether it was handed to the register's connection. Written by itself, at once."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str], written: Callable[[bool], None]) -> None:
        super().__init__(body, status, headers)
        self._written: Callable[[bool], None] | None = written

    async def write_eof(self, data: Any = b"") -> None:
        departures, self.departures = self.departures, None
        if departures is not None:
            departures.leave()
        written = False
        try:
            await super().write_eof(data)
            written = True
        finally:
            tell, self._written = self._written, None
            if tell is not None:
                tell(written)
