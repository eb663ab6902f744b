"""Flash v2 on the wire: paths, bodies, idempotency keys, and the readings that the contract leaves open.

Whatever is **assumed** about Flash stands in the block below and nowhere else, so that a correction is one edit.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from agent import jsons
from agent.delivery import Kind
from agent.scrub import scrubbed

# ---- assumed readings of the contract ------------------------------------------------------------------------------
ORDER_CONFLICT = "ORDER_CONFLICT"  # documented
IDEMPOTENCY_CONFLICT = frozenset({"IDEMPOTENCY_CONFLICT", "IDEMPOTENCY_KEY_CONFLICT", "IDEMPOTENCY_KEY_REUSED"})
IN_FLIGHT = re.compile(r"IN_FLIGHT|IN_PROGRESS|CONCURRENT")  # the same key is still being worked on
BATCH_PATHS = {Kind.SALE: "/orders/batch", Kind.ENROLLMENT: "/members/batch"}
BATCH_NAMES = {Kind.SALE: "orders", Kind.ENROLLMENT: "members"}
ECHOED_IDS = {Kind.SALE: ("externalOrderId",), Kind.ENROLLMENT: ("externalId", "email")}
STORES_PATH = "/stores"
CATALOG_PATH = "/catalog/import"  # documented; what its errors look like is read in `readings.py`
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,63}")


def error_code(body: Mapping[str, Any]) -> str:
    """The machine-readable code of an error envelope `{"error": {"code", "message"}}`; empty where there is none.

    What does not look like a code, or looks like a key, is none: it would be kept, shown and logged.
    """
    error = body.get("error")
    code = error.get("code") if isinstance(error, Mapping) else body.get("code")
    return code if isinstance(code, str) and _CODE.fullmatch(code) and scrubbed(code) == code else ""


# --------------------------------------------------------------------------------------------------------------------

_READABLE = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*")
_LOOKS_LIKE_GENERATION = re.compile(r"\.\d+$")
MAX_KEY_CHARS = 255
_GENERATION_ROOM = 12


def segment(value: str) -> str:
    """One percent-encoded path segment; the model has refused `.` and `..`."""
    return quote(value, safe="")


def readable_key(kind: Kind, *parts: str) -> str:
    """The upstream Idempotency-Key of generation one: `sale-90871`, `refund-90871:re_1`.

    A digest instead where an id holds other characters, could be taken for a later generation or is too long.
    """
    text = f"{kind}-{':'.join(parts)}"
    readable = all(_READABLE.fullmatch(part) and not _LOOKS_LIKE_GENERATION.search(part) for part in parts)
    if readable and len(text) <= MAX_KEY_CHARS - _GENERATION_ROOM:
        return text
    return f"{kind}~{hashlib.sha256(jsons.dumps(parts).encode()).hexdigest()}"  # no readable key has a tilde


def order_body(
    upstream_order_id: str, sale: Mapping[str, Any], store_id: str | None, *, extended: bool
) -> dict[str, Any]:
    """`POST /orders`: what Flash documents; currency, time and lines only in `extended` orders."""
    customer = {
        name: sale["customer"][name] for name in ("memberId", "externalId", "email") if name in sale["customer"]
    }
    body: dict[str, Any] = {
        "externalOrderId": upstream_order_id,
        "customer": customer,
        "totalAmount": sale["totalAmount"],
    }
    if store_id:
        body["storeId"] = store_id
    if extended:
        body |= {name: sale[name] for name in ("currency", "occurredAt", "lines") if name in sale}
    return body


def refund_body(upstream_refund_id: str, refund: Mapping[str, Any]) -> dict[str, Any]:
    """`POST /orders/{id}/refund`; without an amount Flash takes the whole order."""
    optional = {name: refund[name] for name in ("reason", "amount") if name in refund}
    return {"refundId": upstream_refund_id, **optional}


def refund_path(upstream_order_id: str) -> str:
    return f"/orders/{segment(upstream_order_id)}/refund"


def redeem_path(coupon_id: str) -> str:
    """`POST /coupons/{couponId}/redeem`, which has no body."""
    return f"/coupons/{segment(coupon_id)}/redeem"


def member_body(enrollment: Mapping[str, Any]) -> dict[str, Any]:
    """`POST /members`. Consent is carried only as an explicit yes; false or null could erase one given elsewhere."""
    names = ("email", "externalId", "fullName", "phone")
    body = {name: enrollment[name] for name in names if name in enrollment}
    if enrollment.get("marketingConsent") is True:
        body |= {"marketingConsent": True, "marketingConsentAt": enrollment["marketingConsentAt"]}
    return body


def member_fingerprint(enrollment: Mapping[str, Any]) -> str:
    """What makes two enrollments of one member the same: the body, with the e-mail address case-folded."""
    folded = {**enrollment, "email": enrollment["email"].casefold()} if "email" in enrollment else enrollment
    return bytes(encode(member_body(folded))).decode()


def store_body(store: Mapping[str, Any]) -> dict[str, Any]:
    """`POST /stores`, an upsert by the chain's own code."""
    return {name: store[name] for name in ("name", "externalId", "city") if name in store}


def catalog_body(source: str, rows: Mapping[str, Sequence[bytes]]) -> jsons.Raw:
    """`POST /catalog/import`: rows by entity, each JSON already; entities without rows are left out."""
    return jsons.raw({"source": source, **{entity: list(map(jsons.Raw, own)) for entity, own in rows.items() if own}})


def encode(body: Mapping[str, Any]) -> jsons.Raw:
    """The body's bytes, fixed when the operation is accepted; amounts keep the digits they came with."""
    return jsons.raw(body)


def batch_body(kind: Kind, bodies: Sequence[bytes]) -> bytes:
    """The stored bodies, unchanged, in one envelope."""
    return b'{"' + BATCH_NAMES[kind].encode() + b'":[' + b",".join(bodies) + b"]}"


def batch_key(keys: Sequence[str]) -> str:
    """The digest of the ordered items' keys: the same items are the same batch."""
    return "batch-" + hashlib.sha256("\n".join(keys).encode()).hexdigest()
