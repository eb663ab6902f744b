"""A listener to the agent's events: reads Server-Sent Events off a raw socket, as a register in any language would."""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

LIMIT_S = 15.0


@dataclass(frozen=True)
class Heard:
    """One event."""

    event: str
    id: str | None
    data: Any


class Listener:
    """One open stream. `heard` is what came so far, `comments` how many heartbeats."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.head = ""
        self.heard: list[Heard] = []
        self.comments = 0

    @property
    def status(self) -> int:
        return int(self.head.split(" ")[1])

    @property
    def last_id(self) -> str | None:
        return next((event.id for event in reversed(self.heard) if event.id), None)

    async def begin(self) -> None:
        self.head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")

    async def _chunk(self) -> bytes:
        """The next chunk of the body; empty at its end. Raises EOFError or OSError where the connection broke."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def next(self) -> Heard | None:
        """The next event; None when the agent has ended the stream."""
        block = b""
        while not block.endswith(b"\n\n"):
            if not (chunk := await self._chunk()):
                return None
            block += chunk
        for text in block.decode().split("\n\n"):
            self._take(text)
        return self.heard[-1]

    def _take(self, text: str) -> None:
        if not text or text.startswith(":"):
            self.comments += text.startswith(":")
            return
        fields = dict(re.fullmatch(r"(event|id|data): (.*)", line).groups() for line in text.split("\n"))
        self.heard.append(Heard(fields["event"], fields.get("id"), json.loads(fields["data"])))

    async def until(self, holds: Callable[[list[Heard]], bool], seconds: float = LIMIT_S) -> list[Heard]:
        """Listen until `holds(heard)`; fails when the stream ends first."""
        async with asyncio.timeout(seconds):
            while not holds(self.heard):
                assert await self.next() is not None, f"it ended after {self.heard[-3:]}"
        return self.heard

    async def to_the_end(self) -> list[Heard]:
        """Listen until the agent ends the stream."""
        async with asyncio.timeout(LIMIT_S):
            while await self.next() is not None:
                pass
        return self.heard

    def operations(self) -> dict[str, str]:
        """The last status that was heard, by operation."""
        return {each.data["id"]: each.data["status"] for each in self.heard if each.event == "operation"}


@contextlib.asynccontextmanager
async def listening(
    port: int, token: str, last_id: str | None = None, *, receive_buffer: int | None = None, **headers: str
) -> AsyncIterator[Listener]:
    """Open a stream; `receive_buffer` in bytes makes a reader that soon has no room."""
    connection = socket.socket()
    if receive_buffer is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
    options = {} if receive_buffer is None else {"limit": receive_buffer}
    reader, writer = await asyncio.open_connection(sock=connection, **options)
    sent = {"Host": f"127.0.0.1:{port}", "Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    if last_id is not None:
        sent["Last-Event-ID"] = last_id
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = ["GET /v1/events HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items()), "", ""]
    writer.write("\r\n".join(lines).encode())
    listener = Listener(reader, writer)
    try:
        await asyncio.wait_for(listener.begin(), LIMIT_S)
        yield listener
    finally:
        writer.transport.abort()
