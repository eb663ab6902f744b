"""Server-Sent Events over HTTP: a response that goes on until its stream ends."""

import asyncio
import socket

from aiohttp import hdrs, web

from agent.events import Stream

BUFFER_BYTES = 64 * 1024


class EventStream(web.StreamResponse):
    """What a handler returns; aiohttp sends the head, with whatever headers the server has set, and then the body."""

    def __init__(self, stream: Stream) -> None:
        # X-Accel-Buffering: a reverse proxy of the store's own must not hold events back.
        super().__init__(headers={hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"})
        self.content_type = "text/event-stream"
        self._stream = stream

    async def write_eof(self, data: bytes = b"") -> None:
        """The body: all events, as they come."""
        await self._stream.run(self.write)
        await super().write_eof(data)


def keep_small(transport: asyncio.Transport) -> None:
    """What waits for a reader in the kernel is bounded too; left to itself Linux lets it grow to megabytes."""
    transport.set_write_buffer_limits(high=BUFFER_BYTES)
    if connection := transport.get_extra_info("socket"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
