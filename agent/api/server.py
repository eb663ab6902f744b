"""The HTTP server: the guard before everything, problems for every error."""

import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import web

from agent import logs
from agent.api import guard as guards
from agent.api.guard import Guard, Scope
from agent.api.handlers import Call, answer
from agent.api.loopback import BACKLOG
from agent.api.problems import response_to
from agent.api.routes import ROUTES, Route
from agent.errors import (
    BadRequestError,
    MethodError,
    NotFoundError,
    Refusal,
    TooLargeError,
)
from agent.service import Service

KEEP_ALIVE_S = 150.0
SHUTDOWN_S = 3.0
_SERVER_NAME = "flash-pos-agent"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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
    ) -> None:
        self._service = service
        self._guard = guard
        self._sockets = sockets
        self._open_metrics = open_metrics
        self._max_body_bytes = max_body_bytes
        self._runner: web.AppRunner | None = None
        self._log = logs.get()
        self.port: int = sockets[0].getsockname()[1]

    async def start(self) -> None:
        """Serve on the bound sockets."""
        application = web.Application(middlewares=[self._middleware()], client_max_size=self._max_body_bytes)
        for route in ROUTES:
            application.router.add_route(
                route.method, route.path, self._endpoint(route), expect_handler=_expect_continue
            )
        application.router.add_get("/openapi.json", _serve_openapi)
        application.router.add_get("/docs", _serve_docs)
        self._runner = web.AppRunner(
            application, access_log=None, keepalive_timeout=KEEP_ALIVE_S, shutdown_timeout=SHUTDOWN_S
        )
        await self._runner.setup()
        for bound in self._sockets:
            await web.SockSite(self._runner, bound, backlog=BACKLOG).start()

    async def stop(self) -> None:
        """Stop listening, let requests under way finish for a moment."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _endpoint(self, route: Route) -> _Handler:
        scope = Scope.PUBLIC if route.path == "/metrics" and self._open_metrics else route.scope

        async def endpoint(request: web.Request) -> web.StreamResponse:
            caller = self._guard.caller(request, scope)
            if route.body is not None:
                self._guard.check_json(request)
            return await route.handler(Call(request, caller, self._service))

        return endpoint

    def _middleware(self) -> Any:
        @web.middleware
        async def guarded(request: web.Request, handler: _Handler) -> web.StreamResponse:
            origin = None
            try:
                self._guard.check_host(request)
                origin = self._guard.check_origin(request)
                response = await self._dispatch(request, handler, origin)
            except Refusal as refusal:
                response = response_to(refusal)
            guards.open_to(origin, response)
            response.headers["Server"] = _SERVER_NAME
            return response

        return guarded

    async def _dispatch(self, request: web.Request, handler: _Handler, origin: str | None) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal:
            raise
        except web.HTTPRequestEntityTooLarge:
            raise TooLargeError(f"A body may have at most {self._max_body_bytes} bytes.") from None
        except web.HTTPMethodNotAllowed as error:
            if request.method == "OPTIONS":
                return guards.preflight(origin, error.allowed_methods)
            response = response_to(MethodError(f"This path takes {', '.join(sorted(error.allowed_methods))}."))
            response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
            return response
        except web.HTTPNotFound:
            raise NotFoundError("There is no such path; see /openapi.json.") from None
        except web.HTTPException as error:
            raise BadRequestError(error.reason) from None
        except ConnectionError:
            raise
        except Exception:  # noqa: BLE001 - a register always gets an answer
            self._log.exception("request failed", method=request.method)
            return response_to(Refusal("The agent failed; its log says why.", stored=True))


async def _expect_continue(request: web.Request) -> web.StreamResponse | None:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # type: ignore[attr-defined,unused-ignore]
        return None
    return response_to(BadRequestError("Expect takes 100-continue alone.", code="bad-header"))


async def _serve_openapi(_request: web.Request) -> web.Response:
    from agent.api.openapi import document  # noqa: PLC0415 - rarely asked for

    return answer(document())


async def _serve_docs(_request: web.Request) -> web.Response:
    from agent.api.docs import page  # noqa: PLC0415 - rarely asked for
    from agent.api.openapi import document  # noqa: PLC0415

    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": policy}
    return web.Response(text=page(document()), content_type="text/html", headers=headers)
