"""Exceptions as they may be written down: what kind, and where; never what they say.

The text of an exception may hold anything that was at hand: an address that could not be parsed, a row that did not
fit. Only those whose text is made of the system's or our own words are quoted. No locals, no source lines.
"""

import sys
import threading
import traceback
from collections.abc import Iterator
from types import TracebackType

_MOST_FRAMES = 30


def spell(error: BaseException) -> str:
    """An exception and what led to it, the cause first, over several lines."""
    return "\n".join(_lines(error, set()))


def install() -> None:
    """Let the interpreter write down what nobody caught in the same way."""

    def caught_by_nobody(_kind: type[BaseException], error: BaseException, _at: TracebackType | None) -> None:
        print(f"flash-agent ended by a fault of its own:\n{spell(error)}", file=sys.stderr)

    def in_a_thread(arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None and not isinstance(arguments.exc_value, SystemExit):
            print(f"a thread ended by a fault of its own:\n{spell(arguments.exc_value)}", file=sys.stderr)

    def where_nobody_can_catch(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_value is not None:
            print(f"ignored, for nobody could catch it:\n{spell(unraisable.exc_value)}", file=sys.stderr)

    sys.excepthook = caught_by_nobody
    threading.excepthook = in_a_thread
    sys.unraisablehook = where_nobody_can_catch


def _lines(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _lines(before, seen)
        yield "which led to" if error.__cause__ else "while that was handled"
    frames = list(traceback.walk_tb(error.__traceback__))[-_MOST_FRAMES:]
    for frame, line in frames:
        yield f"  {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
    said = _said(error)
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    yield f"{name}: {said}" if said else name
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _lines(inner, seen)


def _said(error: BaseException) -> str:
    if type(error).__module__ == "sqlite3":
        return (
            f"{getattr(error, 'sqlite_errorname', None) or ''} {error}".strip()
        )  # names of tables and columns at most
    if isinstance(error, OSError):
        return str(error.strerror or "")
    code = getattr(error, "code", None)
    ours = type(error).__module__.partition(".")[0] == "agent"
    return code if ours and isinstance(code, str) else ""
