"""What the client did wrong, as far as one call does not show it: pauses, keys, and what was answered before."""

import hashlib
import time
from collections import Counter
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from tests.support.strict_flash_contract import body_faults, canonical, head_faults, parse_json
from tests.support.strict_flash_controls import Controls, Seen
from tests.support.strict_flash_troubles import REDIRECTED
from tests.support.strict_flash_wire import BATCHES, NO_BODY, Answer, Connection, Request, error

DEFINITIVE = (200, 201, 207, 400, 404, 409, 422)
SEVERAL = 3  # this often the same 5xx under a key, and its sender may take it for a stored one


@dataclass
class Window:
    announced: float
    ends: float
    connection: object


class Inspection(Controls):
    """Judges calls as they come, and remembers how they were answered."""

    host: str
    port: int

    def __init__(self, state: Path | str | None, **options: Any) -> None:
        super().__init__(state, **options)
        self.known_as = ""  # host:port that the client was given, where a proxy stands between
        self._windows: dict[str, Window] = {}
        self._settled: set[tuple[str, str]] = set(self.state.answers)
        self._sent_singly: dict[tuple[str, str], set[str]] = {}  # keys by tenant and natural key
        self._server_errors: Counter[tuple[str, str]] = Counter()  # by tenant and key

    def _violate(self, request: Request, text: str) -> None:
        self.state.violate(f"#{request.number} {request.method} {request.path}: {text}")

    def _tenant(self, request: Request) -> str:
        access = self.access.get(request.token)
        return access.tenant if access else ""

    def _inspect(self, request: Request, connection: Connection) -> None:
        if request.path.startswith(REDIRECTED):
            self._violate(request, "a redirect followed")
        for text in head_faults(request, self.known_as or f"{self.host}:{self.port}"):
            self._violate(request, text)
        window = self._windows.get(request.token)
        if window and request.at < window.ends - 0.02:
            elsewhere = window.connection is not connection or not self.strict_connection
            under_way = elsewhere and request.at < window.announced + self.grace
            if not under_way:
                self._violate(request, f"called {window.ends - request.at:.2f} s before the end of a Retry-After")
        payload = request.body.hex()
        if request.write and request.route and request.route != NO_BODY:
            try:
                request.json = parse_json(request.body)
                payload = payload if self.byte_exact else canonical(request.json)
                for text, fatal in body_faults(request):
                    if not request.is_empty_try:
                        self._violate(request, text)
                    request.refusal = error(422, "VALIDATION", text) if fatal else request.refusal
            except (ValueError, RecursionError) as fault:
                self._violate(request, f"body refused: {fault}")
                request.refusal = error(400, "VALIDATION", "malformed JSON")
        if request.write and request.key and request.token in self.access:
            self._inspect_key(
                request, hashlib.sha256(f"{request.method} {request.path} {payload}".encode()).hexdigest()
            )

    def _inspect_key(self, request: Request, fingerprint: str) -> None:
        tenant = self._tenant(request)
        if self.state.sent.get((tenant, request.key), fingerprint) != fingerprint:
            self._violate(request, "Idempotency-Key used for another payload or path")
            request.refusal = error(409, "IDEMPOTENCY_CONFLICT")
            return
        if request.route == NO_BODY:
            others = set(self.state.keys_by_natural.get(request.naturals[0], ())) - {request.key}
            if others and (self.strict_redeem or any((tenant, key) not in self._settled for key in others)):
                self._violate(request, "a second POST for a redemption under a different key")
        elif len(request.naturals) == 1 and request.route not in BATCHES:
            keys = self._sent_singly.setdefault((tenant, request.naturals[0]), set())
            if any(not self._may_be_left((tenant, key)) for key in keys - {request.key}):
                self._violate(request, f"sent under a second key while the first had no answer: {request.naturals[0]}")
            keys.add(request.key)
        self.state.note(tenant, request.key, fingerprint, request.naturals)

    def _may_be_left(self, owner: tuple[str, str]) -> bool:
        """Whether an operation may go on under another key than this one: after Flash's word, or its stored 5xx."""
        return owner in self._settled or self._server_errors[owner] >= SEVERAL

    def _account(self, seen: Seen, connection: Connection, answer: Answer) -> None:
        gone = connection.transport.is_closing()
        seen.status, seen.delivery = answer.status, "lost" if gone else answer.delivery
        self.counters[f"{seen.request.method} {answer.status}"] += 1
        delivered = not gone and answer.delivery in ("whole", "close")
        self._server_errors[seen.owner] += delivered and answer.status >= 500
        if delivered and answer.status in DEFINITIVE and not _in_flight(answer):
            self._settled.add(seen.owner)
            if seen.request.route == "GET /members/{id}/coupons" and answer.status == 200:
                self._shown_active(seen)
        if not gone and (after := answer.headers.get("Retry-After")):
            now = time.monotonic()
            clock = time.time() + self.clock_skew
            pause = float(after) if after.isdigit() else parsedate_to_datetime(after).timestamp() - clock
            window = self._windows.get(seen.request.token)
            if window is None or now >= window.ends:
                window = self._windows[seen.request.token] = Window(now, now, connection)
            window.ends = max(window.ends, now + pause)  # announced when it was first: refusals renew no grace

    def _shown_active(self, seen: Seen) -> None:
        """A coupon that is listed as active after a POST was not burned by it: its key is as good as answered."""
        tenant = self._tenant(seen.request)
        for coupon in self.state.tenant(tenant).coupons.values():
            if coupon.get("memberId") == seen.request.args[0] and coupon["used"] < coupon["uses"]:
                keys = self.state.keys_by_natural.get(f"coupon:{coupon['id']}", ())
                self._settled |= {(tenant, key) for key in keys}


def _in_flight(answer: Answer) -> bool:
    return answer.status == 409 and answer.body == error(409, "IDEMPOTENCY_IN_FLIGHT").body
