"""The newest operation events, encoded: bounded in number and in bytes, with the place behind each. Pure."""

from agent.outbox.history import Cursor


class Ring:
    """Events by position: 0 is the first that there ever was. `end` is the place up to which it knows everything."""

    def __init__(self, begin: Cursor, max_events: int, max_bytes: int) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._entries: dict[int, tuple[Cursor, bytes]] = {}  # in the order of the positions
        self._begin = begin  # the place before the first entry that is left
        self._next = 0
        self._bytes = 0
        self.end = begin

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, place: Cursor, event: bytes) -> None:
        """One more event, after which everything up to `place` is told; the oldest make room."""
        self._entries[self._next] = (place, event)
        self._next += 1
        self._bytes += len(event)
        self.end = place
        while len(self._entries) > self._max_events or self._bytes > self._max_bytes:
            self._begin, oldest = self._entries.pop(self._next - len(self._entries))
            self._bytes -= len(oldest)

    def position_after(self, place: Cursor) -> int | None:
        """Where somebody goes on who knows everything up to `place`.

        None where the ring lacks something that is not known there, and where `place` is beyond its end.
        """
        if not _is_within(place, self.end):
            return None
        first = self._next - len(self._entries)
        for position in range(self._next, first, -1):
            before = self.end if position == self._next else self._entries[position - 1][0]
            if _is_within(before, place):
                return position
        return first if _is_within(self._begin, place) else None

    def holds(self, position: int) -> bool:
        """Whether what comes at this position is still there, or comes next."""
        return position >= self._next - len(self._entries)

    def read(self, position: int, max_bytes: int) -> tuple[bytes, int, Cursor | None]:
        """The events from a position that it holds, one at least if there is one, about `max_bytes` at the most.

        With the next position, and the place behind the last of them (None when there was none).
        """
        found: list[bytes] = []
        size, place = 0, None
        while position < self._next and size < max_bytes:
            place, event = self._entries[position]
            found.append(event)
            size += len(event)
            position += 1
        return b"".join(found), position, place


def _is_within(place: Cursor, other: Cursor) -> bool:
    return place.accepted <= other.accepted and place.changed <= other.changed
