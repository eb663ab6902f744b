"""An answer whose status, headers and body leave in one write, rendered here.

aiohttp parses the requests, keeps the connections and calls `prepare` and `write_eof`, as for any answer. Its own
rendering (a case-insensitive multidict of headers, cookies, compression, chunks) took 13 of the 35 µs that a request
costs it; what a register gets needs none of that. Anything that is more than a whole body, a stream say, is an ordinary
`web.StreamResponse`.
"""

import functools
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from aiohttp import HttpVersion11, web

_PLAIN = {"Cache-Control": "no-store", "Content-Type": "application/json"}


class Answer(web.Response):
    """JSON unless the headers say otherwise; never cached. `headers` can be changed until it is written."""

    # StreamResponse's own __init__ is left out on purpose: nothing of what it sets up is used here.
    def __init__(self, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self._whole = body
        self._code = status
        self._named = {**_PLAIN, **headers} if headers else _PLAIN.copy()
        self._request: web.BaseRequest | None = None

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
        assert request is not None, "prepared first"  # noqa: S101
        old = request.version < HttpVersion11
        head = _head(self._code, tuple(self._named.items()), request.keep_alive, old)
        length = len(body)
        if request.method == "HEAD":
            body = b""
        await request.writer.write(
            b"%bDate: %b\r\nContent-Length: %d\r\n\r\n%b" % (head, _date(int(time.time())), length, body)
        )


@functools.lru_cache(maxsize=256)
def _head(status: int, headers: tuple[tuple[str, str], ...], lasting: bool, old: bool) -> bytes:
    """Status line and headers; registers get the same ones again and again."""
    lines = [f"HTTP/1.{0 if old else 1} {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers]
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
