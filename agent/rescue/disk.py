"""Borrows the data directory of a till that does not run: a private copy, gone afterwards; the original is only read.

The copy is opened, not the original: SQLite writes into what it opens (its log, its recovery), and a dead till's disk
may be mounted read-only, and must stay as it was found in any case. What is copied is sealed as it lies.
"""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.errors import AlreadyRunningError, ConfigError
from agent.storage import DataDir

_DATABASE = ("", "-wal", "-mark", "-journal")


@contextlib.contextmanager
def borrowed(data_dir: DataDir) -> Iterator[DataDir]:
    """The copy. Raises ConfigError where there is nothing to copy, or no room; AlreadyRunningError while it is used."""
    if not data_dir.database.exists() and not data_dir.quarantined() and not data_dir.upgrades.exists():
        raise ConfigError(
            f"{data_dir.path} is no data directory of an agent: it holds no {data_dir.database.name}. Of a mounted "
            "disk it is var/lib/flash-agent, or ProgramData\\flash-agent."
        )
    with _held(data_dir), tempfile.TemporaryDirectory(prefix="flash-agent-rescue-") as folder:
        copy = DataDir(Path(folder))
        try:
            for suffix in _DATABASE:
                source = data_dir.database.with_name(data_dir.database.name + suffix)
                if source.exists():
                    shutil.copyfile(source, copy.database.with_name(source.name))
            for found, target in ((data_dir.quarantine, copy.quarantine), (data_dir.upgrades, copy.upgrades)):
                if found.is_dir():
                    shutil.copytree(found, target, copy_function=shutil.copyfile)
        except OSError as error:
            mend = "Where the disk itself fails, make an image of it first (ddrescue) and rescue from that."
            raise ConfigError(f"{data_dir.path} cannot be copied: {error.strerror}. {mend}") from None
        yield copy


@contextlib.contextmanager
def _held(data_dir: DataDir) -> Iterator[None]:
    """As a running agent holds it, so that none starts meanwhile; without writing."""
    try:
        descriptor = os.open(data_dir.lock_path, os.O_RDONLY)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise ConfigError(f"{data_dir.path} cannot be read: {error.strerror}. Run this as administrator.") from None
    try:
        if not _lock(descriptor):
            raise AlreadyRunningError(f"{data_dir.in_use()} A rescue needs it stopped.")
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Whether nobody has it; on a file system without locks nobody can have."""
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - there alone

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl  # noqa: PLC0415

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
