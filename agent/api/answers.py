"""An answer whose status, headers and body leave in one write, rendered here.

aiohttp parses the requests, keeps the connections and calls `prepare` and `write_eof`, as for any answer. Its own
rendering (a case-insensitive multidict of headers, cookies, compression, chunks) took 13 of the 35 µs that a request
costs it; what a register gets needs none of that. Anything that is more than a whole body, a stream say, is an ordinary
`web.StreamResponse`.

The answers of one turn of the event loop are written together at its end (`Departures`). A group commit makes many
answers ready at once, and a write that wakes a sleeping register costs three times one that finds it awake.
"""

import asyncio
import functools
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from aiohttp.http import HttpVersion11

from agent.api import web

# No page of another origin gets an answer into its process, not even one that it cannot read, and none is guessed at.
FOR_BROWSERS = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
_PLAIN = {"Cache-Control": "no-store", "Content-Type": "application/json"}


class Departures:
    """What is to be written at the end of this turn of the event loop, in the order in which it was handed in."""

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def add(self, transport: asyncio.Transport, data: bytes) -> None:
        """Write it soon."""
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.leave)
        self._waiting.append((transport, data))

    def leave(self) -> None:
        """Write it now."""
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            if not transport.is_closing():
                transport.write(data)


class Answer(web.Response):
    """JSON unless the headers say otherwise; never cached. `headers` can be changed until it is written."""

    # StreamResponse's own __init__ is left out on purpose: nothing of what it sets up is used here.
    def __init__(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._whole = body
        self._code = status
        self._named = {**_PLAIN, **headers} if headers else _PLAIN.copy()
        self._request: web.BaseRequest | None = None
        self.departures: Departures | None = None  # None: written at once

    @property
    def headers(self) -> dict[str, str]:  # type: ignore[override]
        """By name as it is written."""
        return self._named

    @property
    def status(self) -> int:
        """The status code."""
        return self._code

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open after this: as the request asked."""
        return self._request is not None and self._request.keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        """Called by aiohttp before `write_eof`."""
        self._request = request

    async def write_eof(self, data: Any = b"") -> None:  # noqa: ARG002 - as aiohttp has it
        """Write everything; raises ConnectionError when the register has hung up."""
        request, body = self._request, self._whole
        if request is None or (transport := request.transport) is None or transport.is_closing():
            raise ConnectionResetError("The register has hung up.")
        lasting, old = request.keep_alive, request.version < HttpVersion11
        head = _head(self._code, tuple(self._named.items()), lasting, old)
        fields = b"%bDate: %b\r\nContent-Length: %d\r\n\r\n" % (head, _date(int(time.time())), len(body))
        whole = fields if request.method == "HEAD" else fields + body
        departures = self.departures
        if departures is not None and lasting and not transport.get_write_buffer_size():
            departures.add(transport, whole)
            return
        # The connection may be closed as soon as this returns, or the register does not read what it asked for.
        if departures is not None:
            departures.leave()
        await request.writer.write(whole)


@functools.lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...], lasting: bool, old: bool) -> bytes:
    """Status line and headers; registers get the same ones again and again."""
    lines = [f"HTTP/1.{0 if old else 1} {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in (*headers, *FOR_BROWSERS.items())]
    if old and lasting:
        lines.append("Connection: keep-alive")
    elif not old and not lasting:
        lines.append("Connection: close")
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header's line does not end where it should")
    return ("\r\n".join(lines) + "\r\n").encode()


@functools.lru_cache(maxsize=2)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
