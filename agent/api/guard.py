"""Who may call: Host, Origin and token are judged before anything is dispatched or read.

The socket is loopback, but so is a web page's idea of it: a foreign page can send requests to localhost, and DNS can be
made to say that evil.example is 127.0.0.1. Hence: exactly one Host header with a loopback name and our port; an Origin
on the allow-list or our own; a bearer token for everything that is not public; JSON by its content type, which a page
cannot send across origins without a preflight.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import hdrs, web

from agent.config import LOOPBACK_HOSTS
from agent.errors import ForbiddenError, ForeignOriginError, MediaTypeError, UnauthorizedError, WrongHostError

PREFLIGHT_HEADERS = "Authorization, Content-Type, Prefer, Idempotency-Key, Last-Event-ID"
EXPOSED_HEADERS = "Idempotency-Replayed, Retry-After"
PREFLIGHT_AGE_S = "600"


class Scope(StrEnum):
    """What a token may do; `operator` includes `register`."""

    PUBLIC = "public"
    REGISTER = "register"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: the token's name, and whether it is the operator's."""

    name: str
    scope: Scope

    def may(self, needed: Scope) -> bool:
        return needed is Scope.PUBLIC or self.scope is Scope.OPERATOR or needed is self.scope


ANONYMOUS = Caller("anonymous", Scope.PUBLIC)


class Guard:
    """Judges requests; holds hashes of the tokens, never the tokens."""

    def __init__(self, tokens: Mapping[Scope, str], allowed_origins: Collection[str], port: int) -> None:
        self._tokens = {_digest(token): Caller(scope.value, scope) for scope, token in tokens.items()}
        # As nearly every register writes it: one look-up, and the header need not be taken apart.
        self._headers = {_digest(f"Bearer {token}"): Caller(scope.value, scope) for scope, token in tokens.items()}
        self._port = port
        self._hosts = frozenset(f"{f'[{host}]' if ':' in host else host}:{port}" for host in LOOPBACK_HOSTS)
        self._origins = frozenset(allowed_origins) | {f"http://{host}" for host in self._hosts}

    def check_host(self, request: web.BaseRequest) -> None:
        """Exactly one Host, loopback, our port; no absolute-form target; raises WrongHostError."""
        hosts = request.headers.getall(hdrs.HOST, ())
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts or request.raw_path[:1] not in {"/", "*"}:
            raise WrongHostError(f"Call the agent as http://127.0.0.1:{self._port}, with that in the Host header.")

    def check_origin(self, request: web.BaseRequest) -> str | None:
        """The allowed origin of a browser's request, None where there is none; raises ForeignOriginError."""
        origins = request.headers.getall(hdrs.ORIGIN, ())
        if not origins:
            return None
        if len(origins) == 1 and origins[0].lower() in self._origins:
            return origins[0]
        raise ForeignOriginError("Add this origin to [api] allowed_origins if it is the register's own page.")

    def caller(self, request: web.BaseRequest, needed: Scope) -> Caller:
        """Who calls; raises UnauthorizedError or ForbiddenError."""
        if needed is Scope.PUBLIC:
            return ANONYMOUS
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        found = self._headers.get(_digest(header))  # by digest: its timing tells nothing of the token
        if found is None:
            scheme, _, token = header.partition(" ")
            found = self._tokens.get(_digest(token.strip())) if scheme.lower() == "bearer" else None
        if found is None:
            raise UnauthorizedError("Send Authorization: Bearer with the token from the agent's data directory.")
        if not found.may(needed):
            raise ForbiddenError(f"This call needs the {needed} token.")
        return found

    @staticmethod
    def check_json(request: web.BaseRequest) -> None:
        """A body that should be JSON says so; raises MediaTypeError."""
        headers = request.headers
        plain = headers.get(hdrs.CONTENT_TYPE) == "application/json"  # as it is nearly always
        if not plain and request.content_type.lower() != "application/json":
            raise MediaTypeError("Send the body with Content-Type: application/json.")
        if headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise MediaTypeError("Send the body without a Content-Encoding.")


def preflight(origin: str | None, methods: Collection[str]) -> web.Response:
    """The answer to an allowed page's preflight."""
    headers = {"Allow": ", ".join(sorted({*methods, "OPTIONS"}))}
    if origin is not None:
        headers |= {
            "Access-Control-Allow-Methods": ", ".join(sorted(methods)),
            "Access-Control-Allow-Headers": PREFLIGHT_HEADERS,
            "Access-Control-Max-Age": PREFLIGHT_AGE_S,
            "Access-Control-Allow-Private-Network": "true",
        }
    return web.Response(status=204, headers=headers)


def open_to(origin: str | None, response: web.StreamResponse) -> None:
    """Let the allowed page read the answer; caches are told that it depends on the Origin."""
    response.headers[hdrs.VARY] = "Origin"
    if origin is not None:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
