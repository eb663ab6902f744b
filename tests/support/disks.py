"""Disks of our own, to be filled and to have their power cut. Linux, as root.

They are mounted in a mount namespace of this process: whatever becomes of it, the kernel takes them down with it, and
nobody else ever sees them.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MIB = 1024 * 1024
_NEW_MOUNT_NAMESPACE = 0x00020000
_EXT4_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSHING_THE_JOURNAL = (2).to_bytes(4, sys.byteorder)


def missing(*tools: str) -> str | None:
    """Why no disks can be made here, and what mends it; `tools` are the programs that are needed."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "mounting needs Linux and root: run it as root"
    for tool in ("mount", "umount", "unshare", *tools):
        if shutil.which(tool) is None:
            return f"there is no {tool}; install it: sudo apt-get install mount util-linux e2fsprogs"
    with tempfile.TemporaryDirectory() as folder:
        kind = ["-t", "tmpfs", "tmpfs"]
        if "mkfs.ext4" in tools:
            image = Path(folder) / "image"
            _format(image, 16 * MIB)
            kind = ["-o", "loop", str(image)]
        tried = subprocess.run(["unshare", "-m", "mount", *kind, folder], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"nothing can be mounted here: {tried.stderr.strip()}; run it on a machine with loop devices, not a jail"
    return None


def leave_the_others_mounts() -> None:
    """From now on what this process and its children mount is theirs alone. To be called before there are threads."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_MOUNT_NAMESPACE) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    _run("mount", "--make-rprivate", "/")


@contextlib.contextmanager
def small_disk(place: Path, size_bytes: int) -> Iterator[Path]:
    """A disk in memory of that size, on the folder `place`, which is made."""
    place.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size_bytes},mode=700", "tmpfs", str(place))
    try:
        yield place
    finally:
        _run("umount", "-l", str(place))


class PlugDisk:
    """An ext4 on a file, whose plug can be pulled: what was not synced by then is gone, as in a power cut."""

    def __init__(self, image: Path, place: Path, size_bytes: int = 64 * MIB) -> None:
        self._image = image
        self.place = place
        self._size = size_bytes
        self._mounted = False

    def __enter__(self) -> "PlugDisk":
        self.place.mkdir(parents=True)
        _format(self._image, self._size)
        self._mount()
        return self

    def __exit__(self, *_: object) -> None:
        if self._mounted:
            _run("umount", "-l", str(self.place))
            self._mounted = False

    def pull(self) -> None:
        """No more reaches the disk, the journal's own buffers included; every write and sync fails from here on."""
        folder = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _EXT4_SHUTDOWN, _WITHOUT_FLUSHING_THE_JOURNAL)
        finally:
            os.close(folder)

    def plug_in(self) -> None:
        """Mount what is left; the kernel replays the journal. Nobody may have a file open there any more."""
        _run("umount", str(self.place))
        self._mounted = False
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self._image), str(self.place))
        self._mounted = True


def freeze(pid: int, seconds: float = 10) -> None:
    """Stop a process where it is. A thread that the kernel works for goes on there, but does not come back."""
    os.kill(pid, signal.SIGSTOP)
    until = time.monotonic() + seconds
    while not all(_is_still(thread) for thread in Path(f"/proc/{pid}/task").iterdir()):
        if time.monotonic() > until:
            raise TimeoutError(f"process {pid} does not stop")
        time.sleep(0.001)


def _is_still(thread: Path) -> bool:
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] in "TD"


def _format(image: Path, size_bytes: int) -> None:
    with image.open("wb") as file:
        file.truncate(size_bytes)
    _run("mkfs.ext4", "-q", "-F", str(image))


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
