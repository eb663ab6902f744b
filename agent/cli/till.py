"""A register in miniature, for the demo: speaks to the agent over HTTP, as register software would."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from agent import jsons
from agent.errors import AgentError


@dataclass(frozen=True, slots=True)
class Reply:
    """The agent's answer, and how long the register waited for it."""

    status: int
    body: dict[str, Any]
    took_ms: float
    replayed: bool


class Till:
    """Calls one agent. Raises AgentError for an answer that is no yes, or for none."""

    def __init__(self, address: str, token: str) -> None:
        self._session = aiohttp.ClientSession(address, headers={"Authorization": f"Bearer {token}"})

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def post(self, path: str, document: Mapping[str, Any], *, wait_s: float = 0) -> Reply:
        """Hand a document in; `wait_s` is how long the register would wait for Flash's word."""
        headers = {"Content-Type": "application/json", "Prefer": f"wait={wait_s}"}
        return await self._call("POST", path, headers=headers, data=jsons.dumps(document).encode())

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Reply:
        """Ask for something."""
        return await self._call("GET", path, params=query)

    async def operations(self) -> list[dict[str, Any]]:
        """All operations, oldest first."""
        found: list[dict[str, Any]] = []
        query: dict[str, str] | None = {}
        while query is not None:
            page = (await self.get("/v1/operations", query)).body
            found += page["operations"]
            query = {"cursor": page["nextCursor"]} if page["nextCursor"] else None
        return found[::-1]

    async def _call(self, method: str, path: str, **options: Any) -> Reply:
        began = time.perf_counter()
        try:
            async with self._session.request(method, path, **options) as response:
                body = jsons.loads(await response.read())
        except aiohttp.ClientError as error:
            raise AgentError(f"{method} {path} was not answered: {type(error).__name__}.") from None
        took_ms = (time.perf_counter() - began) * 1000
        if response.status >= 400:
            raise AgentError(f"{method} {path} was answered {response.status}: {body.get('detail')}")
        return Reply(response.status, body, took_ms, "Idempotency-Replayed" in response.headers)
