"""Operations as the API answers them. What the fields mean is in `views/operations.py`."""

from typing import Any

from agent.clock import rfc3339
from agent.delivery import Kind
from agent.outbox.operation import Operation
from agent.outbox.state import Status
from agent.receipt.wording import Wording

# What may be shown of a request: nothing that names a person. The customer is left out whole, for an external id may be
# an e-mail address; so are names, phones and whatever a register put into lines.
_SHOWN = frozenset({
    "externalOrderId", "refundId", "totalAmount", "amount", "currency", "storeId", "businessDate", "transactionId",
    "occurredAt", "reason", "orderRef", "ifKnown", "marketingConsent", "couponId", "attempt",
})  # fmt: skip
_SHOWN_OF = {Kind.STORE: frozenset({"externalId", "name", "city"}), Kind.CATALOG: frozenset({"source", "rows"})}
_ERRORS_LISTED = 10
_NAMES_NOBODY = frozenset({"id", "points", "createdAt", "updatedAt"})  # of a member


def operation_event(operation: Operation, wording: Wording) -> dict[str, Any]:
    """As operation_listed, for whoever listens.

    `honor` is given in the answer to a POST alone, and so is what a redemption's receipt says of it.
    """
    document = operation_listed(operation, wording)
    return document if document.pop("honor", None) is None else {**document, "receipt": []}


def operation_listed(operation: Operation, wording: Wording) -> dict[str, Any]:
    """As operation_json, where many are shown.

    Flash's answer to an enrollment tells name, e-mail and telephone; that to a catalog may name hundreds of rows.
    """
    document = operation_json(operation, wording)
    if operation.kind is Kind.CATALOG and isinstance(document["result"].get("errors"), list):
        document["result"]["errors"] = document["result"]["errors"][:_ERRORS_LISTED]
    if operation.kind is Kind.ENROLLMENT:
        document["result"] = {name: value for name, value in document["result"].items() if name in _NAMES_NOBODY}
    return document


def operation_json(
    operation: Operation, wording: Wording, *, replayed: bool = False, differs: list[str] | None = None
) -> dict[str, Any]:
    """The fields of OperationView; built by hand, for this is the busiest path."""
    content, verdict = operation.content, operation.verdict
    request = content.request if content else {}
    shown = _SHOWN_OF.get(operation.kind, _SHOWN)
    document = {
        "id": operation.id,
        "href": f"/v1/operations/{operation.id}",
        "kind": operation.kind.value,
        "status": operation.status.value,
        "acceptedAt": rfc3339(operation.accepted_at),
        "settledAt": rfc3339(operation.settled_at),
        "attempts": operation.attempts,
        "nextAttemptAt": rfc3339(operation.next_attempt_at),
        "waitingFor": list(operation.waiting_for),
        "idempotencyKey": operation.upstream_key,
        "replayed": replayed,
        "warnings": [*(content.warnings if content else ()), *verdict.warnings, *(differs or ())],
        "metadata": dict(content.metadata) if content else {},
        "request": {name: value for name, value in request.items() if name in shown},
        "upstreamOrderId": content.upstream_order_id if content else None,
        "result": dict(verdict.result),
        "error": _error_json(operation) if verdict.code or verdict.reason else None,
        "receipt": wording.operation(operation.kind, operation.status, verdict.result, request),
    }
    if content and content.rescued_from:
        document["rescuedFrom"] = dict(content.rescued_from)
    return document if operation.kind is not Kind.REDEMPTION else {**document, **_redemption_json(operation, wording)}


def _error_json(operation: Operation) -> dict[str, Any]:
    """The fields of ErrorView: Flash's word, or an operator's."""
    verdict, word = operation.verdict, "discarded" if operation.status is Status.DISCARDED else "closed"
    detail = f"{word.capitalize()} by {verdict.by}: {verdict.reason}" if verdict.reason else verdict.detail
    return {"code": verdict.code or word, "detail": detail, "httpStatus": verdict.http_status}


def _redemption_json(operation: Operation, wording: Wording) -> dict[str, Any]:
    """What RedemptionView adds."""
    redeemed, content = operation.redeemed, operation.content
    known: dict[str, Any] = dict.fromkeys(("id", "code", "title", "expiresAt", "status", "terms"))
    if content:
        known |= {"id": content.request["couponId"], **content.coupon}
    result = operation.verdict.result
    theirs = result.get("id")  # whatever it is: lists and objects are in no set
    if theirs is None or theirs == known["id"]:
        known |= {name: value for name, value in result.items() if name in known and value is not None}
    honor, basis = (redeemed.honor, redeemed.basis) if redeemed else (False, "unconfirmed")
    return {
        "honor": honor,
        "basis": basis,
        "credit": redeemed.credit if redeemed else None,
        "coupon": known,
        "receipt": wording.redemption(honor, basis),
    }
