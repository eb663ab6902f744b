"""The HTTP server on loopback: sockets that are ours alone, the guard before everything, problems for every error."""

import errno
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from agent import logs
from agent.api import guard as guards
from agent.api.guard import Guard, Scope
from agent.api.handlers import Call, answer
from agent.api.problems import response_to
from agent.api.routes import ROUTES, Route
from agent.errors import (
    BadRequestError,
    MethodError,
    NotFoundError,
    PortTakenError,
    Refusal,
    TooLargeError,
)
from agent.health import Health
from agent.service import Service

KEEP_ALIVE_S = 150.0
BACKLOG = 1024
_SERVER_NAME = "flash-pos-agent"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """The listening API. `port` is the one it listens on."""

    def __init__(
        self, service: Service, guard: Guard, health: Health, *, port: int, open_metrics: bool, max_body_bytes: int
    ) -> None:
        self._service = service
        self._guard = guard
        self._health = health
        self._wanted_port = port
        self._open_metrics = open_metrics
        self._max_body_bytes = max_body_bytes
        self._runner: web.AppRunner | None = None
        self._sockets: list[socket.socket] = []
        self._log = logs.get()
        self.port = port

    def bind(self) -> int:
        """Take the port on 127.0.0.1 and ::1; raises PortTakenError saying by whom. Returns the port."""
        self._sockets = listen_on_loopback(self._wanted_port)
        self.port = self._sockets[0].getsockname()[1]
        self._health.set("loopback-partial", active=len(self._sockets) < 2)
        return self.port

    async def start(self) -> None:
        """Serve on the bound sockets."""
        application = web.Application(middlewares=[self._middleware()], client_max_size=self._max_body_bytes)
        for route in ROUTES:
            application.router.add_route(route.method, route.path, self._endpoint(route))
        application.router.add_get("/openapi.json", _serve_openapi)
        application.router.add_get("/docs", _serve_docs)
        self._runner = web.AppRunner(application, access_log=None, keepalive_timeout=KEEP_ALIVE_S, handle_signals=False)
        await self._runner.setup()
        for bound in self._sockets:
            await web.SockSite(self._runner, bound, backlog=BACKLOG).start()

    async def stop(self) -> None:
        """Stop listening, let requests under way finish for a moment."""
        if self._runner is not None:
            await self._runner.cleanup()
        for bound in self._sockets:
            bound.close()

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
                self._guard.check_host(request, self.port)
                origin = self._guard.check_origin(request, self.port)
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


async def _serve_openapi(_request: web.Request) -> web.Response:
    from agent.api.openapi import document  # noqa: PLC0415 - rarely asked for

    return answer(document())


async def _serve_docs(_request: web.Request) -> web.Response:
    from agent.api.docs import page  # noqa: PLC0415 - rarely asked for
    from agent.api.openapi import document  # noqa: PLC0415

    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": policy}
    return web.Response(text=page(document()), content_type="text/html", headers=headers)


def listen_on_loopback(port: int) -> list[socket.socket]:
    """Sockets on 127.0.0.1 and ::1, exclusively ours; the second may be missing where the system has no IPv6."""
    first = _bind(socket.AF_INET, "127.0.0.1", port)
    sockets = [first]
    try:
        sockets.append(_bind(socket.AF_INET6, "::1", first.getsockname()[1]))
    except PortTakenError:
        first.close()
        raise
    except OSError:
        pass  # no IPv6 here; the health condition says so
    return sockets


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "nt":  # pragma: no cover - without it another program could take our requests
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        if _is_taken(error):
            raise PortTakenError(
                f"Port {port} is taken{_holder(port)}. Free it, or choose another with [api] port "
                "(or FLASH_AGENT_API__PORT, or --port) and tell the register."
            ) from None
        raise
    return bound


def _is_taken(error: OSError) -> bool:
    return error.errno in {errno.EADDRINUSE, errno.EACCES} or getattr(error, "winerror", None) in {10013, 10048}


def _holder(port: int) -> str:
    """` by NAME (process PID)` where the system tells, else nothing."""
    import psutil  # noqa: PLC0415 - only on the way out

    try:
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            listens = connection.status == psutil.CONN_LISTEN and address and address.port == port
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""
