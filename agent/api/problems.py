"""Every error as `application/problem+json` (RFC 9457), with a stable `code` and what a register should do next."""

from typing import Any

from agent import jsons
from agent.api.answers import Answer
from agent.errors import Refusal

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_S = 5  # where whoever refused says nothing else
LATER = {429, 503, 507}  # these always say when


def body_of(refusal: Refusal) -> dict[str, Any]:
    """The problem document. `type` is `about:blank`-like: the code is the identity, under a stable URN."""
    document: dict[str, Any] = {
        "type": f"urn:flash-agent:problem:{refusal.code}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "code": refusal.code,
        "retryable": refusal.retryable,
        "stored": refusal.stored,
    }
    if refusal.faults:
        document["errors"] = [{"field": fault.field, "message": fault.message} for fault in refusal.faults]
    if refusal.operation_id:
        document["operation"] = {"id": refusal.operation_id, "href": f"/v1/operations/{refusal.operation_id}"}
    return document


def response_to(refusal: Refusal) -> Answer:
    """The answer to a register."""
    headers = {"Content-Type": CONTENT_TYPE}
    retry_after_s = refusal.retry_after_s
    if retry_after_s is None and refusal.status in LATER:
        retry_after_s = RETRY_AFTER_S
    if retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Answer(jsons.encode(body_of(refusal)), refusal.status, headers)
