"""A call that may hang, in a thread that nobody waits for longer than so."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Bounded(threading.Thread, Generic[T]):
    """Begins at once. A thread that hangs in the system is left behind; the process does not wait for it."""

    def __init__(self, call: Callable[[], T], name: str) -> None:
        super().__init__(name=name, daemon=True)
        self._call = call
        self._values: list[T] = []
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._values.append(self._call())
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            self._error = error

    def outcome(self, until: float) -> T:
        """What it returned or raised; raises TimeoutError where there is neither at that monotonic time."""
        self.join(max(0.0, until - time.monotonic()))
        if self.is_alive():
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._values[0]


def within(seconds: float, call: Callable[[], T], name: str) -> T:
    """Call it, for so long at the most; raises TimeoutError."""
    return Bounded(call, name).outcome(time.monotonic() + seconds)
