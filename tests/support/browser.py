"""Chromium without a window, driven over its DevTools protocol: real pages of real origins, against a real agent."""

import asyncio
import contextlib
import json
import re
import shutil
import ssl
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from aiohttp import web

LIMIT_S = 30.0
_LISTENS = re.compile(rb"DevTools listening on (ws://\S+)")
_PAGE = "<!doctype html><meta charset=utf-8><title>a page</title><body></body>"


def chromium() -> str | None:
    """Where the browser is, None where there is none."""
    return shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")


def missing() -> str | None:
    """What is missing here, with the line that mends it."""
    return None if chromium() else "there is no Chromium (sudo apt-get install chromium)"


class Page:
    """One tab."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser = browser
        self._session = session

    async def go(self, url: str) -> None:
        """Navigate, and wait until the page is there."""
        await self._browser.command("Page.enable", self._session)
        await self._browser.command("Network.enable", self._session)
        loaded = self._browser.event("Page.loadEventFired", self._session)
        answer = await self._browser.command("Page.navigate", self._session, url=url)
        assert "errorText" not in answer, answer
        await asyncio.wait_for(loaded, LIMIT_S)

    @property
    def heard(self) -> list[int]:
        """The status of each answer that the browser got for this page, whether or not the page was let see it."""
        return self._browser.heard[self._session]

    async def run(self, script: str, *arguments: Any) -> Any:
        """Call an (async) JavaScript function with the arguments; its result, as JSON has it."""
        answer = await self._browser.command(
            "Runtime.evaluate",
            self._session,
            expression=f"({script})(...{json.dumps(arguments)})",
            awaitPromise=True,
            returnByValue=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")


class Browser:
    """One browser process with a profile of its own."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[tuple[str, str], asyncio.Future[None]] = {}
        self.heard: dict[str, list[int]] = defaultdict(list)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            if waiting := self._answers.pop(said.get("id"), None):
                waiting.set_result(said)
            elif said.get("method") == "Network.responseReceivedExtraInfo":
                self.heard[said["sessionId"]].append(said["params"]["statusCode"])
            elif happened := self._events.pop((said.get("method"), said.get("sessionId")), None):
                happened.set_result(None)

    def event(self, name: str, session: str) -> asyncio.Future[None]:
        """Done when this happens next."""
        return self._events.setdefault((name, session), asyncio.get_running_loop().create_future())

    async def command(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol; its result."""
        self._number += 1
        waiting = self._answers[self._number] = asyncio.get_running_loop().create_future()
        target = {} if session is None else {"sessionId": session}
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters, **target})
        answer = await asyncio.wait_for(waiting, LIMIT_S)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    async def version(self) -> int:
        """The number before the first dot."""
        product = (await self.command("Browser.getVersion"))["product"]
        return int(product.rpartition("/")[2].partition(".")[0])

    async def page(self, url: str) -> Page:
        """A new tab that shows this."""
        target = (await self.command("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.command("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = Page(self, session)
        await page.go(url)
        return page

    async def allow_loopback(self, origin: str, setting: str = "granted") -> None:
        """What a fleet's policy, or a person at the prompt, says to pages of this origin that call the till itself."""
        await self.command(
            "Browser.setPermission", permission={"name": "loopback-network"}, setting=setting, origin=origin
        )

    async def close(self) -> None:
        with contextlib.suppress(AssertionError, TimeoutError, ConnectionError):
            await self.command("Browser.close")
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)


@contextlib.asynccontextmanager
async def browsing(*flags: str) -> AsyncIterator[Browser]:
    """A browser; names under `.test` lead to this machine."""
    found = chromium()
    assert found is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            found,
            "--headless=new",
            "--no-sandbox",  # a test may run as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--ignore-certificate-errors",
            "--remote-debugging-port=0",
            "--host-resolver-rules=MAP *.test 127.0.0.1",
            f"--user-data-dir={profile}",
            *flags,
            "about:blank",
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stderr is not None
            async with asyncio.timeout(LIMIT_S):
                while not (listens := _LISTENS.search(line := await process.stderr.readline())):
                    assert line, "the browser did not start"
            rest = asyncio.create_task(_read_away(process.stderr))
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(listens[1].decode(), max_msg_size=0) as socket,
            ):
                browser = Browser(socket)
                yield browser
                await browser.close()
            await asyncio.wait_for(process.wait(), LIMIT_S)
            await rest
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _read_away(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


@contextlib.asynccontextmanager
async def pages(folder: Path, *, tls: bool) -> AsyncIterator[int]:
    """A web server of empty pages, on a port of 127.0.0.1."""

    async def empty(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=_PAGE, content_type="text/html")

    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("*.test").configure_cert(context)
    runner = web.ServerRunner(web.Server(empty, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
