"""Reads a small file that another user may have replaced by something else: a link, a pipe, gigabytes.

Root's commands look into the service's data directory. Whoever owns a directory chooses what its names stand for.
"""

import errno
import os
import stat
from pathlib import Path

LIMIT = 64 * 1024


def read(path: Path, *, follow: bool = False) -> bytes:
    """Its content, of at most 64 KiB; raises OSError where it is longer, or no plain file, or a link."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # a pipe's opening waits for ever
    if not follow:
        flags |= getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "It is no plain file", str(path))
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise OSError(errno.EFBIG, "It is longer than such a file ever is", str(path))
    return content
