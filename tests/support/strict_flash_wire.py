"""Requests and answers, and their framing as HTTP/1.1."""

import asyncio
import json
import re
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote

BASE_PATH = "/api/v2"
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
KINDS = {
    "POST /orders": "order",
    "POST /orders/{id}/refund": "refund",
    "POST /members": "member",
    "POST /stores": "store",
    "PUT /stores/{id}": "store",
    "POST /catalog/import": "catalog",
}
BATCHES = {"POST /orders/batch": ("orders", "order"), "POST /members/batch": ("members", "member")}

_PATTERNS = [(r.split(" ")[0], re.compile(re.sub(r"\{id\}", "([^/]+)", r.split(" ")[1])), r) for r in ROUTES]
_PHRASES = {int(status): status.phrase for status in HTTPStatus}


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
            sound = items if isinstance(items, list) else ()
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
