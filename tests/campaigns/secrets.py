"""Invented customers and keys through every path there is, then a search for them in everything that is written.

Rounds of a till's life: ordinary traffic and every kind of bad request; a Flash that repeats what it was sent in its
errors; an agent with faults built in, whose exceptions hold whole documents; a rotation; `forget`; a damaged database.
After each, log, data directory (database, write-ahead log, quarantine), temporary files, metrics, events and what the
commands print for support are searched for every canary in many spellings. After `forget` the sealed rows are opened,
too.
"""

import asyncio
import base64
import contextlib
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import aiohttp

from agent.storage import KeyFile, Sealer
from agent.storage.protection import CREDENTIAL
from tests.support.agents import AgentProcess, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally
from tests.support.canaries import Canaries, files_below
from tests.support.canary_till import CanaryTill, quoted
from tests.support.commands import flash_agent
from tests.support.echoing_flash import Echo, echoing_flash
from tests.support.strict_flash import StrictFlash
from tests.support.weakened import Change, environment_of, weakened_copy

ROUNDS = {Size.SHORT: 1, Size.LONG: 40}
LIMIT = aiohttp.ClientTimeout(total=30)
FAULTS = (
    Change(
        "agent/api/calls.py",
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
        handed = folder / "credentials"
        handed.mkdir()
        (handed / CREDENTIAL).write_text(f"{chance.randbytes(32).hex()}")
        self.credentials = {"CREDENTIALS_DIRECTORY": str(handed)}
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
        async with self._running(flash.base_url) as till:
            self.canaries = self.canaries.with_keys(await self._given_out(till))
            flash.add_key(self.canaries.keys["kept key"], "t1", "read")
            await till.sells("day")
            await till.sends_rubbish()
            flash.poison("day-2", 422)
            await till.sells("day", first=2)
            await till.call("POST", "/v1/data-key/rotate")
            await self._looks_at(till)
            self.search("while it serves")
        self.search("after kill -9")

    async def _echoes(self, echo: Echo) -> None:
        async with self._running(echo.base_url) as till:
            await till.sells("echo", wait=0.2)
            await till.call("POST", "/v1/key/confirm")
            for number in range(9):
                await till.call("POST", "/v1/sales", till.sale(f"echo-more-{number}"), Prefer="wait=0.4")
            await till.call("POST", "/v1/enrollments", till.member(), Prefer="wait=1")
            await till.call("GET", f"/v1/members?email={quoted(self.canaries.persons['email'])}")
            await asyncio.to_thread(echo.wait_for, 20, 5)
            await self._looks_at(till)
            self.search("after Flash repeated everything")

    async def _faults(self, flash: StrictFlash) -> None:
        copy = weakened_copy(self.folder / "faulty", FAULTS)

        def launch(
            arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]
        ) -> "subprocess.Popen[bytes]":
            changed = {**environment, **environment_of(copy), **{n: v for n, v in environment.items() if "FLASH" in n}}
            changed["TMPDIR"] = environment["TMPDIR"]
            return subprocess.Popen([sys.executable, "-m", "agent", *arguments], env=changed, stderr=log, cwd=copy)

        async with self._running(flash.base_url, launch=launch) as till:
            for path in ("/v1/enrollments", "/v1/refunds", "/v1/redemptions", "/v1/members/forget"):
                status, _ = await till.call("POST", path, {**till.member(), "boom": "boom"})
                if status != 500:
                    raise AssertionError(f"{path}: the fault that was built in did not fire: {status}")
            await till.call("POST", "/v1/sales", till.sale("bang-1"), Prefer="wait=1")
            await self._looks_at(till)
            self.search("after faults of the agent's own")

    async def _forgotten(self, flash: StrictFlash) -> None:
        before = self._opened()
        if not set(self.canaries.persons) <= {name for name, _ in self.canaries.found_in(before)}:
            raise AssertionError("the sealed rows could not be opened, so that nothing is shown by looking into them")
        async with self._running(flash.base_url) as till:
            await self._gives_up_what_failed(till)
            for key in ("email", "externalId"):
                value = self.canaries.persons["email" if key == "email" else "external id"]
                await till.call("POST", "/v1/members/forget", {key: value})
            self.search("after forget, while it serves")
        self.tally.tries += 1
        self._report("the opened rows after forget", self._opened(), self.canaries.persons)

    async def _damage(self, flash: StrictFlash) -> None:
        async with self._running(flash.base_url) as till:
            await till.sells("late")
        database = self.data / "agent.db"
        content = database.read_bytes()
        database.write_bytes(content[:4096] + b"damaged " * 4 + content[4128:])
        async with self._running(flash.base_url) as till:
            await self._looks_at(till)
            self.search("with a database in quarantine")

    # ---- what operators and support do ---------------------------------------------------------------------------

    async def _gives_up_what_failed(self, till: CanaryTill) -> None:
        reason = {"reason": self.canaries.texts["reason"]}
        for _ in range(100):
            _, page = await till.call("GET", "/v1/operations?status=failed&limit=200")
            for operation in page["operations"]:
                way = {**reason, "burned": False} if operation["kind"] == "redemption" else reason
                await till.call("POST", f"{operation['href']}/{'close' if 'burned' in way else 'discard'}", way)
            _, page = await till.call("GET", "/v1/operations?kind=redemption&limit=200")
            for operation in page["operations"]:
                if operation["credit"] == "open":
                    await till.call("POST", f"{operation['href']}/close", reason)
            _, status = await till.call("GET", "/v1/status")
            if not status["pending"] + status["failed"] + status["redemptions"]["creditsOpen"]:
                return
            await asyncio.sleep(0.2)
        raise AssertionError("what is open did not come to an end, so that forget has nothing to show")

    async def _given_out(self, till: CanaryTill) -> dict[str, str]:
        """Keys that exist once the agent has started: its tokens, a client's, a Flash key to keep, the data keys."""
        keys = {f"{scope} token": (self.data / f"{scope}.token").read_text() for scope in ("register", "operator")}
        _, made = await till.call("POST", "/v1/tokens", {"name": "lane-3"})
        keys |= {"lane-3 token": made["token"], "kept key": f"fl_live_Kept{self.chance.randrange(10**12):012}"}
        status, _ = await till.call("POST", "/v1/key", {"which": "read", "key": keys["kept key"], "force": True})
        if status != 200:
            raise AssertionError(f"the key was not kept: {status}")
        opened = KeyFile(self.data / "data.key", "auto", self.credentials).load_or_create(None, may_create=False)
        return keys | {"data key": base64.b64encode(opened.sealing[1]).decode()}

    async def _looks_at(self, till: CanaryTill) -> None:
        """What is shown to support, and what a listener hears."""
        self.shown = {}
        for path in ("/metrics", "/v1/status", "/v1/operations?limit=200", "/v1/summary?businessDate=2026-11-25",
                     "/v1/exposure", "/v1/sync", "/v1/drill", "/v1/diagnostics", "/healthz", "/readyz",
                     "/openapi.json"):  # fmt: skip
            _, answer = await till.call("GET", path)
            self.shown[path] = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
        self.shown["/v1/events"] = await self._events()
        place = ("--data-dir", self.data)
        settings = {"FLASH_AGENT_FLASH__WRITE_KEY": self.canaries.keys["write key"]}
        bundle = self.temporary.with_name("support.zip")
        bundle.unlink(missing_ok=True)
        commands = (
            ("status", *place),
            ("operations", "list", *place),
            ("config", "check", *place),
            ("doctor", "--json", "--offline", *place),
            ("support-bundle", "--offline", "--output", bundle, *place),
        )
        done_at_once = [asyncio.to_thread(flash_agent, *command, **settings) for command in commands]
        for command, done in zip(commands, await asyncio.gather(*done_at_once), strict=True):
            self.shown[f"flash-agent {' '.join(map(str, command[:2]))}"] = (done.stdout + done.stderr).encode()
        with zipfile.ZipFile(bundle) as archive:
            self.shown |= {f"support-bundle: {name}": archive.read(name) for name in archive.namelist()}

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
        kept = KeyFile(self.data / "data.key", "auto", self.credentials)
        sealer = Sealer(kept.load_or_create(None, may_create=False))
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
    async def _running(self, base_url: str, **how: Any) -> AsyncIterator[CanaryTill]:
        """The agent as a process, killed at the end; what it prints is searched, too."""
        environment = {
            "FLASH_AGENT_FLASH__WRITE_KEY": self.canaries.keys["write key"],
            "FLASH_AGENT_LOG__LEVEL": "debug",
            "TMPDIR": str(self.temporary),
            **self.credentials,
        }
        self.agent = AgentProcess(self.data, base_url, **how, **environment)
        try:
            await asyncio.to_thread(self.agent.start)
            async with aiohttp.ClientSession(timeout=LIMIT) as session:
                till = CanaryTill(self.canaries, self.agent, session)
                try:
                    yield till
                finally:
                    self.requests += till.requests
        finally:
            self.agent.kill()


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
            "a Flash key that is kept as it is",
            (
                Change(
                    "agent/storage/keyfile.py",
                    '        if chosen.name != "file":\n',
                    '        if path.name == "data.key":\n',
                ),
            ),
        ),
        Control(
            "a log line with the body",
            (
                Change(
                    "agent/api/calls.py",
                    "def object_in(body: bytes) -> dict[str, Any]:\n",
                    "def object_in(body: bytes) -> dict[str, Any]:\n"
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
