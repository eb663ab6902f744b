"""Who hears that an operation changed: told after the commit, in the order of the commits, never before.

A listener is called in the event loop with the operations of one commit and must return at once (put it in a queue, set
an event); what it raises is logged and harms nobody. It learns that something changed and to what status; whoever needs
the rest reads the store, which may know more by then. Nothing is told of what a killed agent had committed: listeners
that must not miss anything catch up from the store when they start.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from agent import logs
from agent.delivery import Kind
from agent.outbox.operation import Operation
from agent.outbox.state import Status


class Change(msgspec.Struct, frozen=True):
    """One operation's new state. `result` is Flash's data where this commit settled it.

    `operation` is the row as it was known before this change: what it asks for holds, its status may be the old one.
    """

    seq: int
    id: str
    kind: Kind
    status: Status
    result: Any = None
    operation: Operation | None = None

    def __repr__(self) -> str:
        return f"<Change {self.seq} {self.status}>"


Listener = Callable[[Sequence[Change]], None]


class Changes:
    """The listeners of one store."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []
        self._to_accepts: list[Listener] = []
        self._log = logs.get()

    def listen(self, listener: Listener, *, accepts: bool = True) -> None:
        """Tell this one too, from now on; without `accepts` only of what becomes of operations afterwards."""
        self._listeners.append(listener)
        if accepts:
            self._to_accepts.append(listener)

    def ignore(self, listener: Listener) -> None:
        """Tell this one nothing more; while nobody listens a commit costs nothing here."""
        self._listeners.remove(listener)
        if listener in self._to_accepts:
            self._to_accepts.remove(listener)

    @property
    def hear_accepts(self) -> bool:
        """Whether anybody wants to know of new operations: while nobody does, accepting one costs nothing here."""
        return bool(self._to_accepts)

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def tell(self, changes: Sequence[Change]) -> None:
        """A commit changed these."""
        self._tell(self._listeners, changes)

    def tell_accepted(self, changes: Sequence[Change]) -> None:
        """A commit brought these."""
        self._tell(self._to_accepts, changes)

    def _tell(self, listeners: Sequence[Listener], changes: Sequence[Change]) -> None:
        for listener in listeners:
            try:
                listener(changes)
            except Exception:  # noqa: BLE001 - a listener's fault is not the outbox's
                self._log.exception("a listener failed")
