"""Borrows the data directory of a till that does not run: a private copy, gone afterwards; the original is only read.

The copy is opened, not the original: SQLite writes into what it opens (its log, its recovery), and a dead till's disk
may be mounted read-only, and must stay as it was found in any case. What is copied is sealed as it lies.
"""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.errors import AlreadyRunningError, ConfigError
from agent.storage import DataDir

_DATABASE = ("", "-wal", "-mark", "-journal")
_AT_ONCE = 1024 * 1024


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
                if os.path.lexists(source):
                    _copy(source, copy.database.with_name(source.name))
            for found, target in ((data_dir.quarantine, copy.quarantine), (data_dir.upgrades, copy.upgrades)):
                if found.is_dir() and not found.is_symlink():
                    shutil.copytree(found, target, copy_function=_copy, ignore=_links)
        except OSError as error:
            mend = "Where the disk itself fails, make an image of it first (ddrescue) and rescue from that."
            raise ConfigError(f"{data_dir.path} cannot be copied: {error.strerror}. {mend}") from None
        yield copy


def _copy(source: str | Path, target: str | Path) -> None:
    """A file, and no link: root rescues, and what lies on the disk of a till may have been put there by anybody."""
    more = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with open(source, "rb", opener=lambda name, usual: os.open(name, usual | more)) as found:
        if not stat.S_ISREG(os.fstat(found.fileno()).st_mode):
            raise OSError(errno.EINVAL, f"{source} is no file")
        with Path(target).open("xb") as copy:
            shutil.copyfileobj(found, copy, _AT_ONCE)


def _links(folder: str, names: Sequence[str]) -> list[str]:
    return [name for name in names if Path(folder, name).is_symlink()]


@contextlib.contextmanager
def _held(data_dir: DataDir) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            still = stack.enter_context(data_dir.kept_still())
        except OSError as error:
            raise ConfigError(f"{data_dir.path} cannot be read: {error.strerror}. Run this as administrator.") from None
        if not still:
            raise AlreadyRunningError(f"{data_dir.in_use()} A rescue needs it stopped: flash-agent service stop.")
        yield
