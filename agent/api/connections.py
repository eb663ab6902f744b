"""aiohttp's connections, with two differences.

They say when they are gone, which a handler that waits for news would not notice; and what cannot be parsed is answered
with a problem like any other error, that repeats nothing of what was sent.
"""

from collections.abc import Callable
from typing import Any

from aiohttp import http_exceptions as broken
from aiohttp import web

from agent.api.problems import response_to
from agent.errors import BadRequestError

_DETAILS = (
    (broken.LineTooLong, "The address or a header is longer than 8 KiB."),
    (broken.InvalidHeader, "A header has characters that a header cannot have."),
    (
        (broken.InvalidURLError, broken.BadStatusLine),
        "The request line is malformed; percent-encode what is not plain ASCII.",
    ),
)
_OTHERWISE = "What was sent is not HTTP, or contradicts itself."


class _Connection(web.RequestHandler):
    __slots__ = ()

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
        detail = next((text for kind, text in _DETAILS if isinstance(exc, kind)), _OTHERWISE)
        return response_to(BadRequestError(detail, code="malformed-http"))


class Connections(web.Server):
    """All connections of one API; `lost` is called with each that is gone."""

    def __init__(self, *arguments: Any, lost: Callable[[object], None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lost = lost

    def __call__(self) -> web.RequestHandler:
        """A new connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """It is gone."""
        super().connection_lost(handler, exc)
        self._lost(handler)
