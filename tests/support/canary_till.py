"""A register that puts canaries into every request it can think of, sound ones and others."""

import asyncio
import contextlib
import json
from typing import Any

import aiohttp

from tests.support.agents import AgentProcess
from tests.support.canaries import Canaries


class CanaryTill:
    """Asks with the operator's token, for everything there is; `requests` counts."""

    def __init__(self, canaries: Canaries, agent: AgentProcess, session: aiohttp.ClientSession) -> None:
        self._canaries = canaries
        self.requests = 0
        self._port = agent.port
        self._base = f"http://127.0.0.1:{agent.port}"
        self._token = (agent.data_dir / "operator.token").read_text()
        self._session = session

    async def call(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and answer, parsed where it is JSON; (0, None) where there was none."""
        self.requests += 1
        sent = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **headers}
        data = raw if raw is not None else None if body is None else json.dumps(body, ensure_ascii=False).encode()
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
            async with self._session.request(method, self._base + path, data=data, headers=sent) as response:
                content = await response.read()
                parsed = json.loads(content) if "json" in response.content_type else content
                return response.status, parsed
        return 0, None

    def customer(self) -> dict[str, str]:
        return {"email": self._canaries.persons["email"], "externalId": self._canaries.persons["external id"]}

    def member(self) -> dict[str, Any]:
        more = {"fullName": self._canaries.full_name, "phone": self._canaries.persons["phone"]}
        return {**self.customer(), **more, "metadata": {"note": self._canaries.texts["note"]}}

    def sale(self, order: str) -> dict[str, Any]:
        lines = [{"sku": self._canaries.texts["sku"], "name": self._canaries.full_name}]
        return {"externalOrderId": order, "customer": self.customer(), "totalAmount": 20, "lines": lines}

    async def sells(self, name: str, *, first: int = 1, wait: float = 5) -> None:
        """One of everything a register can ask for."""
        key = {"Idempotency-Key": f"{self._canaries.texts['request key']}-{name}-{first}"}
        persons, texts, prefer = self._canaries.persons, self._canaries.texts, f"wait={wait}"
        await self.call("POST", "/v1/enrollments", self.member(), Prefer=prefer)
        await self.call("POST", "/v1/sales", self.sale(f"{name}-{first}"), Prefer=prefer, **key)
        refund = {"externalOrderId": f"{name}-{first}", "refundId": f"r{first}", "amount": 5}
        reason = texts["reason"]  # a register's own words, shown with the operation; people's names do not belong there
        await self.call("POST", "/v1/refunds", {**refund, "reason": reason}, Prefer=prefer)
        redemption = {"couponId": f"C-{name}-{first}", "transactionId": f"T-{first}", "customer": self.customer()}
        await self.call("POST", "/v1/redemptions", redemption, Prefer="wait=1")
        await self.call("POST", "/v1/redemptions/void", {**redemption, "reason": reason})
        for query in (f"email={quoted(persons['email'])}", f"externalId={persons['external id']}"):
            await self.call("GET", f"/v1/members?{query}")

    async def sends_rubbish(self) -> None:
        """Requests that are refused, with canaries where they hurt."""
        persons, key = self._canaries.persons, self._canaries.keys["write key"]
        email, whole = persons["email"], json.dumps(self.member(), ensure_ascii=False)
        for path in ("/v1/sales", "/v1/enrollments", "/v1/refunds", "/v1/redemptions", "/v1/stores", "/v1/catalogs"):
            for body in (
                whole[:-2],
                f"[{whole}]",
                whole.replace(":", "="),
                f'{{"{email}": 1}}',
                whole.encode("utf-16"),
            ):
                await self.call("POST", path, raw=body if isinstance(body, bytes) else body.encode())
            await self.call(
                "POST", path, {email: self.member(), "customer": {email: key}, "externalOrderId": email + "\n"}
            )
            await self.call(
                "POST", path, {"externalOrderId": [self.member()], "totalAmount": email, "email": f"{email} x"}
            )
        await self.call(
            "POST", "/v1/enrollments", {**self.member(), "phone": {"x": persons["phone"]}, "filler": "x" * 300_000}
        )
        for path in (f"/v1/{email}", f"/v1/members/{quoted(email)}", f"/v1/operations?cursor={quoted(email)}"):
            await self.call("GET", path)
        await self.call("GET", f"/v1/summary?businessDate={quoted(email)}&key={key}")
        for name in ("Authorization", "Prefer", "Last-Event-ID", "Origin", "Expect", "X-Register", "Accept-Language"):
            value = f"Bearer {key}" if name == "Authorization" else f"{email};{key}"
            await self.call("GET", "/v1/status", **{name: value})
        await self.call(key.upper()[:16].replace("_", ""), "/v1/status")
        first = persons["first name"].encode()
        for raw in (
            f"GET /v1/members?email={email} HTTP/1.1\r\nHost: {email}\r\nAuthorization: Bearer {key}\r\n\r\n".encode(),
            b"POST /v1/sales HTTP/1.1\r\nHost: x\r\nContent-Length: " + first + b"\r\n\r\n" + whole.encode(),
            whole.encode() + b"\r\n\r\n",
            f"GET http://{email}/ HTTP/9.9\r\nCookie: {key}\r\n\r\n".encode(),
        ):
            await self._sends_raw(raw)

    async def _sends_raw(self, raw: bytes) -> None:
        self.requests += 1
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(raw)
                writer.write_eof()
                await reader.read()
                writer.close()


def quoted(text: str) -> str:
    """For a query."""
    return text.replace("+", "%2B").replace("@", "%40").replace(" ", "%20")
