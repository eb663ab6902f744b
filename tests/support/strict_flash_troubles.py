"""How answers are spoiled: the faults that a test may order, and what leaves in place of the real answer."""

import re
import time
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from typing import Any

from tests.support.strict_flash_wire import BATCHES, Answer, Request, error

REDIRECTED = "/_redirected"
HTML = {"Content-Type": "text/html"}
# The faults, and whether the call takes effect under them unless told otherwise (commit=…).
FAULTS = {
    "drop-before-read": False,
    "drop-before-commit": False,
    "hang": False,
    "lost-answer": True,
    "torn-answer": True,
    "close-after-answer": True,
    "truncated-json": True,
    "captive-portal": False,
    "status": False,
    "redirect": False,
    "empty-200": False,
    "wrong-types": True,
    "multi-status": True,
    "conflict-no-code": False,
    "in-flight": False,
    "latency": True,
    "slow-body": True,
}
MODIFIERS = ("latency", "slow-body")  # these join whatever else happens


@dataclass
class Trouble:
    name: str
    times: int | None = None  # None: until cleared
    every: int = 1
    method: str | None = None
    path: str | None = None  # a regular expression, searched in the path below /api/v2
    commit: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def fires(self, request: Request) -> bool:
        if self.times is not None and self.fired >= self.times:
            return False
        if (self.method and self.method != request.method) or (self.path and not re.search(self.path, request.below)):
            return False
        self.seen += 1
        hit = self.seen % self.every == 0
        self.fired += hit
        return hit


def spoil(trouble: Trouble, request: Request, real: Answer, *, echo: bool, port: int, skew: float) -> Answer:
    """What leaves under this trouble in place of the real answer."""
    options = trouble.options
    there = f"http://localhost:{port}{REDIRECTED}{request.target}"
    match trouble.name:
        case "drop-before-commit" | "lost-answer":
            spoiled = replace(real, delivery="lost")
        case "hang":
            spoiled = replace(real, delivery="hang")
        case "close-after-answer":  # the next request on this connection meets a closed one
            spoiled = replace(real, delivery="close")
        case "torn-answer":
            spoiled = replace(real, delivery="torn")
        case "truncated-json":
            spoiled = replace(real, body=real.payload[: len(real.payload) // 2])
        case "captive-portal":
            spoiled = Answer(200, b"<!doctype html><title>Welcome to the guest network</title>", HTML)
        case "redirect":
            spoiled = Answer(options.get("status", 302), headers={"Location": options.get("location", there)})
        case "empty-200":
            spoiled = Answer(200)
        case "wrong-types":
            spoiled = _mistyped(real, options.get("variant", "string"))
        case "multi-status":
            spoiled = shaped(real, request, options.get("variant"), echo=options.get("echo", echo))
        case "conflict-no-code":
            spoiled = error(409, None, "conflict")
        case "in-flight":
            spoiled = error(409, "IDEMPOTENCY_IN_FLIGHT")
        case _:
            spoiled = _status(skew, **options)
    return spoiled


def _status(
    skew: float,
    *,
    status: int,
    retry_after: int | None = None,
    http_date: bool = False,
    code: str | None = None,
    body: Any = None,
    stored: bool = False,
) -> Answer:
    made = error(status, code or usual_code(status))
    if isinstance(body, str):
        made = Answer(status, body.encode(), dict(HTML))
    elif body is not None:
        made = Answer(status, body)
    if retry_after is not None:
        date = formatdate(int(time.time() + skew) + 1 + retry_after, usegmt=True)
        made.headers["Retry-After"] = date if http_date else str(retry_after)
    return made


def usual_code(status: int) -> str | None:
    codes = {
        400: "VALIDATION",
        401: "UNAUTHORIZED",
        403: "FORBIDDEN",
        404: "NOT_FOUND",
        409: "ORDER_CONFLICT",
    }
    return (codes | {422: "VALIDATION", 429: "RATE_LIMITED", 500: "INTERNAL"}).get(status)


def _mistyped(real: Answer, variant: str) -> Answer:
    """The same answer with its numbers as string, bool or null, with `data` as a list, or without `data`."""
    if not isinstance(real.body, dict) or "data" not in real.body:
        return real

    def wrong(value: int) -> Any:
        return {"string": str(value), "bool": bool(value), "null": None, "float": value + 0.5}[variant]

    def spoiled(data: Any) -> Any:
        if isinstance(data, list):
            return [{**item, "data": spoiled(item.get("data"))} for item in data]
        numbers = {k: wrong(v) for k, v in data.items() if type(v) is int} if isinstance(data, dict) else {}
        return {**data, **numbers} if numbers else data

    if variant in ("list", "missing"):
        return replace(real, body={"data": [real.body["data"]]} if variant == "list" else {})
    return replace(real, body={**real.body, "data": spoiled(real.body["data"])})


def shaped(real: Answer, request: Request, variant: str | None, *, echo: bool) -> Answer:
    """A 207 with echoed ids if asked, its items missing, doubled, swapped (as many, but wrong), reordered."""
    if real.status != 207 or request.route not in BATCHES:
        return real
    name, kind = BATCHES[request.route]
    field_name = "externalOrderId" if kind == "order" else "externalId"
    items = [dict(item) for item in real.body["data"]]
    for item, sent in zip(items, request.json[name], strict=True):
        if echo and isinstance(sent, dict):
            item["data"] = {**(item.get("data") or {}), field_name: sent.get(field_name)}
        elif "data" in item:
            item["data"] = {k: v for k, v in item["data"].items() if k != field_name}
    shapes = {"missing": items[1:], "doubled": [*items[:1], *items], "reordered": items[::-1]}
    shapes["swapped"] = [*items[:1], *items[:-1]]
    return replace(real, body={"data": shapes[variant] if variant else items})
