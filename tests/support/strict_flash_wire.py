"""Requests and answers: what the contract demands of a request, how answers get spoiled, and HTTP framing.

Every `*_faults` function yields the ways in which a request breaks the contract. A fault is a pair (text,
fatal): all are recorded as violations, and a fatal one is refused as well.
"""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, unquote_to_bytes

BASE_PATH = "/api/v2"
REDIRECTED = "/_redirected"
HTML = {"Content-Type": "text/html"}
BATCH_LIMIT = 100
MAX_DECIMALS = 3
NO_BODY = "POST /coupons/{id}/redeem"
ROUTES = (
    "POST /orders",
    "POST /orders/batch",
    "POST /orders/{id}/refund",
    "POST /members",
    "POST /members/batch",
    NO_BODY,
    "POST /stores",
    "PUT /stores/{id}",
    "POST /catalog/import",
    "GET /orders",
    "GET /members",
    "GET /members/{id}",
    "GET /members/{id}/points",
    "GET /members/{id}/tier",
    "GET /members/{id}/coupons",
    "GET /stores",
    "GET /products",
    "GET /products/{id}",
    "GET /categories",
    "GET /brands",
)
QUERIES = {
    "GET /orders": {"updatedSince", "limit", "cursor"},
    "GET /members": {"externalId", "email", "updatedSince", "limit", "cursor"},
}
FIELDS: dict[str, set[str]] = {
    "order": {"externalOrderId", "customer", "totalAmount", "storeId"},
    "customer": {"memberId", "externalId", "email"},
    "refund": {"refundId", "reason", "amount"},
    "member": {"email", "fullName", "externalId", "phone", "marketingConsent", "marketingConsentAt"},
    "store": {"name", "externalId", "city"},
    "catalog": {"source", "brands", "categories", "products", "variants", "inventory"},
}
KINDS = {
    "POST /orders": "order",
    "POST /orders/{id}/refund": "refund",
    "POST /members": "member",
    "POST /stores": "store",
    "PUT /stores/{id}": "store",
    "POST /catalog/import": "catalog",
}
BATCHES = {"POST /orders/batch": ("orders", "order"), "POST /members/batch": ("members", "member")}
ONCE = ("host", "authorization", "user-agent", "idempotency-key", "content-type", "content-length")

_PATTERNS = [(r.split(" ")[0], re.compile(re.sub(r"\{id\}", "([^/]+)", r.split(" ")[1])), r) for r in ROUTES]
_PHRASES = {int(status): status.phrase for status in HTTPStatus}
_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")
_TOKEN = re.compile(r"Bearer fl_live_[A-Za-z0-9_-]{8,}")
_AGENT = re.compile(r"(?!(?i:python|aiohttp|httpx|curl))[A-Za-z][\w.-]*/\d[\w.+-]*(?: .*)?")
_JSON_TYPE = re.compile(r'application/json(?:\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)

Fault = tuple[str, bool]


@dataclass
class Answer:
    status: int
    body: Any = b""  # bytes go out as they are, anything else as JSON
    headers: dict[str, str] = field(default_factory=dict)
    delivery: str = "whole"  # whole, close, slow, torn, lost, hang
    delay: float = 0.0
    interval: float = 1.0

    @property
    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass
class Request:
    method: str
    target: str
    headers: dict[str, str]
    repeated: list[str]
    body: bytes = b""
    number: int = 0
    at: float = 0.0
    route: str = ""  # one of ROUTES, or empty
    args: tuple[str, ...] = ()
    json: Any = None
    refusal: Answer | None = None

    def __post_init__(self) -> None:
        self.path, _, self.query_text = self.target.partition("?")
        self.below = self.path.removeprefix(BASE_PATH) if self.path.startswith(BASE_PATH + "/") else ""
        self.query = dict(parse_qsl(self.query_text, keep_blank_values=True))
        for method, pattern, route in _PATTERNS:
            if method == self.method and (match := pattern.fullmatch(self.below)):
                self.route, self.args = route, tuple(unquote(part) for part in match.groups())

    @property
    def write(self) -> bool:
        return self.method not in ("GET", "HEAD")

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")

    @property
    def token(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def is_empty_try(self) -> bool:
        """A batch of nothing, with which a diagnosis tries a key: refused as ever, and meant to be."""
        name = BATCHES[self.route][0] if self.route in BATCHES else ""
        return self.key.startswith("doctor-") and self.json == {name: []}

    @property
    def naturals(self) -> list[str]:
        """The natural keys this write speaks about, such as `order:90871`."""
        if self.route in BATCHES:
            name, kind = BATCHES[self.route]
            items: Any = self.json.get(name) if isinstance(self.json, dict) else ()
            sound = items if _is_list(items) else ()
            return [natural(kind, item) for item in sound if isinstance(item, dict)]
        if self.route == NO_BODY:
            return [f"coupon:{self.args[0]}"]
        if self.route not in KINDS or not isinstance(self.json, dict):
            return []
        return [natural(KINDS[self.route], self.json, *self.args)]


def error(status: int, code: str | None, message: str = "") -> Answer:
    return Answer(status, {"error": {"code": code, "message": message} if code else {"message": message}})


def natural(kind: str, body: dict[str, Any], *args: str) -> str:
    match kind:
        case "order":
            return f"order:{body.get('externalOrderId')}"
        case "refund":
            return f"refund:{args[0]}/{body.get('refundId')}"
        case "catalog":
            return f"catalog:{body.get('source')}"
        case _:
            return f"{kind}:{body.get('externalId') or body.get('email') or '/'.join(args)}"


def parse_json(raw: bytes) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            raise ValueError("duplicate keys in the JSON body")
        return found

    def constant(name: str) -> Any:
        raise ValueError(f"non-finite number {name} in the JSON body")

    def number(text: str) -> Decimal:
        if text.strip("-0.eE+") and abs(Decimal(text).adjusted()) > 30:
            raise ValueError("a number beyond all measure in the JSON body")
        return Decimal(text)

    return json.loads(raw.decode(), parse_float=number, parse_constant=constant, object_pairs_hook=pairs)


def canonical(value: Any) -> str:
    """The same text for the same payload, however its keys are ordered and its numbers are written."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{canonical(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, Decimal | int) and not isinstance(value, bool):
        return f"{Decimal(value).normalize():f}"
    return json.dumps(value)


def head_faults(request: Request, host: str) -> Iterator[str]:
    head = request.headers
    if head.get("host") != host:
        yield f"wrong Host {head.get('host')!r}"
    if not _TOKEN.fullmatch(head.get("authorization", "")):
        yield "missing or short Authorization"
    if not _AGENT.fullmatch(head.get("user-agent", "")):
        yield f"User-Agent {head.get('user-agent')!r} does not name the client and its version"
    if request.write and not re.fullmatch(r"[\x21-\x7e]{1,255}", request.key):
        yield "a write with no Idempotency-Key" if not request.key else "malformed Idempotency-Key"
    yield from (f"header {name} sent twice" for name in request.repeated if name in ONCE)
    if "transfer-encoding" in head:
        yield "body without a Content-Length"
    yield from _target_faults(request)
    if request.body and (not request.write or request.route == NO_BODY):
        yield "a body on a call that has none"
    elif request.body and not _JSON_TYPE.fullmatch(head.get("content-type", "")):
        yield f"Content-Type {head.get('content-type')!r} on a JSON body"


def _target_faults(request: Request) -> Iterator[str]:
    for segment in request.below.split("/")[1:]:
        decoded = unquote_to_bytes(segment)
        if not _SEGMENT.fullmatch(segment):
            yield f"unescaped path segment {segment!r}"
        elif decoded in (b".", b"..") or min(decoded) < 0x20 or 0x7F in decoded:
            yield f"forbidden path segment {segment!r}"
    if not request.route:
        yield "no such call (an unescaped path segment, or a wrong method)"
        return
    pairs = parse_qsl(request.query_text, keep_blank_values=True)
    if len(dict(pairs)) != len(pairs):
        yield "a query parameter sent twice"
    for name in sorted(request.query.keys() - QUERIES.get(request.route, set())):
        yield f"unknown query parameter {name!r}"
    since = request.query.get("updatedSince")
    if request.route == "GET /orders" and since is None:
        yield "orders listed without updatedSince: a tenant's all"
    if since is not None and not is_time(since):
        yield f"updatedSince {since!r} is no ISO 8601 time with its zone"


def body_faults(request: Request) -> Iterator[Fault]:
    if request.route not in BATCHES:
        yield from item_faults(KINDS[request.route], request.json)
        return
    name, kind = BATCHES[request.route]
    if not isinstance(request.json, dict) or not _is_list(request.json.get(name)):
        yield f"a batch without its list {name!r}", True
        return
    yield from ((f"unknown field {extra!r}", False) for extra in request.json if extra != name)
    items = request.json[name]
    if not 1 <= len(items) <= BATCH_LIMIT:
        yield f"{len(items)} items in a batch", True
    for index, item in enumerate(items):  # a bad item is refused alone
        yield from ((f"item {index}: {text}", False) for text, _ in item_faults(kind, item))


def item_faults(kind: str, body: Any) -> Iterator[Fault]:
    if not isinstance(body, dict):
        yield f"{kind} is not a JSON object", True
        return
    yield from ((f"unknown field {kind}.{name}", False) for name in body.keys() - FIELDS[kind])
    yield from ((f"{kind}.{name} sent as null", False) for name, value in body.items() if value is None)
    match kind:
        case "order":
            yield from _id_faults(body, "externalOrderId", "storeId")
            yield from _amount_faults(body, "totalAmount", least=Decimal(0))
            yield from _customer_faults(body.get("customer"))
        case "refund":
            yield from _id_faults(body, "refundId")
            if "amount" in body:
                yield from _amount_faults(body, "amount", least=Decimal("0.001"))
        case "member":
            yield from _member_faults(body)
        case "store":
            yield from _id_faults(body, "externalId")
        case "catalog":
            yield from _id_faults(body, "source")
            lists = FIELDS["catalog"] - {"source"}
            yield from ((f"{name} is no list", True) for name in lists & body.keys() if not _is_list(body[name]))


def _customer_faults(customer: Any) -> Iterator[Fault]:
    if not isinstance(customer, dict) or not any(customer.get(name) for name in FIELDS["customer"]):
        yield "an order without a customer", True
        return
    yield from ((f"unknown field customer.{name}", False) for name in customer.keys() - FIELDS["customer"])
    yield from ((f"customer.{n} is no text", True) for n, v in customer.items() if not isinstance(v, str))


def _member_faults(body: dict[str, Any]) -> Iterator[Fault]:
    if not (body.get("externalId") or body.get("email")):
        yield "a member with neither externalId nor email", True
    texts = FIELDS["member"] - {"marketingConsent"}
    yield from ((f"member.{n} is no text", True) for n in texts & body.keys() if not isinstance(body[n], str))
    if "marketingConsent" in body and body["marketingConsent"] is not True:
        yield f"marketingConsent sent as {body['marketingConsent']!r}", False
    if ("marketingConsent" in body) != ("marketingConsentAt" in body):
        yield "marketingConsent and marketingConsentAt go together", False
    if "marketingConsentAt" in body and not is_time(body["marketingConsentAt"]):
        yield "marketingConsentAt is no ISO 8601 time with its zone", False


def _id_faults(body: dict[str, Any], name: str, *optional: str) -> Iterator[Fault]:
    for each in (name, *(other for other in optional if other in body)):
        value = body.get(each)
        if not isinstance(value, str) or not 1 <= len(value) <= 128 or not value.isprintable():
            yield f"{each} is no identifier", True


def _amount_faults(body: dict[str, Any], name: str, *, least: Decimal) -> Iterator[Fault]:
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        yield f"{name} sent as {type(value).__name__}", True
        return
    if not least <= value < Decimal(10**12):
        yield f"{name} out of range", True
    exponent = Decimal(value).normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_DECIMALS:
        yield f"{name} carries float noise: {value}", True


def is_time(text: Any) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


# --- how answers are spoiled


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


# --- HTTP


class Server(Protocol):
    clock_skew: float
    connections: "set[Connection]"

    def arrived(self, request: Request, connection: "Connection") -> bool:
        """The head of a request is here; False closes the connection."""

    def received(self, request: Request, connection: "Connection") -> None:
        """The whole request is here; `connection.deliver` is to be called, now or later."""

    def left(self, connection: "Connection") -> None:
        """Nothing is in flight on this connection any more."""


class Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time, bodies by Content-Length."""

    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.counted = False  # in flight
        self.buffer = bytearray()
        self.request: Request | None = None
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.server.connections.discard(self)
        self.server.left(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.advance()

    def advance(self) -> None:
        if self.busy or self.transport.is_closing():
            return
        if self.request is None:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            request = _parse_head(bytes(self.buffer[:end]))
            del self.buffer[: end + 4]
            if request is None or not self.server.arrived(request, self):
                self.transport.abort()
                return
            self.request = request
        length = int(self.request.headers.get("content-length", "0"))
        if len(self.buffer) >= length:
            request, self.request, self.busy = self.request, None, True
            request.body = bytes(self.buffer[:length])
            del self.buffer[:length]
            self.server.received(request, self)

    async def deliver(self, request: Request, answer: Answer) -> None:
        body, keep = answer.payload, request.headers.get("connection", "").lower() != "close"
        head = {
            "Date": formatdate(time.time() + self.server.clock_skew, usegmt=True),
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Connection": "keep-alive" if keep else "close",
        } | answer.headers
        lines = [
            f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Unknown')}",
            *(f"{n}: {v}" for n, v in head.items()),
        ]
        start = "\r\n".join([*lines, "", ""]).encode("latin-1")
        match answer.delivery:
            case "hang":
                return
            case "lost":
                self.transport.abort()
                return
            case "torn":
                self.transport.write(start + body[: len(body) // 2])
                self.transport.close()
                return
            case "slow":
                self.transport.write(start)
                for index in range(len(body)):
                    if self.transport.is_closing():
                        return
                    await asyncio.sleep(answer.interval)
                    self.transport.write(body[index : index + 1])
            case _:
                self.transport.write(start if request.method == "HEAD" else start + body)
        self.server.left(self)
        self.busy = False
        if not keep or answer.delivery == "close":
            self.transport.close()
        elif self.buffer:
            asyncio.get_running_loop().call_soon(self.advance)


def _parse_head(raw: bytes) -> Request | None:
    first, *lines = raw.decode("latin-1").split("\r\n")
    headers: dict[str, str] = {}
    repeated: list[str] = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            return None
        repeated += [name.lower()] if name.lower() in headers else []
        headers[name.lower()] = value.strip()
    method, _, rest = first.partition(" ")
    target, _, version = rest.rpartition(" ")
    if version not in ("HTTP/1.1", "HTTP/1.0") or not headers.get("content-length", "0").isdigit():
        return None
    return Request(method, target, headers, repeated)
