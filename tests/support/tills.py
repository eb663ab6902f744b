"""A register of an agent process that may be killed under it."""

import asyncio
from collections import Counter
from typing import Any

import aiohttp

from tests.support.agents import AgentProcess
from tests.support.strict_flash import StrictFlash
from tests.support.witness import Witness

ANSWER_LIMIT = aiohttp.ClientTimeout(total=60)


class Till:
    """Posts to the agent, and sends again until it has its 2xx, as registers do; a witness hears of every 2xx."""

    def __init__(self, agent: AgentProcess, session: aiohttp.ClientSession, witness: Witness | None = None) -> None:
        self.agent = agent
        self.session = session
        self.witness = witness
        self.accepted: dict[str, str] = {}
        self.progress = asyncio.Event()
        self.refused: Counter[int] = Counter()  # answers that said no for now, by status

    async def post(self, path: str, body: dict[str, Any], wait: float = 0) -> tuple[int, dict[str, Any]]:
        """Status and body; raises what aiohttp raises where there is no answer."""
        headers = {"Authorization": f"Bearer {self.agent.token}", "Prefer": f"wait={wait}"}
        url = f"http://127.0.0.1:{self.agent.port}{path}"
        async with self.session.post(url, json=body, headers=headers, timeout=ANSWER_LIMIT) as response:
            status, answer = response.status, await response.json()
        if self.witness is not None and status in {200, 202}:
            self.witness.saw(answer, body)
        return status, answer

    async def get(self, path: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.agent.token}"}
        url = f"http://127.0.0.1:{self.agent.port}{path}"
        async with self.session.get(url, headers=headers, timeout=ANSWER_LIMIT) as response:
            answer = await response.json()
            assert response.status == 200, answer
            return answer

    async def sell_until_accepted(self, order: str, again: asyncio.Event | None = None) -> None:
        """Sell; where there is no answer send again, at once or when `again` is set."""
        body = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20}
        while True:
            try:
                status, operation = await self.post("/v1/sales", body)
            except (aiohttp.ClientError, OSError):
                await (again.wait() if again is not None else asyncio.sleep(0.01))
                continue
            assert status in {200, 202}, operation
            self.accepted[order] = operation["id"]
            self.progress.set()
            return

    async def has_accepted(self, count: int) -> None:
        while len(self.accepted) < count:
            self.progress.clear()
            await self.progress.wait()

    async def operations(self, **query: str) -> list[dict[str, Any]]:
        """All pages of `GET /v1/operations`."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            terms = "".join(f"&{name}={value}" for name, value in query.items())
            page = await self.get(f"/v1/operations?limit=200{terms}{cursor}")
            found += page["operations"]
            if page["nextCursor"] is None:
                return found
            cursor = f"&cursor={page['nextCursor']}"

    async def settled(self, flash: StrictFlash, seconds: float = 60) -> None:
        """Wait until nothing is pending, looking again whenever Flash has heard something; TimeoutError after that."""
        async with asyncio.timeout(seconds):
            while (await self.get("/v1/status"))["pending"]:
                seen = len(flash.requests)
                await asyncio.to_thread(flash.wait_for, lambda f, seen=seen: len(f.requests) != seen, seconds=0.05)
