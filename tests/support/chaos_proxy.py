"""A TCP proxy in userland between the agent and whoever answers for Flash; it spoils connections to order.

Each connection is conducted as was ordered when it was made. An order cuts the connections that there are (a reset),
except that a vanished peer says nothing at all: no byte, no FIN, for as long as its client holds on. Runs in the event
loop of the caller; what is random comes from its seed. It reads HTTP only where an answer's body is to be cut or torn.
"""

import asyncio
import contextlib
import os
import random
import re
import socket
import struct
from collections import Counter
from enum import StrEnum

CHUNK = 65536
DRIP_S = 1.0
FILLERS = 4  # connections of our own that fill a queue of one; the kernel keeps one or two more than it says
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset instead of a FIN


class Conduct(StrEnum):
    """What becomes of a connection."""

    FAIR = "fair"
    REFUSED = "refused"  # nobody listens
    UNACCEPTED = "unaccepted"  # the queue of connections is full: the handshake of TCP itself gets no answer
    BLACK_HOLE = "black hole"  # accepted, read, never answered
    HALF_OPEN = "half-open"  # the connections that there are go dead without a word, new ones are black holes
    RESET_REQUEST = "reset mid-request"
    RESET_ANSWER = "reset mid-answer"  # inside the body
    TORN = "torn answer"  # a length that is longer than the body that comes, then a FIN
    DRIP = "a byte a second"  # both ways


class ChaosProxy:
    """Listens on 127.0.0.1:`port`; fair until ordered otherwise. `upstream` is (host, port)."""

    def __init__(self, upstream: tuple[str, int], seed: int = 0) -> None:
        self.upstream = upstream
        self.conduct = Conduct.FAIR
        self.made: Counter[Conduct] = Counter()  # connections, by what they met
        self._chance = random.Random(seed)
        self._listener = _bound(0)
        self.port = int(self._listener.getsockname()[1])
        self._accepting: asyncio.Task[None] | None = None
        self._open: set[_Conversation] = set()
        self._dead: set[_Conversation] = set()
        self._fillers: list[socket.socket] = []

    async def __aenter__(self) -> "ChaosProxy":
        self._listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop_accepting()
        self._listener.close()
        self._empty_queue()
        ending = [*self._open, *self._dead]
        for conversation in ending:
            conversation.cut()
        await asyncio.gather(*(conversation.task for conversation in ending), return_exceptions=True)

    async def order(self, conduct: Conduct, upstream: tuple[str, int] | None = None) -> None:
        """From now on connections are conducted so, and lead there."""
        await self._stop_accepting()
        self._empty_queue()
        self.conduct = conduct
        self.upstream = upstream or self.upstream
        for conversation in list(self._open):
            if conduct is Conduct.HALF_OPEN or conversation.is_silent:
                conversation.die()
                self._open.discard(conversation)
                self._dead.add(conversation)
            else:
                conversation.cut()
        if conduct is Conduct.REFUSED:
            self._listener.close()
            self._listener = _bound(self.port)
        elif conduct is Conduct.UNACCEPTED:
            self._listener.listen(0)
            self._fill_queue()
        else:
            self._listen()

    # ---- the listening socket -------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._listener.listen(512)
        self._accepting = asyncio.create_task(self._accept())

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            made, _ = await loop.sock_accept(self._listener)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.made[self.conduct] += 1
            conversation = _Conversation(made, self.conduct, self.upstream, self._chance)
            self._open.add(conversation)
            conversation.task.add_done_callback(lambda _, done=conversation: self._forget(done))

    def _forget(self, conversation: "_Conversation") -> None:
        self._open.discard(conversation)
        self._dead.discard(conversation)

    async def _stop_accepting(self) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._accepting
            self._accepting = None

    def _fill_queue(self) -> None:
        for _ in range(FILLERS):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def _empty_queue(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()


def _bound(port: int) -> socket.socket:
    """A socket that holds the port without listening: it refuses connections, and nobody else can take it."""
    bound = socket.socket()
    if os.name == "posix":
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    bound.setblocking(False)
    return bound


class _Conversation:
    """One connection of a client, and the one behind it."""

    def __init__(
        self, client: socket.socket, conduct: Conduct, upstream: tuple[str, int], chance: random.Random
    ) -> None:
        self._socket = client
        self._conduct = conduct
        self._upstream = upstream
        self._request_bytes = chance.randrange(1, 500)
        self._share = chance.random()  # of an answer's body that comes through
        self._alive = asyncio.Event()
        self._alive.set()
        self._writers: list[asyncio.StreamWriter] = []
        self.task = asyncio.create_task(self._run())

    @property
    def is_silent(self) -> bool:
        return self._conduct in {Conduct.BLACK_HOLE, Conduct.HALF_OPEN}

    def die(self) -> None:
        """The peer vanished: what is written is swallowed, nothing comes any more, not even an end."""
        self._alive.clear()

    def cut(self) -> None:
        """Reset it, on both sides."""
        for writer in self._writers:
            writer.transport.abort()
        self.task.cancel()

    async def _run(self) -> None:
        try:
            reader, writer = await asyncio.open_connection(sock=self._socket)
            self._writers.append(writer)
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await self._hold(reader, writer)
        finally:
            for each in self._writers:
                each.transport.abort()
            self._socket.close()

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match self._conduct:
            case Conduct.BLACK_HOLE | Conduct.HALF_OPEN:
                while await reader.read(CHUNK):
                    pass
                return
            case Conduct.RESET_REQUEST:
                await reader.readexactly(self._request_bytes)
                return
        back_reader, back_writer = await asyncio.open_connection(*self._upstream)
        self._writers.append(back_writer)
        match self._conduct:
            case Conduct.RESET_ANSWER | Conduct.TORN:
                there = asyncio.create_task(self._pump(reader, back_writer))
                try:
                    await self._spoil_answer(back_reader, writer)
                finally:
                    there.cancel()
            case conduct:
                step = self._drip if conduct is Conduct.DRIP else self._pump
                ways = [asyncio.create_task(step(reader, back_writer)), asyncio.create_task(step(back_reader, writer))]
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                if not self._alive.is_set() and reader.exception() is None and not reader.at_eof():
                    while await reader.read(CHUNK):
                        pass

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self._alive.is_set():
                    writer.write(data)
                    await writer.drain()

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1):
                if self._alive.is_set():
                    writer.write(data)
                    await writer.drain()
                await asyncio.sleep(DRIP_S)  # this is the weather

    async def _spoil_answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"(?i)content-length: *(\d+)", head)
        body = await reader.readexactly(int(found[1]) if found else 0)
        if self._conduct is Conduct.TORN:
            head = re.sub(rb"(?i)content-length: *\d+", b"Content-Length: %d" % (len(body) + 100), head)
            writer.write(head + body)
            writer.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0)
            )
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        else:
            writer.write(head + body[: int(len(body) * self._share)])
            await writer.drain()
