"""`service host`: the agent under Windows' service control manager, its log in a file.

A service has no standard error; what `run` writes there goes to logs\\agent.log in the data directory, which is renamed
when it is full, three old ones being kept. It is written by the same thread aside: no register waits for it.
"""

import argparse
import contextlib
import io
import logging
import logging.handlers
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.servicemanager.hosted import Hosted

MAX_LOG_BYTES = 5 * 1024 * 1024
OLD_LOGS = 3


def run(arguments: argparse.Namespace) -> int:
    """Until the service is stopped; does not return then. Raises AgentError where Windows did not start us."""
    from agent.servicemanager import hosted

    hosted.host(lambda service: _work(arguments, service))
    return 0


def _work(arguments: argparse.Namespace, service: "Hosted") -> int:
    from agent.cli import process, stderr

    process.collect_less()
    from agent import config, tracebacks

    data_dir = Path(arguments.data_dir) if arguments.data_dir else config.site_data_dir()
    process.fill_standard_descriptors()
    with log_file(data_dir / "logs" / "agent.log"), stderr.unblocked():
        try:
            return process.run(_serve(arguments, data_dir, service))
        except BaseException as error:  # noqa: BLE001 - there is nobody above us who could say it
            print(_spell(error, tracebacks.spell), file=sys.stderr)
            return 1


def _spell(error: BaseException, spell: Any) -> str:
    from agent.errors import AgentError

    return f"flash-agent: {error}" if isinstance(error, AgentError) else str(spell(error))


async def _serve(arguments: argparse.Namespace, data_dir: Path, service: "Hosted") -> int:
    async with service.starting():
        from agent import config, logs
        from agent.app import Agent
        from agent.cli import process

        settings = config.load(arguments.config)
        logs.set_up(settings.log.level, settings.log.format)
        agent = Agent(settings, data_dir)
        await agent.start()
        process.spare_collections()
    # as `run` says it: what ended an earlier start is no longer the last word
    print(f"flash-agent listens on http://127.0.0.1:{agent.port}", file=sys.stderr)
    try:
        await service.until_told_to_stop()
    finally:
        await agent.stop()
    return 0


@contextlib.contextmanager
def log_file(path: Path) -> Iterator[None]:
    """Standard output and error into a file that stays small; nowhere where it cannot be written."""
    before = sys.stdout, sys.stderr
    handler: logging.handlers.RotatingFileHandler | None = None
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _Kept(path, maxBytes=MAX_LOG_BYTES, backupCount=OLD_LOGS, encoding="utf-8", errors="backslashreplace")
    ours = _Lines(handler), _Lines(handler)
    sys.stdout, sys.stderr = ours
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for each in ours:
            each.finish()
        if handler is not None:
            handler.close()


class _Kept(logging.handlers.RotatingFileHandler):
    """Whoever reads the file keeps Windows from renaming it: then it is copied, and begun anew."""

    def doRollover(self) -> None:  # noqa: N802
        try:
            super().doRollover()
        except OSError:
            with contextlib.suppress(OSError):
                shutil.copyfile(self.baseFilename, f"{self.baseFilename}.1")
            with contextlib.suppress(OSError):
                os.truncate(self.baseFilename, 0)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """A full disk, say; there is nobody to be told."""


class _Lines(io.TextIOBase):
    """A text stream on the handler's file. `print` writes a line and its end apart: only whole lines are passed on."""

    def __init__(self, handler: logging.Handler | None) -> None:
        self._handler = handler
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        whole, end, begun = (self._begun + text).rpartition("\n")
        self._begun = begun
        if end:
            self._put(whole)
        return len(text)

    def finish(self) -> None:
        """The last line may have no end."""
        self._put(self._begun)
        self._begun = ""

    def _put(self, text: str) -> None:
        if self._handler is not None and text.strip():
            self._handler.handle(logging.makeLogRecord({"msg": text}))
