"""Reads a file that may be something else than a small plain file: a link, a pipe, a device, gigabytes.

Root's commands look into the service's data directory. Whoever owns a directory chooses what its names stand for. And
who writes a path into the settings may mistype it: /dev/zero never ends, a pipe that nobody writes into never begins.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LIMIT = 64 * 1024
_REPARSE_POINT = 0x400  # Windows' links and junctions
_SAFE = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe's opening waits for ever
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def read(path: Path, *, follow: bool = False, limit: int = LIMIT) -> bytes:
    """Its content, of at most so many bytes; raises OSError where it is longer, or no plain file, or a link."""
    with _opened(path, _open(path, _SAFE | (0 if follow else _NO_LINK))) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise _too_long(path)
    return content


def end(folder: Path, name: str, limit: int) -> tuple[bytes, bool]:
    """The last bytes of a file in a folder, and whether more stand before them; no link is followed to either.

    Raises OSError where the folder is none, or the file is no plain one.
    """
    path = folder / name
    if any(_is_link(each) for each in (folder, path)):
        raise OSError(errno.ELOOP, "It is a link", str(path))
    with contextlib.ExitStack() as stack:
        if os.open in os.supports_dir_fd:  # by the folder that was looked at, whatever its name stands for meanwhile
            held = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_LINK)
            stack.callback(os.close, held)
            file = stack.enter_context(_opened(path, os.open(name, _SAFE | _NO_LINK, dir_fd=held)))
        else:
            file = stack.enter_context(_opened(path, os.open(path, _SAFE)))
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - limit))
        return file.read(limit), size > limit


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags)
    except ValueError:  # a NUL in it
        raise OSError(errno.EINVAL, "There can be no such path", str(path)) from None


@contextlib.contextmanager
def _opened(path: Path, descriptor: int) -> Iterator[BinaryIO]:
    try:
        must_be_plain(path, os.fstat(descriptor))
    except OSError:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        yield file


def must_be_plain(path: Path, status: os.stat_result, *, limit: int | None = None) -> None:
    """Raises OSError where it is a folder, a pipe, a device, or longer than so many bytes."""
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, "It is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "It is no plain file", str(path))
    if limit is not None and status.st_size > limit:
        raise _too_long(path)


def _is_link(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISLNK(status.st_mode) or bool(getattr(status, "st_file_attributes", 0) & _REPARSE_POINT)


def _too_long(path: Path) -> OSError:
    return OSError(errno.EFBIG, "It is longer than such a file ever is", str(path))
