"""One listener: a place in the outbox's history, and what it was last told of line and conditions."""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from agent import jsons
from agent.clock import rfc3339
from agent.errors import Refusal
from agent.events.ring import Ring
from agent.health import Health
from agent.outbox.history import Cursor, Page
from agent.outbox.line import Line

MAX_BEHIND = 10_000
CHUNK_BYTES = 32 * 1024
HEARTBEAT = b":\n\n"
_ID = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})-([0-9]{1,15})")
_RESYNC = {
    "unknown-id": "The Last-Event-ID is not one of this agent's, or its database is another one since.",
    "too-far-behind": "More has happened since than is told one by one.",
}


def frame(event: str, event_id: str | None, document: Any) -> bytes:
    """One event as it is sent; compact JSON has no line breaks."""
    head = f"event: {event}\n" + (f"id: {event_id}\n" if event_id else "")
    return b"%sdata: %s\n\n" % (head.encode(), jsons.encode(document))


class Numbering(msgspec.Struct, frozen=True):
    """How places are written as event ids; those of another database file mean nothing here."""

    epoch: str

    def spell(self, place: Cursor) -> str:
        return f"{self.epoch}-{place.accepted}-{place.changed}"

    def read(self, event_id: str) -> Cursor | None:
        """The place; None where it is not one of this file's."""
        found = _ID.fullmatch(event_id)
        return Cursor(int(found[2]), int(found[3])) if found and found[1] == self.epoch else None


class Source(Protocol):
    """Where a stream reads: the hub."""

    line: Line
    health: Health
    heartbeat_s: float
    write_limit_s: float

    async def ready(self) -> tuple[Ring, Numbering]: ...

    async def read_for(self, place: Cursor) -> Page: ...

    def frames(self, page: Page, numbering: Numbering) -> list[tuple[Cursor, bytes]]: ...


class Stream:
    """`run` sends until somebody calls `end`: the reader's connection is gone, the agent stops, nothing is taken."""

    def __init__(
        self, source: Source, abort: Callable[[], None], forget: Callable[[], None], last_id: str | None
    ) -> None:
        self._source = source
        self._abort = abort
        self._forget = forget
        self._last_id = last_id
        self._place: Cursor | None = None  # up to which operations were told; None: not begun
        self._position: int | None = None  # in the ring; None: behind it, or not looked yet
        self._id: str | None = None
        self._resync_for = ""
        self._connectivity = ""
        self._conditions_version = -1
        self._codes: list[str] = []
        self._woken = asyncio.Event()
        self._sending = False
        self._ended = False
        self.owner = ""

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    def end(self) -> None:
        """Send nothing more; a reader that does not take what is being sent is cut off."""
        if not self._ended:
            self._ended = True
            self._woken.set()
            self._forget()
            if self._sending:
                self._abort()

    async def run(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Send until the end; a reader that takes nothing for `write_limit_s` is cut off, and may resume."""
        try:
            while chunk := await self._next():
                self._sending = True
                async with asyncio.timeout(self._source.write_limit_s):
                    await write(chunk)
                self._sending = False
        except TimeoutError:
            pass  # `end` cuts it off
        finally:
            self.end()

    async def _next(self) -> bytes:
        """What to send now; empty when the stream has ended."""
        while not self._ended:
            self._woken.clear()
            chunk = b""
            with contextlib.suppress(Refusal):  # the store cannot be read: line and conditions are told all the same
                await self.begin()
                chunk = self._states() or await self._operations()
            if (chunk := chunk or self._states()) and not self._ended:
                return chunk
            try:
                async with asyncio.timeout(self._source.heartbeat_s):
                    await self._woken.wait()
            except TimeoutError:
                return HEARTBEAT
        return b""

    async def begin(self) -> None:
        """Find the place to begin at, once; raises what the store raises."""
        if self._place is None:
            ring, numbering = await self._source.ready()
            resumed = None if self._last_id is None else numbering.read(self._last_id)
            if self._last_id is not None and resumed is None:
                self._resync_for = "unknown-id"
            self._place = resumed or ring.end
            self._id = numbering.spell(self._place)

    def _states(self) -> bytes:
        """The line and the conditions, where they are others than was told."""
        line, health = self._source.line, self._source.health
        told = b""
        if line.connectivity != self._connectivity:
            self._connectivity = line.connectivity
            contacts = {
                "lastContactAt": rfc3339(line.last_contact_ms),
                "lastSuccessAt": rfc3339(line.last_success_ms),
            }
            told += frame("connectivity", self._id, {"connectivity": line.connectivity.value, **contacts})
        if health.version != self._conditions_version:
            self._conditions_version = health.version
            before, self._codes = self._codes, [raised.condition.code for raised in health]
            document = {
                "conditions": [raised.as_json() for raised in health],
                "raised": [code for code in self._codes if code not in before],
                "cleared": [code for code in before if code not in self._codes],
            }
            told += frame("attention", self._id, document)
        return told

    async def _operations(self) -> bytes:
        """What became of operations since; raises what the store raises."""
        while not self._ended and self._place is not None:
            ring, numbering = await self._source.ready()
            if self._resync_for:
                return self._resync(ring, numbering)
            if self._position is None or not ring.holds(self._position):
                self._position = ring.position_after(self._place)
            if self._position is not None:
                told, self._position, place = ring.read(self._position, CHUNK_BYTES)
                if place is not None:
                    self._at(place, numbering)
                return told
            page = await self._source.read_for(self._place)
            if not page.is_whole or page.behind > MAX_BEHIND:
                self._resync_for = "too-far-behind" if page.is_whole else "unknown-id"
                continue
            self._at(page.end, numbering)
            if told := b"".join(event for _, event in self._source.frames(page, numbering)):
                return told
        return b""

    def _at(self, place: Cursor, numbering: Numbering) -> None:
        self._place = place
        self._id = numbering.spell(place)

    def _resync(self, ring: Ring, numbering: Numbering) -> bytes:
        """From here on; what was before is to be listed."""
        reason, self._resync_for = self._resync_for, ""
        self._at(ring.end, numbering)
        self._position = None
        detail = f"{_RESYNC[reason]} List GET /v1/operations; events go on from here."
        return frame("resync", self._id, {"reason": reason, "detail": detail})
