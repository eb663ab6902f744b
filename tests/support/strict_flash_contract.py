"""What the contract demands of a request.

Every `*_faults` function yields the ways in which a request breaks it. A fault of a body is a pair (text, fatal): all
are recorded as violations, and a fatal one is refused as well.
"""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from tests.support.strict_flash_wire import BATCHES, KINDS, NO_BODY, Request

BATCH_LIMIT = 100
MAX_DECIMALS = 3
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
ONCE = ("host", "authorization", "user-agent", "idempotency-key", "content-type", "content-length")

_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+")
_TOKEN = re.compile(r"Bearer fl_live_[A-Za-z0-9_-]{8,}")
_AGENT = re.compile(r"(?!(?i:python|aiohttp|httpx|curl))[A-Za-z][\w.-]*/\d[\w.+-]*(?: .*)?")
_JSON_TYPE = re.compile(r'application/json(?:\s*;\s*charset="?utf-8"?)?', re.IGNORECASE)

Fault = tuple[str, bool]


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
