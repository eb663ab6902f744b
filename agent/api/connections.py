"""aiohttp's connections, with bounds of our own.

- There is an end of connections. There room is made rather than the newcomer refused: first goes the oldest that never
  showed a good token, then the one that has been idle longest, so that a register is served whatever a flood does.
- The head of a request comes whole within a time and a size; the body has its own (`agent/api/calls.py`).
- They say when they are gone, which a handler that waits for news would not notice.
- What cannot be parsed is answered with a problem like any other error, that repeats nothing of what was sent.

Several private names of aiohttp's handler are used, since it offers no place for this: docs/decisions/0013.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from aiohttp import http_exceptions as broken
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from agent import logs
from agent.api import web
from agent.api.guard import wrong_host
from agent.api.problems import response_to
from agent.errors import BadRequestError, SlowHeadError

KEEP_ALIVE_S = 150.0
HEAD_LIMIT_S = 10.0  # on the loopback a head takes less than a millisecond
HEAD_LIMIT_BYTES = 32 * 1024
HEADERS_LIMIT = 64
LINGER_S = 2.0  # so long what is sent behind a refusal is read and thrown away, so that the refusal can be read
READ_BYTES = 64 * 1024
_SPARE_FILES = 64  # for the database, logs, the line to Flash
_LOG_EVERY_S = 60.0

_DETAILS = (
    (broken.LineTooLong, "The address or a header is longer than 8 KiB."),
    (broken.InvalidHeader, "A header has characters that a header cannot have."),
    (
        (broken.InvalidURLError, broken.BadStatusLine),
        "The request line is malformed; percent-encode what is not plain ASCII.",
    ),
)
_OTHERWISE = "What was sent is not HTTP, or contradicts itself."


class _HeadTooLong(Exception):  # noqa: N818 - not raised, but told apart
    pass


class _HeadTooSlow(Exception):  # noqa: N818 - as above
    pass


class _Connection(web.RequestHandler):
    """One connection. `known` once a good token came over it."""

    __slots__ = ("_head_behind", "_head_bytes", "_head_limit_s", "_head_timer", "known")

    def __init__(self, *arguments: Any, head_limit_s: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_limit_s = head_limit_s
        self.known = False
        self._head_behind = -1  # how many requests came before the head that is not whole yet
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Called by the transport."""
        super().data_received(data)
        waiter = self._waiter
        if waiter is not None and not waiter.done():  # it was not a whole request, and there is none under way
            self._head_goes_on(data)

    def _head_goes_on(self, data: bytes) -> None:
        if self._head_behind != self._request_count:
            if not data.strip(b"\r\n"):
                return  # an old stack's line break behind a body begins nothing
            self._head_behind, self._head_bytes = self._request_count, 0
            self._cancel_head_timer()
            self._head_timer = self._loop.call_later(self._head_limit_s, self._head_is_late)
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._give_up(_HeadTooLong())

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._head_behind == self._request_count:
            self._give_up(_HeadTooSlow())

    def _give_up(self, why: Exception) -> None:
        """Answer as if it could not be parsed, and close."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            return
        self._messages.append((_ErrInfo(status=400, exc=why, message=""), EMPTY_PAYLOAD))
        self._close = True
        waiter.set_result(None)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the transport."""
        self._cancel_head_timer()
        super().connection_lost(exc)

    @property
    def idle_since(self) -> float | None:
        """When the last answer was done (the loop's time); None while it waits for the agent, and not the agent for it.

        The agent waits for who sends no body, and for who reads no answer.
        """
        request = self._current_request
        comes = request is not None and request.content.is_eof()
        busy = self._request_in_progress and comes and not self.writing_paused
        return None if busy or self._messages else self._next_keepalive_close_time

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,  # noqa: ARG002 - as aiohttp has it
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what was sent
    ) -> web.StreamResponse:
        """Called for what could not be parsed; the server answers its own errors itself."""
        if request.writer.output_size > 0:
            raise ConnectionError("An answer has been begun already.")
        if isinstance(exc, _HeadTooSlow):
            return response_to(SlowHeadError(f"A request's head did not come whole within {self._head_limit_s:g} s."))
        if isinstance(exc, broken.BadHttpMessage) and "'Host'" in exc.message and self.transport:  # none, or several
            return response_to(wrong_host(self.transport.get_extra_info("sockname")[1]))
        if isinstance(exc, _HeadTooLong):
            detail = f"A request's head is longer than {HEAD_LIMIT_BYTES // 1024} KiB."
        else:
            detail = next((text for kind, text in _DETAILS if isinstance(exc, kind)), _OTHERWISE)
        return response_to(BadRequestError(detail, code="malformed-http"))


class Connections(web.Server):
    """All connections of one API, at most `most`; `lost` is called with each that is gone."""

    def __init__(
        self,
        *arguments: Any,
        most: int,
        lost: Callable[[object], None],
        head_limit_s: float = HEAD_LIMIT_S,
        **options: Any,
    ) -> None:
        super().__init__(
            *arguments,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            max_headers=HEADERS_LIMIT,
            read_bufsize=READ_BYTES,
            auto_decompress=False,  # a body with a Content-Encoding is refused, so nobody need unpack it
            head_limit_s=head_limit_s,
            **options,
        )
        self._most = min(most, _affordable())
        self._lost = lost
        self._open: dict[_Connection, asyncio.Transport] = {}  # the oldest first
        self._log = logs.get()
        self._logged_at = float("-inf")

    def __call__(self) -> web.RequestHandler:
        """A new connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """It is open; where there are too many, another one is closed."""
        super().connection_made(handler, transport)
        if not isinstance(handler, _Connection):
            return
        self._open[handler] = transport
        if len(self._open) > self._most:
            self._log_at_times()
            least = self._least_missed()
            self._open.pop(least).abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """It is gone."""
        super().connection_lost(handler, exc)
        if isinstance(handler, _Connection):
            self._open.pop(handler, None)
        self._lost(handler)

    def _least_missed(self) -> _Connection:
        """The oldest without a token, else the one idle longest, else the newest, which has been promised nothing."""
        for connection in self._open:
            if not connection.known:
                newest = next(reversed(self._open))
                if connection is not newest:
                    return connection
        idle = [(since, number, it) for number, it in enumerate(self._open) if (since := it.idle_since) is not None]
        waiting = [each for each in idle if each[2].known]
        return min(waiting)[2] if waiting else next(reversed(self._open))

    def _log_at_times(self) -> None:
        now = self._loop.time()
        if now - self._logged_at > _LOG_EVERY_S:
            self._logged_at = now
            self._log.warning("too many connections: the oldest and idle ones are closed", count=len(self._open))


def _affordable() -> int:
    """So many connections leave the process files to open; accepting takes up to a backlog more for a moment."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource  # noqa: PLC0415 - there is none on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else max(16, (soft - _SPARE_FILES) // 2)
