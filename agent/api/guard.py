"""Who may call: Host, Origin and token are judged before anything is dispatched or read.

The socket is loopback, but so is a web page's idea of it: a foreign page can send requests to localhost, and DNS can be
made to say that evil.example is 127.0.0.1. Hence: exactly one Host header with a loopback name and our port; an Origin
on the allow-list or our own; a bearer token for everything that is not public; JSON by its content type, which a page
cannot send across origins without a preflight.
"""

from collections.abc import Collection

from aiohttp import hdrs

from agent.api import web
from agent.config import LOOPBACK_HOSTS
from agent.errors import ForbiddenError, ForeignOriginError, MediaTypeError, UnauthorizedError, WrongHostError
from agent.tokens import ANONYMOUS, Caller, Scope, Tokens

PREFLIGHT_HEADERS = "Authorization, Content-Type, Prefer, Idempotency-Key, Last-Event-ID"
EXPOSED_HEADERS = "Idempotency-Replayed, Retry-After"
PREFLIGHT_AGE_S = "600"


class Guard:
    """Judges requests."""

    def __init__(self, tokens: Tokens, allowed_origins: Collection[str], port: int) -> None:
        self._tokens = tokens
        self._port = port
        self._hosts = frozenset(f"{f'[{host}]' if ':' in host else host}:{port}" for host in LOOPBACK_HOSTS)
        self._origins = frozenset(allowed_origins) | {f"http://{host}" for host in self._hosts}

    def check_host(self, request: web.BaseRequest) -> None:
        """Exactly one Host, loopback, our port; no absolute-form target; raises WrongHostError."""
        hosts = request.headers.getall(hdrs.HOST, ())
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts or request.raw_path[:1] not in {"/", "*"}:
            raise wrong_host(self._port)

    def check_origin(self, request: web.BaseRequest) -> str | None:
        """The allowed origin of a browser's request, None where there is none; raises ForeignOriginError."""
        origins = request.headers.getall(hdrs.ORIGIN, ())
        if not origins:
            return None
        if len(origins) == 1 and ((origin := origins[0].lower()) in self._origins or origin in self._tokens.origins):
            return origins[0]
        raise ForeignOriginError(
            "If this is the register's own page, add its origin to [api] allowed_origins, or give it a token: "
            "flash-agent token create --origin."
        )

    def caller(self, request: web.BaseRequest, needed: Scope) -> Caller:
        """Who calls; raises UnauthorizedError or ForbiddenError."""
        if needed is Scope.PUBLIC:
            return ANONYMOUS
        header = request.headers.get(hdrs.AUTHORIZATION, "")
        found = self._tokens.find(header[7:]) if header[:7] == "Bearer " else None
        if found is None and (found := self._tokens.find(_token_in(header))) is None:
            raise UnauthorizedError("Send Authorization: Bearer with the client's token, or the data directory's.")
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None or found.origin is not None:
            self._check_binding(found, origin)
        if not found.may(needed):
            raise ForbiddenError(f"This call needs a token of scope {needed}.")
        return found

    def _check_binding(self, caller: Caller, origin: str | None) -> None:
        """A token bound to an origin is good there alone, and an origin known by such tokens alone takes no others."""
        came_from = origin.lower() if origin is not None else None
        sound = came_from in self._origins if caller.origin is None else came_from == caller.origin
        if not sound:
            mend = (
                "This page takes only tokens that were made for it: flash-agent token create --origin."
                if caller.origin is None
                else "This token is good in pages of its own origin alone; a program takes one without --origin."
            )
            raise ForeignOriginError(mend, code="token-origin")

    @staticmethod
    def check_json(request: web.BaseRequest) -> None:
        """A body that should be JSON says so; raises MediaTypeError."""
        headers = request.headers
        plain = headers.get(hdrs.CONTENT_TYPE) == "application/json"  # as it is nearly always
        if not plain and request.content_type.lower() != "application/json":
            raise MediaTypeError("Send the body with Content-Type: application/json.")
        check_unpacked(request)


def wrong_host(port: int) -> WrongHostError:
    """What is raised where no Host, or another one than ours, stands in the head."""
    return WrongHostError(f"Call the agent as http://127.0.0.1:{port}, with that in the Host header.")


def check_unpacked(request: web.BaseRequest) -> None:
    """No body is unpacked here; raises MediaTypeError."""
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise MediaTypeError("Send the body without a Content-Encoding.")


def preflight(origin: str | None, methods: Collection[str]) -> web.Response:
    """The answer to an allowed page's preflight."""
    headers = {"Allow": ", ".join(sorted({*methods, "OPTIONS"})), "Cache-Control": "no-store"}
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


def _token_in(header: str) -> str:
    """The token of an Authorization header that spells the scheme in its own way; an empty text where there is none."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
