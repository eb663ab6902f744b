"""Who may stand where Flash is expected: somebody else behind TLS, a portal, a redirect's goal.

Each notes what it hears. They run in the event loop of the caller.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable

CHUNK = 65536
YES = b'{"data": {"awarded": 1000, "balance": 9999, "memberId": "mem_x", "id": "mem_x", "clawedBack": 1}}'


class _Listener:
    """Listens on 127.0.0.1:`port`; `heard` is every byte that anybody said here (inside TLS, where there is TLS)."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._context = context
        self.heard = bytearray()
        self.port = 0

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    async def __aenter__(self) -> "_Listener":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A cancelled one ends in silence: the end of the loop would be reported as an error of asyncio's own.
            with contextlib.suppress(OSError, EOFError, ssl.SSLError, asyncio.CancelledError):
                await self._converse(reader, writer)
        finally:
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class TlsFront(_Listener):
    """Speaks TLS with the certificate that it was given, and passes on what it hears in clear."""

    def __init__(self, context: ssl.SSLContext, upstream: tuple[str, int]) -> None:
        super().__init__(context)
        self._upstream = upstream

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection(*self._upstream)
        ways = [
            asyncio.create_task(self._pump(reader, back_writer, self.heard)),
            asyncio.create_task(self._pump(back_reader, writer, None)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            back_writer.transport.abort()

    @staticmethod
    async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray | None) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):
            while data := await reader.read(CHUNK):
                if heard is not None:
                    heard.extend(data)
                writer.write(data)
                await writer.drain()


class Stranger(_Listener):
    """Answers every HTTP request with `answer(target)`: status, headers, body."""

    def __init__(
        self,
        answer: Callable[[str], tuple[int, dict[str, str], bytes]],
        context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(context)
        self._answer = answer

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            first = await reader.read(1)  # whatever is said counts as heard, HTTP or not
            if not first:
                return
            self.heard.extend(first)
            head = first + await reader.readuntil(b"\r\n\r\n")
            self.heard.extend(head[1:])
            lines = head.decode("latin-1").split("\r\n")
            length = next((int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")), 0)
            self.heard.extend(await reader.readexactly(length))
            status, headers, body = self._answer(lines[0].split(" ")[1])
            sent = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
            said = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
            writer.write(f"HTTP/1.1 {status} Said\r\n{said}\r\n".encode() + body)
            await writer.drain()


def witness(context: ssl.SSLContext | None = None) -> Stranger:
    """A stranger that would say yes to anything, and should hear nothing."""
    return Stranger(lambda _: (200, {}, YES), context)


def portal() -> Stranger:
    """A guest network's page, with 200."""
    page = b"<!doctype html><html><title>Welcome</title><form action=/login></form></html>"
    return Stranger(lambda _: (200, {"Content-Type": "text/html"}, page))


def redirecting(status: int, to: str) -> Stranger:
    """Sends everybody to another address: the same path there."""
    return Stranger(lambda target: (status, {"Location": to + target}, b""))
