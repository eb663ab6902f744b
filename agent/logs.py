"""Structured logs on standard error, redacted by construction.

A field that is not named here is not written, and a value that is not of its field's kind is masked: numbers are
numbers, words are made of letters, digits and a few signs. The event itself is a literal in the source, which a test
holds of every call. An exception is written as its kind and place, without its text (`tracebacks.py`).

What libraries log is reduced to who said something, where, and with which kind of exception: their words may hold
whole addresses, headers and arguments. Only WARNING and above of theirs is heard.
"""

import io
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO, cast

import structlog

from agent.scrub import MASK, scrubbed
from agent.tracebacks import spell

NUMBERS = frozenset({"http_status", "attempts", "count", "port", "wait_s", "duration_s", "bytes"})
WORDS = frozenset(
    {"operation", "kind", "status", "code", "version", "till", "state", "method", "route", "condition", "by", "client"}
)
TEXTS = frozenset({"event", "level", "timestamp", "logger", "exception", "path", "error"})  # our own and the system's
ALLOWED_FIELDS = NUMBERS | WORDS | TEXTS
_WORD = re.compile(r"[\w.:/~ -]{0,128}")


def fitting(event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that may be written, each of its kind."""
    return {name: _fitting(name, value) for name, value in event.items() if name in ALLOWED_FIELDS}


def _only_allowed(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    return fitting(event)


def _fitting(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if name in NUMBERS or not isinstance(value, str) or (name in WORDS and not _WORD.fullmatch(value)):
        return MASK
    return scrubbed(value)


def _without_words(_logger: Any, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    """In the place of structlog's own: an exception's text stays out."""
    given = event.pop("exc_info", None)
    if given is True:
        given = sys.exc_info()
    error = given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = spell(error)
    return event


class _LibraryFormatter(logging.Formatter):
    """One line a record: level, logger and place, and what kind of exception."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{record.levelname} {record.name} {record.module}:{record.lineno} in {record.funcName}"
        error = record.exc_info[1] if record.exc_info else None
        return line if error is None else f"{line}\n{spell(error)}"


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
            _without_words,
            _only_allowed,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, _StandardError())),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(cast(TextIO, _StandardError()))
    handler.setFormatter(_LibraryFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in ("httpx", "httpcore", "aiohttp", "asyncio", "aiosqlite"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").disabled = True  # a line for each malformed request would fill the disk


def get() -> structlog.typing.FilteringBoundLogger:
    """A logger; its fields are limited to ALLOWED_FIELDS."""
    if not structlog.is_configured():
        set_up("warning", "text")  # structlog's own default would print the locals of a traceback
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
