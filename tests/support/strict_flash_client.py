"""A client that speaks to the strict Flash as the contract asks, and can be told to break it."""

import http.client
import json
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from tests.support.strict_flash import WRITE_KEY, StrictFlash

SALE = {"externalOrderId": "90871", "customer": {"externalId": "C1"}, "totalAmount": 120.0, "storeId": "st_1"}
LOST = (http.client.HTTPException, ConnectionError)


@dataclass
class Reply:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def data(self) -> Any:
        return self.json["data"]

    @property
    def code(self) -> Any:
        return self.json["error"].get("code")


def call(
    at: StrictFlash | http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    *,
    key: str | None = None,
    token: str = WRITE_KEY,
    **headers: str | None,
) -> Reply:
    """One call, on a connection of its own or on the given one, as a sound client makes it unless told otherwise."""
    if isinstance(at, StrictFlash):
        with closing(http.client.HTTPConnection("127.0.0.1", at.port, timeout=10)) as line:
            return call(line, method, path, body, key=key, token=token, **headers)
    payload = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {
        "authorization": f"Bearer {token}",
        "user-agent": "till-agent/1.0 (till 7)",
        "idempotency-key": key,
    }
    sent |= {"content-type": "application/json"} if payload else {}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    target = path if path.startswith("/_") else f"/api/v2{path}"
    at.request(method, target, payload, {name: value for name, value in sent.items() if value is not None})
    answer = at.getresponse()
    return Reply(answer.status, answer.headers, answer.read())


def sell(flash: StrictFlash, key: str = "sale-90871", **changed: Any) -> Reply:
    """The sale, with what is changed."""
    return call(flash, "POST", "/orders", SALE | changed, key=key)
