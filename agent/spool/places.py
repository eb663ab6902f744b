"""One spool folder on the disk: what lies in it, and putting it away. Synchronous: called in threads.

    FOLDER/NAME             waits
    FOLDER/done/DAY/NAME    was taken whole, on that day of the till's
    FOLDER/failed/NAME      something in it needs a person
    …/NAME.why.json         what in it was not sent and why; on the disk before the file is

Nothing that lies in done or failed is written over. Links and sub-folders are not followed: whoever may write into the
folder may not make the agent read or write elsewhere. What is made here is as open as the folder itself.
"""

import contextlib
import io
import itertools
import os
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO, NamedTuple

import tenacity

from agent.storage.durable import sync_folder

WHY = ".why.json"
_DRAFT = ".flash-agent-"
_NOT_YET = (
    ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".opdownload", ".incomplete",
    ".inprogress", ".writing", ".swp", ".lock", ".lck",
)  # fmt: skip
_NOBODYS = frozenset({"thumbs.db", "desktop.ini"})
_MAX_NAME_BYTES = 200  # leaves room for a number and the report's ending


class Stamp(NamedTuple):
    """By what a file is known to be the same: bytes, and nanoseconds of its last change.

    Copying programs keep the time of the original: another file of the same length and second may take a name. So the
    time since which the file has been here counts too (on Windows: when it was made), which a renaming may change.
    """

    size: int
    changed_ns: int
    here_since_ns: int

    def may_be(self, other: "Stamp") -> bool:
        """Whether it may be the same file under another name."""
        return self[:2] == other[:2]


class Entry(NamedTuple):
    """A file that waits."""

    name: str
    stamp: Stamp


class Look(NamedTuple):
    """What was seen: who waits, the oldest first; how many were put away; and which folders those are."""

    files: list[Entry]
    done_today: int
    failed: int
    identity: tuple[int, ...]


class UnusableError(Exception):
    """The folder cannot be used now; the text says why, without its name."""


class Places:
    """The folder, and its own two."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.done = folder / "done"
        self.failed = folder / "failed"

    def look(self, today: str) -> Look:
        """See what is there; raises UnusableError."""
        try:
            identity = self._prepare()
            files = sorted(_waiting_in(self.folder), key=lambda entry: (entry.stamp.changed_ns, entry.name))
            self._forget_reports_without_a_file()
            return Look(files, _count(self.done / today), _count(self.failed), identity)
        except FileNotFoundError:
            raise UnusableError("is missing") from None
        except OSError as error:
            raise UnusableError(f"cannot be used: {error.strerror}") from None

    def open(self, entry: Entry) -> BinaryIO | None:
        """The file, to be read; None where it is no longer the one that was seen. Raises OSError."""
        flags = os.O_RDONLY
        for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC"):
            flags |= getattr(os, name, 0)
        descriptor = os.open(self.folder / entry.name, flags)
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode) or stamp(about) != entry.stamp:
            os.close(descriptor)
            return None
        return io.open(descriptor, "rb")  # noqa: UP020 - a descriptor; whoever takes it closes it

    def put_away(self, entry: Entry, into: Path, report: bytes | None) -> Path | None:
        """Move a file that was read, its report first; where to. Raises OSError.

        None, and it stays where it is, when it is not the file that was read any more.
        """
        source = self.folder / entry.name
        if _stamp_of(source) != entry.stamp:
            return None
        self._make(into)
        target = _free(into, entry.name)
        why = target.with_name(target.name + WHY)
        try:
            if report is not None:
                self._write(why, report)
            _rename(source, target)
        except OSError:
            why.unlink(missing_ok=True)
            raise
        if _stamp_of(target).may_be(entry.stamp):
            return target
        why.unlink(missing_ok=True)  # another one took its place in that moment
        _rename(target, _free(self.folder, entry.name))
        return None

    def prune(self, today: str, keep_days: int) -> None:
        """Delete the days in done that are older; all of them where nothing is to be kept. Raises OSError."""
        oldest = (date.fromisoformat(today) - timedelta(days=keep_days)).isoformat()
        for folder in list(self.done.iterdir()):
            if _is_day(folder.name) and (folder.name < oldest or keep_days == 0):
                shutil.rmtree(folder)

    def tidy(self) -> None:
        """Delete the drafts of reports that a killed agent left."""
        with contextlib.suppress(OSError):
            for draft in itertools.chain(self.failed.glob(f"{_DRAFT}*"), self.done.glob(f"*/{_DRAFT}*")):
                draft.unlink()

    def _prepare(self) -> tuple[int, ...]:
        """See to it that the three folders are there and can be written; which ones they are."""
        identity: list[int] = []
        for folder in (self.folder, self.done, self.failed):
            if folder != self.folder:
                self._make(folder)
            about = folder.stat()
            identity += (about.st_dev, about.st_ino)
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                where = "it" if folder == self.folder else f"its folder {folder.name}"
                raise UnusableError(f"may not be used: the agent's user needs to read, write and delete in {where}")
        return tuple(identity)

    def _make(self, folder: Path) -> None:
        """A folder of ours, as open as the one it lies in."""
        if folder.parent != self.folder:
            self._make(folder.parent)
        try:
            folder.mkdir()
        except FileExistsError:
            if folder.is_symlink() or not folder.is_dir():
                raise UnusableError(f"cannot be used: its {folder.name} must be a folder, and no link") from None
            return
        with contextlib.suppress(OSError):  # shares without modes
            folder.chmod(stat.S_IMODE(self.folder.stat().st_mode))

    def _write(self, path: Path, content: bytes) -> None:
        """Write a report durably, over an older one that has lost its file."""
        draft = path.with_name(f"{_DRAFT}{secrets.token_hex(8)}.tmp")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(draft, flags, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(OSError):
                draft.chmod(stat.S_IMODE(self.folder.stat().st_mode) & 0o666)
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        with contextlib.suppress(OSError):  # shares that cannot
            sync_folder(path.parent)

    def _forget_reports_without_a_file(self) -> None:
        """As after a failed file was moved back, or deleted, alone."""
        names = {path.name for path in self.failed.iterdir()}
        for name in names:
            if name.endswith(WHY) and name.removesuffix(WHY) not in names:
                (self.failed / name).unlink(missing_ok=True)


def is_taken(name: str) -> bool:
    """Whether a file of this name is ever taken: not while it is being written, and not what a system leaves around."""
    folded = name.casefold()
    return not (folded.startswith((".", "~")) or folded.endswith((*_NOT_YET, WHY)) or folded in _NOBODYS)


def _waiting_in(folder: Path) -> Iterator[Entry]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # gone since
                if is_taken(entry.name) and entry.is_file(follow_symlinks=False):
                    yield Entry(entry.name, _stamp_of(Path(entry.path)))


def _count(folder: Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(is_taken(entry.name) and entry.is_file(follow_symlinks=False) for entry in entries)
    except FileNotFoundError:
        return 0


def stamp(about: os.stat_result, system: str = os.name) -> Stamp:
    """What tells one file from another of the same name."""
    since_ns = about.st_ctime_ns
    if system == "nt":  # from Python 3.12 on an open file's is the last change, and a path's still the making
        since_ns = getattr(about, "st_birthtime_ns", since_ns)
    return Stamp(about.st_size, about.st_mtime_ns, since_ns)


def _stamp_of(path: Path) -> Stamp:
    """Asked of the file itself: what Windows lists of an open file is old."""
    return stamp(path.lstat())


def _free(folder: Path, name: str) -> Path:
    """A path in the folder that nobody has: under the name, or with a number."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 - a name, not a path
    suffix = suffix if len(os.fsencode(suffix)) < 20 else ""
    stem = name.removesuffix(suffix) if suffix else name
    while len(os.fsencode(stem)) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    for number in itertools.count(1):
        path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        if not os.path.lexists(path):
            return path
    raise AssertionError("numbers do not end")


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False


@tenacity.retry(
    retry=tenacity.retry_if_exception(lambda error: sys.platform == "win32" and isinstance(error, PermissionError)),
    stop=tenacity.stop_after_attempt(20),
    wait=tenacity.wait_fixed(0.05),
    reraise=True,
)
def _rename(source: Path, target: Path) -> None:
    """Within one file system, at once; on Windows a virus scanner may hold the file for a moment."""
    source.rename(target)
