"""Structured logs on standard error, with an allow-list: a field that is not named here is not written.

No personal data and no key can reach a log line by accident, because nobody may log a field under a new name without
adding it here. Libraries log at WARNING, since httpx writes whole addresses at INFO, and their tracebacks show no
locals.
"""

import io
import logging
import sys
from typing import Any, Literal, TextIO, cast

import structlog

ALLOWED_FIELDS = frozenset(
    {
        "event", "level", "timestamp", "logger", "exception", "operation", "kind", "status", "code", "http_status",
        "attempts", "count", "version", "port", "path", "till", "state", "wait_s", "duration_s", "bytes", "method",
        "route", "condition", "by", "error",
    }
)  # fmt: skip


def _only_allowed(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    return {name: value for name, value in event.items() if name in ALLOWED_FIELDS}


class _StandardError(io.TextIOBase):
    """Standard error as it is when a line is written, not as it was when the logger was made."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def set_up(level: str = "info", style: Literal["json", "text"] = "json") -> None:
    """Configure structlog and the standard logging module for this process."""
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer: Any = (
        structlog.processors.JSONRenderer() if style == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # as Python prints it, which shows no locals
            _only_allowed,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s", force=True
    )
    for name in ("httpx", "httpcore", "aiohttp", "asyncio", "aiosqlite"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").disabled = True  # it writes malformed requests out, tokens and all


def get() -> structlog.typing.FilteringBoundLogger:
    """A logger; its fields are limited to ALLOWED_FIELDS."""
    if not structlog.is_configured():
        set_up("warning", "text")  # structlog's own default would print the locals of a traceback
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
