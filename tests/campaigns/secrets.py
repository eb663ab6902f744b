"""Invented customers and keys through every path there is, then a search for them in everything that is written.

Rounds of a till's life: ordinary traffic and every kind of bad request; a Flash that repeats what it was sent in its
errors; an agent with faults built in, whose exceptions hold whole documents; a rotation; `forget`; a damaged database.
After each, log, data directory (database, write-ahead log, quarantine), temporary files, metrics, events and what the
commands print for support are searched for every canary in many spellings. After `forget` the sealed rows are opened,
too.
"""

import asyncio
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import aiohttp

from agent.storage import Sealer, load_or_create_keys
from tests.support.agents import AgentProcess, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally
from tests.support.canaries import Canaries, files_below
from tests.support.commands import flash_agent
from tests.support.echoing_flash import Echo, echoing_flash
from tests.support.strict_flash import StrictFlash
from tests.support.weakened import Change, environment_of, weakened_copy

ROUNDS = {Size.SHORT: 1, Size.LONG: 40}
LIMIT = aiohttp.ClientTimeout(total=30)
FAULTS = (
    Change(
        "agent/api/handlers.py",
        "    if not isinstance(document, dict):\n",
        """    if "boom" in str(document):
        import asyncio
        import threading

        def fail(what: object) -> None:
            raise RuntimeError(f"cannot do {what}")

        class Odd:
            def __del__(self) -> None:
                fail(document)

        asyncio.get_running_loop().call_soon(fail, document)
        asyncio.get_running_loop().create_task(asyncio.to_thread(fail, document))
        threading.Thread(target=fail, args=(document,)).start()
        Odd()
        raise LookupError(f"{body!r} {document}") from KeyError(str(document))
    if not isinstance(document, dict):
""",
    ),
    Change(
        "agent/flash/client.py",
        '        """One attempt for one operation."""\n',
        '        """One attempt for one operation."""\n'
        '        if b"bang" in parcel.body:\n            raise RuntimeError(f"{parcel.body!r} {self._write_key!r} '
        '{self._write_key and self._write_key.get_secret_value()}")\n',
    ),
)


def run(size: Size, seed: int) -> Tally:
    """So many rounds, each with canaries of its own; the first that finds something is the last."""
    tally = Tally()
    requests = 0
    for number in range(ROUNDS[size]):
        with tempfile.TemporaryDirectory() as folder:
            a_round = _Round(Path(folder), random.Random(f"{seed}/{number}"), tally)
            asyncio.run(a_round.run())
            requests += a_round.requests
        if tally.breaches:
            break
    tally.figures["requests"] = f"{requests:,}"
    return tally


class _FoundError(Exception):
    """Something was found; the round is over."""


class _Round:
    def __init__(self, folder: Path, chance: random.Random, tally: Tally) -> None:
        self.folder = folder
        self.chance = chance
        self.tally = tally
        self.data = folder / "data"
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.canaries = Canaries.invented(chance)
        self.agent: AgentProcess | None = None
        self.requests = 0
        self.shown: dict[str, bytes] = {}

    async def run(self) -> None:
        with contextlib.suppress(_FoundError), strict_flash() as flash, echoing_flash() as echo:
            flash.add_key(self.canaries.keys["write key"], "t1")
            await self._ordinary_days(flash)
            await self._echoes(echo)
            await self._faults(flash)
            await self._forgotten(flash)
            await self._damage(flash)

    # ---- the rounds ----------------------------------------------------------------------------------------------

    async def _ordinary_days(self, flash: StrictFlash) -> None:
        async with self._running(flash.base_url) as call:
            self.canaries = _with_tokens(self.canaries, self.data)
            await self._sells(call, "day")
            await self._sends_rubbish(call)
            flash.poison("day-2", 422)
            await self._sells(call, "day", first=2)
            await call("POST", "/v1/data-key/rotate")
            await self._looks_at(call)
            self.search("while it serves")
        self.search("after kill -9")

    async def _echoes(self, echo: Echo) -> None:
        async with self._running(echo.base_url) as call:
            await self._sells(call, "echo", wait=0.2)
            await call("POST", "/v1/key/confirm")
            for number in range(14):
                await call("POST", "/v1/sales", self._sale(f"echo-more-{number}"), Prefer="wait=1")
            await call("POST", "/v1/enrollments", self._member(), Prefer="wait=1")
            await call("GET", f"/v1/members?email={_quoted(self.canaries.persons['email'])}")
            await asyncio.to_thread(echo.wait_for, 20, 10)
            await self._looks_at(call)
            self.search("after Flash repeated everything")

    async def _faults(self, flash: StrictFlash) -> None:
        copy = weakened_copy(self.folder / "faulty", FAULTS)

        def launch(
            arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]
        ) -> "subprocess.Popen[bytes]":
            changed = {**environment, **environment_of(copy), **{n: v for n, v in environment.items() if "FLASH" in n}}
            changed["TMPDIR"] = environment["TMPDIR"]
            return subprocess.Popen([sys.executable, "-m", "agent", *arguments], env=changed, stderr=log, cwd=copy)

        async with self._running(flash.base_url, launch=launch) as call:
            for path in ("/v1/enrollments", "/v1/refunds", "/v1/redemptions", "/v1/members/forget"):
                status, _ = await call("POST", path, {**self._member(), "boom": "boom"})
                if status != 500:
                    raise AssertionError(f"{path}: the fault that was built in did not fire: {status}")
            await call("POST", "/v1/sales", self._sale("bang-1"), Prefer="wait=1")
            await self._looks_at(call)
            self.search("after faults of the agent's own")

    async def _forgotten(self, flash: StrictFlash) -> None:
        before = self._opened()
        if not set(self.canaries.persons) <= {name for name, _ in self.canaries.found_in(before)}:
            raise AssertionError("the sealed rows could not be opened, so that nothing is shown by looking into them")
        async with self._running(flash.base_url) as call:
            await self._gives_up_what_failed(call)
            for key in ("email", "externalId"):
                value = self.canaries.persons["email" if key == "email" else "external id"]
                await call("POST", "/v1/members/forget", {key: value})
            self.search("after forget, while it serves")
        self.tally.tries += 1
        self._report("the opened rows after forget", self._opened(), self.canaries.persons)

    async def _damage(self, flash: StrictFlash) -> None:
        async with self._running(flash.base_url) as call:
            await self._sells(call, "late")
        database = self.data / "agent.db"
        content = database.read_bytes()
        database.write_bytes(content[:4096] + b"damaged " * 4 + content[4128:])
        async with self._running(flash.base_url) as call:
            await self._looks_at(call)
            self.search("with a database in quarantine")

    # ---- what registers do ---------------------------------------------------------------------------------------

    def _customer(self) -> dict[str, str]:
        return {"email": self.canaries.persons["email"], "externalId": self.canaries.persons["external id"]}

    def _member(self) -> dict[str, Any]:
        more = {"fullName": self.canaries.full_name, "phone": self.canaries.persons["phone"]}
        return {**self._customer(), **more, "metadata": {"note": self.canaries.texts["note"]}}

    def _sale(self, order: str) -> dict[str, Any]:
        lines = [{"sku": self.canaries.texts["sku"], "name": self.canaries.full_name}]
        return {"externalOrderId": order, "customer": self._customer(), "totalAmount": 20, "lines": lines}

    async def _sells(self, call: "_Call", name: str, *, first: int = 1, wait: float = 5) -> None:
        """One of everything a register can ask for."""
        key = {"Idempotency-Key": f"{self.canaries.texts['request key']}-{name}-{first}"}
        persons, texts, prefer = self.canaries.persons, self.canaries.texts, f"wait={wait}"
        await call("POST", "/v1/enrollments", self._member(), Prefer=prefer)
        await call("POST", "/v1/sales", self._sale(f"{name}-{first}"), Prefer=prefer, **key)
        refund = {"externalOrderId": f"{name}-{first}", "refundId": f"r{first}", "amount": 5}
        reason = texts["reason"]  # a register's own words, shown with the operation; people's names do not belong there
        await call("POST", "/v1/refunds", {**refund, "reason": reason}, Prefer=prefer)
        redemption = {"couponId": f"C-{name}-{first}", "transactionId": f"T-{first}", "customer": self._customer()}
        await call("POST", "/v1/redemptions", redemption, Prefer="wait=1")
        await call("POST", "/v1/redemptions/void", {**redemption, "reason": reason})
        for query in (f"email={_quoted(persons['email'])}", f"externalId={persons['external id']}"):
            await call("GET", f"/v1/members?{query}")

    async def _sends_rubbish(self, call: "_Call") -> None:
        """Requests that are refused, with canaries where they hurt."""
        persons, key = self.canaries.persons, self.canaries.keys["write key"]
        email, whole = persons["email"], json.dumps(self._member(), ensure_ascii=False)
        for path in ("/v1/sales", "/v1/enrollments", "/v1/refunds", "/v1/redemptions", "/v1/stores", "/v1/catalogs"):
            for body in (
                whole[:-2],
                f"[{whole}]",
                whole.replace(":", "="),
                f'{{"{email}": 1}}',
                whole.encode("utf-16"),
            ):
                await call("POST", path, raw=body if isinstance(body, bytes) else body.encode())
            await call("POST", path, {email: self._member(), "customer": {email: key}, "externalOrderId": email + "\n"})
            await call("POST", path, {"externalOrderId": [self._member()], "totalAmount": email, "email": f"{email} x"})
        await call(
            "POST", "/v1/enrollments", {**self._member(), "phone": {"x": persons["phone"]}, "filler": "x" * 300_000}
        )
        for path in (f"/v1/{email}", f"/v1/members/{_quoted(email)}", f"/v1/operations?cursor={_quoted(email)}"):
            await call("GET", path)
        await call("GET", f"/v1/summary?businessDate={_quoted(email)}&key={key}")
        for name in ("Authorization", "Prefer", "Last-Event-ID", "Origin", "Expect", "X-Register", "Accept-Language"):
            value = f"Bearer {key}" if name == "Authorization" else f"{email};{key}"
            await call("GET", "/v1/status", **{name: value})
        await call(key.upper()[:16].replace("_", ""), "/v1/status")
        first = persons["first name"].encode()
        for raw in (
            f"GET /v1/members?email={email} HTTP/1.1\r\nHost: {email}\r\nAuthorization: Bearer {key}\r\n\r\n".encode(),
            b"POST /v1/sales HTTP/1.1\r\nHost: x\r\nContent-Length: " + first + b"\r\n\r\n" + whole.encode(),
            whole.encode() + b"\r\n\r\n",
            f"GET http://{email}/ HTTP/9.9\r\nCookie: {key}\r\n\r\n".encode(),
        ):
            await self._sends_raw(raw)

    async def _sends_raw(self, raw: bytes) -> None:
        assert self.agent is not None
        self.requests += 1
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.agent.port)
                writer.write(raw)
                writer.write_eof()
                await reader.read()
                writer.close()

    async def _gives_up_what_failed(self, call: "_Call") -> None:
        for _ in range(60):
            _, page = await call("GET", "/v1/operations?status=failed&limit=200")
            for operation in page["operations"]:
                await call("POST", f"{operation['href']}/discard", {"reason": self.canaries.texts["reason"]})
            _, status = await call("GET", "/v1/status")
            if not status["pending"] + status["failed"]:
                return
            await asyncio.sleep(0.2)

    async def _looks_at(self, call: "_Call") -> None:
        """What is shown to support, and what a listener hears."""
        self.shown = {}
        for path in ("/metrics", "/v1/status", "/v1/operations?limit=200", "/v1/summary?businessDate=2026-11-25",
                     "/v1/exposure", "/v1/sync", "/v1/drill", "/healthz", "/readyz", "/openapi.json"):  # fmt: skip
            _, answer = await call("GET", path)
            self.shown[path] = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
        self.shown["/v1/events"] = await self._events()
        place = ("--data-dir", self.data)
        settings = {"FLASH_AGENT_FLASH__WRITE_KEY": self.canaries.keys["write key"]}
        for command in (("status", *place), ("operations", "list", *place), ("config", "check", *place)):
            done = await asyncio.to_thread(flash_agent, *command, **settings)
            self.shown[f"flash-agent {' '.join(map(str, command[:2]))}"] = (done.stdout + done.stderr).encode()

    async def _events(self) -> bytes:
        assert self.agent is not None
        heard = bytearray()
        headers = {"Authorization": f"Bearer {self.agent.token}", "Last-Event-ID": "0"}
        with contextlib.suppress(TimeoutError):
            url = f"http://127.0.0.1:{self.agent.port}/v1/events"
            async with (
                asyncio.timeout(0.7),
                aiohttp.ClientSession() as session,
                session.get(url, headers=headers) as response,
            ):
                async for chunk in response.content.iter_any():
                    heard += chunk
        return bytes(heard)

    # ---- the search ----------------------------------------------------------------------------------------------

    def search(self, when: str) -> None:
        """Look through everything that is written now; raises _FoundError at the first canary."""
        for name, content in self.shown.items():
            self._report(f"{name}, {when}", content, {**self.canaries.persons, **self.canaries.keys})
        self.tally.tries += len(self.shown)
        log = self.data.with_name(f"{self.data.name}.log")
        for path, content in files_below(self.data, self.temporary, log):
            own = {f"{path.stem} token"} if path.suffix == ".token" else set()
            names = [name for name in self.canaries.needles if name not in own]
            self._report(f"{path.relative_to(self.folder)}, {when}", content, names)
            self.tally.tries += 1

    def _report(self, where: str, content: bytes, names: Iterable[str]) -> None:
        found = list(self.canaries.found_in(content, names))
        for name, needle in found:
            at = content.find(needle)
            around = content[max(0, at - 60) : at + 80]
            self.tally.breaches.append(f"{name} in {where}: …{around!r}…")
        if found:
            raise _FoundError

    def _opened(self) -> bytes:
        """The sealed rows of the stopped agent's database, opened."""
        sealer = Sealer(load_or_create_keys(self.data / "data.key", None, may_create=False))
        opened = bytearray()
        with contextlib.closing(sqlite3.connect(self.data / "agent.db")) as database:
            for row_id, key_id, content, outcome_key_id, outcome in database.execute(
                "SELECT id, key_id, content, outcome_key_id, outcome FROM operation"
            ):
                opened += sealer.open(content, row_id, "content", key_id) if content else b""
                opened += sealer.open(outcome, row_id, "outcome", outcome_key_id) if outcome else b""
            tables = {"member": ("profile", "points", "tier", "coupons"), "sighting": ("content",)}
            for table, columns in tables.items():
                for column in columns:
                    sql = f"SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL"  # noqa: S608
                    for row_id, sealed in database.execute(sql):
                        opened += sealer.open(sealed[4:], row_id, column, int.from_bytes(sealed[:4], "big"))
        return bytes(opened)

    # ---- the agent -----------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _running(self, base_url: str, **how: Any) -> AsyncIterator["_Call"]:
        """The agent as a process, killed at the end; what it prints is searched, too."""
        environment = {
            "FLASH_AGENT_FLASH__WRITE_KEY": self.canaries.keys["write key"],
            "FLASH_AGENT_LOG__LEVEL": "debug",
            "TMPDIR": str(self.temporary),
        }
        self.agent = AgentProcess(self.data, base_url, **how, **environment)
        try:
            await asyncio.to_thread(self.agent.start)
            async with aiohttp.ClientSession(timeout=LIMIT) as session:
                yield _Call(self, self.agent, session)
        finally:
            self.agent.kill()


class _Call:
    """One request of whoever may do everything."""

    def __init__(self, a_round: _Round, agent: AgentProcess, session: aiohttp.ClientSession) -> None:
        self._round = a_round
        self._base = f"http://127.0.0.1:{agent.port}"
        self._token = (agent.data_dir / "operator.token").read_text()
        self._session = session

    async def __call__(
        self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and answer, parsed where it is JSON; (0, None) where there was none."""
        self._round.requests += 1
        sent = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", **headers}
        data = raw if raw is not None else None if body is None else json.dumps(body, ensure_ascii=False).encode()
        with contextlib.suppress(aiohttp.ClientError, OSError, ValueError):
            async with self._session.request(method, self._base + path, data=data, headers=sent) as response:
                content = await response.read()
                parsed = json.loads(content) if "json" in response.content_type else content
                return response.status, parsed
        return 0, None


def _with_tokens(canaries: Canaries, data: Path) -> Canaries:
    """The same with the local tokens, which exist once the agent has started."""
    tokens = {f"{scope} token": (data / f"{scope}.token").read_text() for scope in ("register", "operator")}
    needles = {name: frozenset({token.encode(), token.encode("utf-16-le")}) for name, token in tokens.items()}
    keys = {**canaries.keys, **tokens}
    return Canaries(canaries.persons, keys, canaries.texts, {**canaries.needles, **needles})


def _quoted(text: str) -> str:
    return text.replace("+", "%2B").replace("@", "%40").replace(" ", "%20")


CAMPAIGN = Campaign(
    name="secrets",
    promise="No customer's data and no key leaves the sealed rows: not in logs, metrics, errors or on the disk",
    unit="places searched",
    run=run,
    controls=(
        Control(
            "nothing is sealed",
            (
                Change(
                    "agent/storage/sealing.py",
                    'nonce + cipher.encrypt(nonce, plain, f"{row_id}/{column}".encode())',
                    "plain",
                ),
                Change(
                    "agent/storage/sealing.py", "            return cipher.decrypt(", "            return sealed or ("
                ),
            ),
        ),
        Control(
            "a log line with the body",
            (
                Change(
                    "agent/api/handlers.py",
                    "def _object_in(body: bytes) -> dict[str, Any]:\n",
                    "def _object_in(body: bytes) -> dict[str, Any]:\n"
                    "    from agent import logs\n    logs.get().debug(f'got {body!r}')\n",
                ),
            ),
        ),
        Control(
            "a metric with a customer's address in a label",
            (
                Change(
                    "agent/members/lookup.py",
                    "    async def by(self, key: Key) -> Look:\n",
                    "    async def by(self, key: Key) -> Look:\n        self.answered[key.subject] = 1\n",
                ),
            ),
        ),
        Control(
            "Flash's words are kept as they are",
            (
                Change("agent/flash/outcome.py", "    return scrubbed(", "    return str("),
                Change("agent/flash/client.py", "    if outcome.fate is not Fate.FAILED:\n", "    if outcome:\n"),
            ),
        ),
        Control(
            "the words of exceptions are logged",
            (Change("agent/tracebacks.py", "    said = _said(error)\n", "    said = str(error)\n"),),
        ),
    ),
)
