"""The stand-in as a running server.

`Sandbox` owns the state and outlives its listening socket: `stop` then `start` on the same port is an outage
after which Flash still knows everything. All of it runs on one event loop. Only memory is used; a new Sandbox
is a new day.
"""

import asyncio
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiohttp import web

from agent.sandbox import assumed
from agent.sandbox.audit import AuditLog
from agent.sandbox.control import Control
from agent.sandbox.earn import EarnRules
from agent.sandbox.endpoints import ENDPOINTS
from agent.sandbox.faults import BASE_PATH, Faults
from agent.sandbox.feed import Clock
from agent.sandbox.gate import Gate, Sleep
from agent.sandbox.idempotency import IdempotencyMemory
from agent.sandbox.ratelimit import RateLimit, RateLimiter
from agent.sandbox.seeds import DEMO, Seed
from agent.sandbox.state import State

WRITE_KEY = "fl_live_sandbox_write"
READ_KEY = "fl_live_sandbox_read"
STORE_ID = "st_demo"
MAX_BODY_BYTES = 16 * 1024 * 1024
_SHUTDOWN_S = 0.5


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Sandbox:
    """Flash v2 in memory. Raises RuntimeError when started twice, OSError when the port is taken."""

    def __init__(
        self,
        seed: Seed = DEMO,
        clock: Clock = _utc_now,
        *,
        rules: EarnRules | None = None,
        rate_limit: RateLimit | None = None,
        sleep: Sleep = asyncio.sleep,
        idempotency_size: int = 10_000,
        audit_size: int = 10_000,
    ) -> None:
        self.state = State(seed, clock=clock, rules=rules or EarnRules())
        self.faults = Faults()
        self.audit = AuditLog(audit_size)
        self.idempotency = IdempotencyMemory(idempotency_size)
        self.write_key = self.state.add_key(WRITE_KEY, assumed.WRITE_PRESET, label="sandbox write").key
        self.read_key = self.state.add_key(READ_KEY, assumed.READ_PRESET, label="sandbox read").key
        self.store_id = STORE_ID
        self._gate = Gate(
            state=self.state,
            faults=self.faults,
            audit=self.audit,
            memory=self.idempotency,
            limiter=RateLimiter(rate_limit or RateLimit(), clock),
            clock=clock,
            sleep=sleep,
        )
        self._runner: web.AppRunner | None = None
        self._origin: str | None = None

    @property
    def origin(self) -> str:
        """`http://host:port`, under which `/_sandbox/…` lives. Raises RuntimeError before the first start."""
        if self._origin is None:
            raise RuntimeError("the sandbox has not been started")
        return self._origin

    @property
    def base_url(self) -> str:
        """The API's base, as an agent's configuration names it."""
        return f"{self.origin}{BASE_PATH}"

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen (port 0: any free one) and return the base URL."""
        if self._runner is not None:
            raise RuntimeError("the sandbox is running")
        runner = web.AppRunner(self._app(), access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_S)
        try:
            await runner.setup()
            await web.TCPSite(runner, host, port).start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        shown = f"[{host}]" if ":" in host else host
        self._origin = f"http://{shown}:{runner.addresses[0][1]}"
        return self.base_url

    async def stop(self) -> None:
        """Close the socket and every connection; a sandbox that does not run is left alone."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _app(self) -> web.Application:
        app = web.Application(middlewares=[self._gate.middleware()], client_max_size=MAX_BODY_BYTES)
        for endpoint in ENDPOINTS:
            app.router.add_route(endpoint.method, f"{BASE_PATH}{endpoint.path}", self._gate.endpoint_handler(endpoint))
        Control(self.state, self.faults, self.audit).add_routes(app.router)
        return app
