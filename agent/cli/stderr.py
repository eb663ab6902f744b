"""Standard error that never blocks: what is written is put aside, and a thread of its own carries it out.

A service manager that hangs, a pipe that nobody reads, a log file on a full disk: none of them may keep a register
waiting. What does not fit into the space kept for it is dropped, line by line, and counted in the log as soon as there
is room again. The thread sleeps until something is written, so that an idle agent wakes for nothing.

Used by `run`, around the agent's whole life.
"""

import contextlib
import enum
import io
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import TextIO

MAX_WAITING_CHARS = 256 * 1024
LAST_WORDS_S = 1.0
_PAUSE_S = 0.1  # a descriptor that does not block and takes nothing, or one that fails


@contextlib.contextmanager
def unblocked() -> Iterator[None]:
    """Replace `sys.stderr` meanwhile; at the end what waits has a second to get out."""
    before = sys.stderr
    aside = Aside(before)
    sys.stderr = aside
    try:
        yield
    finally:
        sys.stderr = before
        aside.finish(LAST_WORDS_S)


class _Gap(enum.Enum):
    """Whether what is written is being dropped, and where in a line the gap has come to."""

    NONE = enum.auto()
    AT_A_LINE = enum.auto()
    IN_A_LINE = enum.auto()


class Aside(io.TextIOBase):
    """A text stream whose `write` only remembers; `stream` is where it goes (None: nowhere, a service without one)."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._fd = _descriptor(stream)
        self._waiting: deque[str] = deque()
        self._waiting_chars = 0
        self._lost = 0
        self._gap = _Gap.NONE
        self._change = threading.Condition()
        self._finished = False
        self._given_up = False
        self._thread: threading.Thread | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def fileno(self) -> int:
        if self._fd is None:
            raise io.UnsupportedOperation("there is no descriptor")
        return self._fd

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self._stream is None or not text:
            return len(text)
        with self._change:
            if self._must_drop(text):
                self._lost += text.count("\n")
                self._gap = _Gap.AT_A_LINE if text.endswith("\n") else _Gap.IN_A_LINE
            else:
                self._gap = _Gap.NONE
                self._waiting.append(text)
                self._waiting_chars += len(text)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._carry_out, name="stderr", daemon=True)
                    self._thread.start()
                self._change.notify()
        return len(text)

    def _must_drop(self, text: str) -> bool:
        """A gap holds whole lines, and ends when there is room worth having again."""
        match self._gap:
            case _Gap.NONE:
                return text != "\n" and self._waiting_chars + len(text) > MAX_WAITING_CHARS
            case _Gap.AT_A_LINE:
                return self._waiting_chars + len(text) > MAX_WAITING_CHARS // 2
            case _Gap.IN_A_LINE:
                return True

    def finish(self, within_s: float) -> None:
        """Let what waits get out, as far as it does in that time; nothing is carried out after that."""
        until = time.monotonic() + within_s
        with self._change:
            self._finished = True
            self._change.notify()
        if self._thread is not None:
            self._thread.join(max(0.0, until - time.monotonic()))
            with self._change:  # whoever is stuck writes nothing more: the descriptor may be another's by then
                self._given_up = True
                self._waiting.clear()
                self._lost = 0

    def _carry_out(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._lost:
                    if self._finished:
                        return
                    self._change.wait()
                text, lost = "".join(self._waiting), self._lost
                self._waiting.clear()
                self._waiting_chars = self._lost = 0
            if lost:  # said behind what came before the gap
                text += f"{lost} lines of the log were lost here: nobody read them fast enough\n"
            self._put(text)

    def _put(self, text: str) -> None:
        """Write all of it, however long it takes; what fails is dropped, for there is nobody to be told."""
        if self._fd is None:
            with contextlib.suppress(OSError, ValueError):
                assert self._stream is not None  # noqa: S101 - nothing waits without one
                self._stream.write(text)
                self._stream.flush()
            return
        left = memoryview(text.encode(self.encoding, errors="backslashreplace"))
        while left and not self._given_up:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                time.sleep(_PAUSE_S)
            except OSError:
                time.sleep(_PAUSE_S)
                return


def _descriptor(stream: TextIO | None) -> int | None:
    """Bytes go to the descriptor: a thread stuck in the stream's own buffer would hold up the interpreter's end."""
    if stream is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        stream.flush()
        return stream.fileno()
    return None
