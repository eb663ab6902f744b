"""The sale that every subject is given: 400 bytes of JSON, unique by ``externalOrderId``, each of another member.

Requests are rendered around the id, so that a load generator does no JSON of its own.
"""

from __future__ import annotations

import json

SALE_BYTES = 400
STORE_ID = "st_bench"
ORDER_ID_LENGTH = 24

_PLACEHOLDER = "#" * ORDER_ID_LENGTH


def order_id(prefix: str, number: int) -> str:
    """An id of fixed length, so that every request has the same size; the prefix keeps runs apart."""
    return f"{prefix}-{number:0{ORDER_ID_LENGTH - len(prefix) - 1}d}"


def sale(external_order_id: str) -> dict[str, object]:
    """A sale as a register sends it, padded to 400 bytes by its metadata."""
    document: dict[str, object] = {
        "externalOrderId": external_order_id,
        "customer": {"memberId": f"mem_{external_order_id}"},
        "totalAmount": "42.50",
        "storeId": STORE_ID,
        "businessDate": "2026-11-20",
        "transactionId": "lane-3-000417",
        "occurredAt": "2026-11-20T17:42:11+01:00",
        "metadata": {"note": ""},
    }
    missing = SALE_BYTES - len(json.dumps(document))
    document["metadata"] = {"note": "x" * missing}
    return document


def request_around_id(path: str, port: int, headers: dict[str, str]) -> list[bytes]:
    """A keep-alive request, cut where the id of the sale belongs: join the parts with an id."""
    body = json.dumps(sale(_PLACEHOLDER)).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return request.split(_PLACEHOLDER.encode())
