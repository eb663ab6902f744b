"""The disk of the data directory: space, how long it takes to make 4 KiB durable, and who meddles with small files.

A handful of small files are made in the data directory, where the database is, and removed again: another place may be
another disk, or one that a virus scanner leaves alone.
"""

import errno
import os
import secrets
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from agent.doctor.case import Case
from agent.doctor.catalogue import found
from agent.doctor.findings import Finding, fine
from agent.doctor.scanners import scanners

PAGE = 4096
APPENDS, FILES = 10, 10
PATIENCE_S = 1.5  # for each of the two measurements: a disk that stalls is known by then
LOW_BYTES = 256 * 1024 * 1024  # as the agent's own condition
FULL_BYTES = 1024 * 1024
SLOW_MS = 100.0  # a register waits for one of these for each sale
STALL_MS = 1000.0
FILES_SLOW_MS = 50.0
FILES_TIMES = 3.0  # as long as the disk itself
_IN_MEMORY = frozenset({"tmpfs", "ramfs", "ramdisk"})
_REMOTE = frozenset({"nfs", "nfs4", "cifs", "smbfs", "smb3", "smb2", "9p", "fuse.sshfs", "afs", "ncpfs"})


class Times(NamedTuple):
    """Milliseconds."""

    median: float
    most: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Times":
        return cls(round(statistics.median(seconds) * 1000, 2), round(max(seconds) * 1000, 2))


def look(case: Case) -> Iterator[Finding]:
    """Space, kind of disk, durability, and small files."""
    folder = case.data_dir
    if not folder.is_dir():
        above = next((parent for parent in folder.parents if parent.is_dir()), None)
        if above is not None:
            yield from _space(shutil.disk_usage(above).free)
        return
    kind = _kind_of(folder)
    if kind in _IN_MEMORY:
        yield found("disk-in-memory", f"{kind}.", filesystem=kind)
    elif kind in _REMOTE:
        yield found("disk-remote", f"{kind}.", filesystem=kind)
    free = shutil.disk_usage(folder).free
    low = list(_space(free))
    yield from low
    try:
        written = _append(folder)
        yield from _durable(written, free, well=not low)
        yield from _small_files(folder, written)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            if not any(each.kind.code == "disk-full" for each in low):
                yield found("disk-full", _free(free), freeBytes=free)
        elif error.errno == errno.EROFS:
            yield found("disk-read-only", f"{error.strerror}.")
        else:
            yield found("disk-unmeasured", f"{error.strerror}.")


def _space(free: int) -> Iterator[Finding]:
    if free < FULL_BYTES:
        yield found("disk-full", _free(free), freeBytes=free)
    elif free < LOW_BYTES:
        yield found("disk-low", _free(free), freeBytes=free)


def _free(free: int) -> str:
    if free >= 1 << 30:
        return f"{free / (1 << 30):.0f} GiB are free."
    return f"{free >> 20} MiB are free." if free >= 1 << 20 else f"{free >> 10} KiB are free."


def _kind_of(folder: Path) -> str:
    """The kind of file system, in lower case; empty where the system does not say."""
    resolved = folder.resolve()
    best, kind = -1, ""
    with suppress(OSError, psutil.Error):
        for partition in psutil.disk_partitions(all=True):
            mount = Path(partition.mountpoint)
            if resolved.is_relative_to(mount) and len(mount.parts) >= best:
                remote = "remote" in partition.opts.split(",")  # Windows' word
                best, kind = len(mount.parts), "smbfs" if remote else partition.fstype.lower()
    return kind


def _own(folder: Path) -> Path:
    return folder / f"doctor-{secrets.token_hex(4)}.tmp"


def _append(folder: Path) -> Times:
    """As the database does for each sale: write a page at the end, and wait until it is on the disk."""
    path = _own(folder)
    page = bytes(PAGE)
    took: list[float] = []
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        until = time.perf_counter() + PATIENCE_S
        while len(took) < APPENDS and (not took or time.perf_counter() < until):
            begun = time.perf_counter()
            os.write(descriptor, page)
            os.fsync(descriptor)
            took.append(time.perf_counter() - begun)
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
    return Times.of(took)


def _durable(written: Times, free: int, *, well: bool) -> Iterator[Finding]:
    figures = {"fsyncMedianMs": written.median, "fsyncMaxMs": written.most, "freeBytes": free}
    said = f"{written.median:g} ms for a sale, {written.most:g} ms at the most."
    if written.median > SLOW_MS:
        yield found("disk-slow", said, **figures)
    elif written.most > STALL_MS:
        yield found("disk-stalls", said, **figures)
    elif well:
        yield fine("disk", f"{_free(free)[:-1]}; {said}", **figures)


def _small_files(folder: Path, written: Times) -> Iterator[Finding]:
    """Make, rename, read back and remove; nothing of it waits for the disk, so that it should take no time."""
    took: list[float] = []
    held = changed = 0
    until = time.perf_counter() + PATIENCE_S
    while len(took) < FILES and (not took or time.perf_counter() < until):
        begun = time.perf_counter()
        try:
            changed += not _comes_back(folder)
        except PermissionError:  # Windows' word for a file that somebody has open
            held += 1
        took.append(time.perf_counter() - begun)
    files = Times.of(took)
    watching, filters = scanners()
    facts = {"fileMedianMs": files.median, "fileMaxMs": files.most, "scanners": watching, "filters": filters}
    named = f" Seen running: {', '.join(watching)}." if watching else ""
    if changed:
        yield found("files-changed", f"{changed} of {len(took)}.{named}", **facts)
    if held:
        yield found("files-held", f"{held} of {len(took)}.{named}", **facts)
    if files.median > max(FILES_SLOW_MS, FILES_TIMES * written.median):
        yield found("files-slow", f"{files.median:g} ms each, the disk {written.median:g} ms.{named}", **facts)
    elif not changed and not held:
        yield fine("antivirus", f"Small files come back unchanged, in {files.median:g} ms.{named}", **facts)


def _comes_back(folder: Path) -> bool:
    """Whether a small file is what was written, after it was renamed."""
    path = _own(folder)
    renamed = path.with_suffix(".new.tmp")
    content = secrets.token_hex(64).encode()
    try:
        path.write_bytes(content)
        path.replace(renamed)
        return renamed.read_bytes() == content
    except FileNotFoundError:  # it was taken away
        return False
    finally:
        for each in (path, renamed):
            with suppress(OSError):
                each.unlink(missing_ok=True)
