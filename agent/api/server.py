"""The HTTP server: the guard before everything, problems for every error."""

import asyncio
import functools
import socket
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any

from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader

from agent import jsons, logs
from agent.api import guard as guards
from agent.api import web
from agent.api.answers import Answer, Departures
from agent.api.calls import Call, check_query
from agent.api.connections import Connections
from agent.api.guard import Guard
from agent.api.loopback import BACKLOG
from agent.api.paths import Endpoint, Found, Paths
from agent.api.problems import response_to
from agent.api.routes import ROUTES, Route
from agent.errors import (
    BadRequestError,
    MethodError,
    NotFoundError,
    Refusal,
)
from agent.service.service import Service
from agent.tokens import Scope

SHUTDOWN_S = 3.0
_SERVER_NAME = "flash-pos-agent"


class Server:
    """The API on sockets that listen already. `port` is theirs."""

    def __init__(
        self,
        service: Service,
        guard: Guard,
        sockets: Sequence[socket.socket],
        *,
        open_metrics: bool,
        max_body_bytes: int,
        max_connections: int,
    ) -> None:
        self._service = service
        self._guard = guard
        self._sockets = sockets
        self._open_metrics = open_metrics
        self._max_body_bytes = max_body_bytes
        self._max_connections = max_connections
        self._paths = Paths()
        self._departures = Departures()
        self._connections: Connections | None = None
        self._listening: list[asyncio.Server] = []
        self._log = logs.get()
        self.port: int = sockets[0].getsockname()[1]

    async def start(self) -> None:
        """Serve on the bound sockets."""
        for route in ROUTES:
            endpoint = self._endpoint(route)
            self._paths.add(route.path, route.method, endpoint)
            if route.method == "GET" and route.media != "text/event-stream":
                self._paths.add(route.path, "HEAD", endpoint)
        for method in ("GET", "HEAD"):
            self._paths.add("/openapi.json", method, _serve_openapi)
            self._paths.add("/docs", method, _serve_docs)
        self._connections = Connections(
            self._serve,
            request_factory=self._request,
            access_log=None,
            most=self._max_connections,
            lost=self._service.events.lost,
        )
        loop = asyncio.get_running_loop()
        for bound in self._sockets:
            self._listening.append(await loop.create_server(self._connections, sock=bound, backlog=BACKLOG))

    async def stop(self) -> None:
        """Stop listening, let requests under way finish for a moment."""
        for listening in self._listening:
            listening.close()
        self._listening.clear()
        if self._connections is not None:
            await asyncio.sleep(0)  # requests that are here already begin before idle connections are closed
            self._connections.pre_shutdown()
            await self._connections.shutdown(SHUTDOWN_S)
            self._connections = None

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=self._max_body_bytes)

    def _endpoint(self, route: Route) -> Endpoint:
        scope = Scope.PUBLIC if route.path == "/metrics" and self._open_metrics else route.scope
        guard, service, handler, takes_json = self._guard, self._service, route.handler, route.body is not None
        chooses = [parameter.name for parameter in route.parameters if parameter.place == "query"]
        chooses = chooses if route.method == "GET" else []

        def endpoint(request: web.BaseRequest, parameters: Mapping[str, str]) -> Awaitable[web.StreamResponse]:
            caller = guard.caller(request, scope)
            if scope is not Scope.PUBLIC:
                connection: Any = request.protocol
                connection.known = True
            if takes_json:
                guard.check_json(request)
            if chooses:
                check_query(request, chooses)
            return handler(Call(request, caller, service, parameters))

        return endpoint

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        origin = None
        try:
            found = self._paths.find(request)
            if request.headers.get(hdrs.EXPECT):
                await _expect_continue(request)
            self._guard.check_host(request)
            origin = self._guard.check_origin(request)
            endpoint = found.methods.get(request.method)
            response = (
                self._no_endpoint(request, found, origin)
                if endpoint is None
                else await endpoint(request, found.parameters)
            )
        except Refusal as refusal:
            response = response_to(refusal)
        except ConnectionError:
            raise
        except web.HTTPException as error:
            response = response_to(BadRequestError(error.reason))
        except Exception:  # noqa: BLE001 - a register always gets an answer
            self._log.exception("request failed", method=request.method)
            response = response_to(Refusal("The agent failed; its log says why.", stored=True))
        guards.open_to(origin, response)
        response.headers[hdrs.SERVER] = _SERVER_NAME
        if isinstance(response, Answer):
            response.departures = self._departures
        return response

    def _no_endpoint(self, request: web.BaseRequest, found: Found, origin: str | None) -> web.Response:
        if not found.methods:
            raise NotFoundError("There is no such path; see /docs, or /openapi.json.")
        if request.method == "OPTIONS":
            return guards.preflight(origin, found.methods)
        response = response_to(MethodError(f"This path takes {', '.join(sorted(found.methods))}."))
        response.headers[hdrs.ALLOW] = ", ".join(sorted(found.methods))
        return response


async def _expect_continue(request: web.BaseRequest) -> None:
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise BadRequestError("Expect takes 100-continue alone.", code="bad-header")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # type: ignore[attr-defined,unused-ignore]


async def _serve_openapi(_request: web.BaseRequest, _parameters: Mapping[str, str]) -> web.Response:
    return Answer(_openapi())


async def _serve_docs(_request: web.BaseRequest, _parameters: Mapping[str, str]) -> web.Response:
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
    return Answer(_docs(), headers=headers)


# Both are open to everybody and take tens of milliseconds to make, which many askers would take from the registers.
@functools.cache
def _openapi() -> bytes:
    from agent.api.openapi import document  # noqa: PLC0415 - rarely asked for

    return jsons.encode(document())


@functools.cache
def _docs() -> bytes:
    from agent.api.docs import page  # noqa: PLC0415 - rarely asked for
    from agent.api.openapi import document  # noqa: PLC0415

    return page(document()).encode()
