"""All streams of one agent, and the one reader that feeds them while there are any.

Built by the composition root; told by the outbox (`changes`), the line and the conditions (`touch`) that something may
be new, and by the HTTP server that a connection is gone (`lost`). Where the store cannot be read, streams go on telling
line and conditions, and operations when it can be read again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agent import logs, tasks
from agent.clock import Clock
from agent.errors import Refusal, StorageUnavailableError, TooManyStreamsError
from agent.events.ring import Ring
from agent.events.stream import Numbering, Stream, frame
from agent.health import Health
from agent.outbox.changes import Change
from agent.outbox.history import Cursor, Page
from agent.outbox.line import Line
from agent.outbox.operation import Operation
from agent.outbox.state import Status
from agent.outbox.store import Store

MAX_STREAMS = 16
REGISTER_STREAMS = 12  # the rest is for operators: a console gets in whatever the registers do
RING_EVENTS = 1000
RING_BYTES = 1024 * 1024
PAGE = 50
PACE_S = 0.02  # between pages, so that a burst of sales is not read one by one
_WAITS_FOR_A_PERSON = {Status.FAILED, Status.DISCARDED}


class Events:
    """Opens streams, at most so many, and keeps what is new for them."""

    def __init__(
        self,
        store: Store,
        line: Line,
        health: Health,
        clock: Clock,
        show: Callable[[Operation], dict[str, Any]],
        *,
        heartbeat_s: float = 15.0,
        write_limit_s: float = 30.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._show = show
        self._log = logs.get()
        self._streams: dict[object, Stream] = {}
        self._ring: Ring | None = None
        self._numbering: Numbering | None = None
        self._dirty = asyncio.Event()
        self._opening = asyncio.Lock()
        self._reading = asyncio.Lock()
        self._feeder: asyncio.Task[None] | None = None
        self._stopped = False
        self.heartbeat_s = heartbeat_s
        self.write_limit_s = write_limit_s
        self.line = line
        self.health = health
        self.recount: Callable[[], Awaitable[object]] | None = None  # when something failed, or is no longer failed

    def __len__(self) -> int:
        return len(self._streams)

    async def open(
        self, connection: object, abort: Callable[[], None], limit: int, last_id: str | None, owner: str = ""
    ) -> Stream:
        """A stream of what happens from now on, or since `last_id`, for a connection, which `abort` ends at once.

        `owner` is whose token opened it.

        Raises TooManyStreamsError where `limit` streams are open.
        """
        if self._stopped:
            raise StorageUnavailableError("The agent is shutting down.", retry_after_s=5)
        if len(self._streams) >= limit:
            raise TooManyStreamsError(
                f"{len(self._streams)} streams of events are open already; share one, or close one.", retry_after_s=15
            )
        if self._feeder is None:
            self._store.changes.listen(self._told)
            self._dirty.set()
            self._feeder = asyncio.create_task(self._feed(), name="events")
        stream = Stream(self, abort, lambda: self._forget(connection), last_id)
        stream.owner = owner
        self._streams[connection] = stream
        try:
            await stream.begin()
        except Refusal:
            pass  # the store cannot be read now; the stream begins when it can
        except BaseException:
            stream.end()
            raise
        return stream

    def lost(self, connection: object) -> None:
        """A connection is gone; if a stream was on it, that ends."""
        if stream := self._streams.get(connection):
            stream.end()

    def end_of(self, owner: str) -> None:
        """Nothing more is told to this client."""
        for stream in [stream for stream in self._streams.values() if stream.owner == owner]:
            stream.end()

    def touch(self) -> None:
        """The line or the conditions may have changed, or the store may be readable again."""
        if self._streams:
            self._dirty.set()
            self._wake()

    async def stop(self) -> None:
        """End every stream at once."""
        self._stopped = True
        for stream in list(self._streams.values()):
            stream.end()
        await tasks.end(self._feeder)  # it may be waiting for a slow disk

    def _forget(self, connection: object) -> None:
        self._streams.pop(connection, None)
        self._dirty.set()  # with the last stream the feeding ends

    def _told(self, _changes: Sequence[Change]) -> None:
        self._dirty.set()

    def _wake(self) -> None:
        for stream in self._streams.values():
            stream.wake()

    async def _feed(self) -> None:
        """Read what is new, once for all streams, for as long as there are any."""
        try:
            while self._streams:
                await self._dirty.wait()
                self._dirty.clear()
                try:
                    await self._feed_once()
                except Refusal:
                    pass  # a condition says so, and touches us when it is over
                except Exception:  # noqa: BLE001 - the streams go on
                    self._log.exception("events cannot be read")
                if self._streams:
                    await self._clock.sleep(PACE_S)
        finally:
            self._store.changes.ignore(self._told)
            self._ring = None
            self._feeder = None

    async def _feed_once(self) -> None:
        ring, numbering = await self.ready()
        page = await self._store.history.after(ring.end, PAGE)
        for place, event in self.frames(page, numbering):
            ring.add(place, event)
        ring.end = page.end
        if page.behind > 0:
            self._dirty.set()
        self._wake()
        if self.recount and any(operation.status in _WAITS_FOR_A_PERSON for _, operation in page.operations):
            await self.recount()

    async def ready(self) -> tuple[Ring, Numbering]:
        """The ring, which begins now where there was none; raises what the store raises."""
        async with self._opening:
            if self._numbering is None:
                self._numbering = Numbering(await self._store.history.epoch())
            if self._ring is None:
                self._ring = Ring(await self._store.history.newest(), RING_EVENTS, RING_BYTES)
            return self._ring, self._numbering

    async def read_for(self, place: Cursor) -> Page:
        """A page for one stream that is behind the ring; for all of them together so many a second."""
        async with self._reading:
            page = await self._store.history.after(place, PAGE)
            await self._clock.sleep(PACE_S)
            return page

    def frames(self, page: Page, numbering: Numbering) -> list[tuple[Cursor, bytes]]:
        """A page's events, encoded, each with the place behind it; one that cannot be shown holds up no other."""
        told = []
        for place, operation in page.operations:
            try:
                told.append((place, frame("operation", numbering.spell(place), self._show(operation))))
            except Exception:  # noqa: BLE001 - as above
                self._log.exception("an event cannot be told", operation=operation.id)
        return told
