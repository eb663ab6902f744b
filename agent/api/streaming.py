"""Server-Sent Events over HTTP: a response that goes on until its stream ends."""

import asyncio
import socket

from aiohttp import hdrs
from aiohttp.abc import AbstractStreamWriter

from agent.api import web
from agent.api.answers import FOR_BROWSERS
from agent.events import Stream

BUFFER_BYTES = 64 * 1024


class EventStream(web.StreamResponse):
    """What a handler returns; aiohttp sends the head, with whatever headers the server has set, and then the body."""

    def __init__(self, stream: Stream) -> None:
        # X-Accel-Buffering: a reverse proxy of the store's own must not hold events back.
        super().__init__(headers={hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no", **FOR_BROWSERS})
        self.content_type = "text/event-stream"
        self.force_close()  # nothing more is read from this connection
        self._stream = stream

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """The head; from here on the connection only tells whether the listener is there."""
        if request.transport is not None:
            request.transport.set_protocol(_Deaf(request.protocol))
            request.transport.resume_reading()
        return await super().prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """The body: all events, as they come."""
        await self._stream.run(self.write)
        await super().write_eof(data)


class _Deaf(asyncio.Protocol):
    """In place of aiohttp's protocol, which stops reading when much is sent behind the request.

    Then it would not notice that the listener has gone, and the place of the stream would stay taken.
    """

    def __init__(self, behind: web.RequestHandler) -> None:
        self._behind = behind

    def pause_writing(self) -> None:
        """The listener does not read."""
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        self._behind.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        self._behind.connection_lost(exc)


def keep_small(transport: asyncio.Transport) -> None:
    """What waits for a reader in the kernel is bounded too; left to itself Linux lets it grow to megabytes."""
    transport.set_write_buffer_limits(high=BUFFER_BYTES)
    if connection := transport.get_extra_info("socket"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
