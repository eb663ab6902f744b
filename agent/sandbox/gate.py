"""The door of the API: what every call passes before and after its endpoint.

In order: audit, faults, tenant key (401), rate limit (429), scope (403), media type (415), idempotency, the
endpoint. An effect is complete before its answer leaves, so a lost answer is a committed effect. Nothing here
knows what an endpoint does, and the endpoints know nothing of HTTP.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from agent.sandbox import assumed, wire
from agent.sandbox.audit import AuditEntry, AuditLog
from agent.sandbox.calls import Answer, Call, Endpoint, perform
from agent.sandbox.faults import BASE_PATH, Fault, Faults, Mishaps
from agent.sandbox.feed import Clock
from agent.sandbox.idempotency import IdempotencyMemory, Slot
from agent.sandbox.keys import ApiKey
from agent.sandbox.ratelimit import RateLimiter
from agent.sandbox.refusals import Refusal
from agent.sandbox.state import State

Sleep = Callable[[float], Awaitable[None]]

CONTROL_PATH = "/_sandbox"
_ENTRY = web.RequestKey("entry", AuditEntry)
_MISHAPS = web.RequestKey("mishaps", Mishaps)
_PORTAL = "<!doctype html><title>Wi-Fi log-in</title><p>Please accept the terms to go online."


def respond(answer: Answer) -> web.Response:
    return web.Response(
        status=answer.status,
        body=wire.dumps(answer.payload),
        headers=dict(answer.headers),
        content_type="application/json",
    )


def respond_http_error(error: web.HTTPException) -> web.Response:
    """What the HTTP library refuses (no such path, wrong method, body too large), in the API's envelope."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    code = error.reason.upper().replace(" ", "_")
    return respond(Answer.refused(Refusal(error.status, code, error.reason, headers)))


@dataclass(frozen=True, slots=True)
class Gate:
    state: State
    faults: Faults
    audit: AuditLog
    memory: IdempotencyMemory
    limiter: RateLimiter
    clock: Clock
    sleep: Sleep

    def middleware(self) -> Middleware:
        @web.middleware
        async def pass_through(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(f"{CONTROL_PATH}/"):
                return await self._answered(request, handler)
            return await self._supervise(request, handler)

        return pass_through

    def endpoint_handler(self, endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return respond(await self._serve(endpoint, request))

        return handle

    async def _supervise(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Audit the call and let the ordered faults have their way with it."""
        mishaps = self.faults.draw(request.method, request.path.removeprefix(BASE_PATH))
        entry = AuditEntry(
            at=self.clock(),
            method=request.method,
            path=request.path,
            idempotency_key=request.headers.get("Idempotency-Key"),
            fault=mishaps.name,
            user_agent=request.headers.get("User-Agent"),
            request_id=request.headers.get("X-Request-Id"),
        )
        self.audit.add(entry)
        request[_ENTRY], request[_MISHAPS] = entry, mishaps
        if mishaps.ends is not None:
            await self._delay(mishaps)
            response = _ended_by(mishaps.ends)
        else:
            response = await self._answered(request, handler)
        if response is None or mishaps.answer_lost:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        entry.status = response.status
        return response

    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            return respond(Answer.refused(refusal))
        except web.HTTPException as error:
            return respond_http_error(error)

    async def _serve(self, endpoint: Endpoint, request: web.Request) -> Answer:
        entry, mishaps = request[_ENTRY], request[_MISHAPS]
        key = self._admit(endpoint, request, entry)
        body = await request.read()
        if body and request.content_type != "application/json":
            raise Refusal(415, "UNSUPPORTED_MEDIA_TYPE", "a body must be application/json")
        call = Call(
            tenant=self.state.tenant(key.tenant),
            path_args=request.match_info,
            query=request.query,
            body=body,
            cap_available=mishaps.cap_available,
        )
        if not endpoint.writes or entry.idempotency_key is None:
            await self._delay(mishaps)
            return _failed(mishaps.stored_failure) or perform(endpoint, call)
        slot = (key.tenant, f"{endpoint.method} {endpoint.path}", entry.idempotency_key)
        stored = self.memory.begin(slot, request.path, body)
        if stored is None:
            return await self._first(endpoint, call, slot, mishaps)
        entry.replayed = True
        await self._delay(mishaps)
        return Answer(stored.status, stored.payload, {**stored.headers, assumed.REPLAYED_HEADER: "true"})

    def _admit(self, endpoint: Endpoint, request: web.Request, entry: AuditEntry) -> ApiKey:
        key = self.state.keys.authenticate(request.headers.get("Authorization"))
        entry.key_label, entry.tenant = key.label, key.tenant
        self.limiter.take(key.key)
        key.require(endpoint.scope)
        return key

    async def _first(self, endpoint: Endpoint, call: Call, slot: Slot, mishaps: Mishaps) -> Answer:
        """Do the work of a call that owns its key, and keep its result where results are kept."""
        kept = False
        try:
            await self._delay(mishaps)
            failure = _failed(mishaps.stored_failure)
            answer = failure or perform(endpoint, call)
            kept = failure is not None or answer.is_final
        finally:
            if not kept:
                self.memory.abandon(slot)
        if kept:
            self.memory.finish(slot, answer)
        return answer

    async def _delay(self, mishaps: Mishaps) -> None:
        if mishaps.latency_s:
            await self.sleep(mishaps.latency_s)


def _failed(fault: Fault | None) -> Answer | None:
    """The answer of a fault that speaks Flash's own envelope."""
    if fault is None:
        return None
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    if fault.kind == "401":
        return Answer.refused(Refusal(401, "UNAUTHORIZED", "the tenant key is not valid"))
    if fault.kind == "429":
        return Answer.refused(
            Refusal(*assumed.RATE_LIMITED, "too many calls with this key", {"Retry-After": "1", **headers})
        )
    return Answer.refused(Refusal(503, "UNAVAILABLE", "Flash is not available", headers))


def _ended_by(fault: Fault) -> web.StreamResponse | None:
    """What the caller sees of a fault that ends the call; None: nothing, the connection is dropped."""
    if fault.kind == "offline":
        return None
    if fault.kind == "captive-portal":
        return web.Response(text=_PORTAL, content_type="text/html")
    failure = _failed(fault)
    return None if failure is None else respond(failure)
