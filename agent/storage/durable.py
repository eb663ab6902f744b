"""Small files that are on the disk, whole, when a call returns, or not there; and patience with virus scanners."""

import os
from collections.abc import Callable
from pathlib import Path

_PIECE_BYTES = 1024 * 1024


def replace_patiently(source: Path, target: Path) -> None:
    """Rename over what is there; on Windows a virus scanner may hold either file for a moment."""
    _patiently(lambda: source.replace(target))


def remove_patiently(path: Path) -> None:
    """Delete a file, if it is there; as patient."""
    _patiently(lambda: path.unlink(missing_ok=True))


def _patiently(change: Callable[[], object]) -> None:
    try:
        change()
    except PermissionError:
        import tenacity  # noqa: PLC0415 - an agent that nobody disturbs never loads it

        tenacity.retry(
            retry=tenacity.retry_if_exception_type(PermissionError),
            stop=tenacity.stop_after_attempt(20),
            wait=tenacity.wait_fixed(0.05),
            reraise=True,
        )(change)()


def write_durably(path: Path, content: bytes) -> None:
    """Write a small file (0600) so that it is there, whole, after a power cut; its directory entry too.

    The draft is always a new file: one that lies there may be a link to somebody else's, or open to others.
    """
    draft = path.with_name(path.name + ".new")
    remove_patiently(draft)
    _write(draft, content)
    try:
        replace_patiently(draft, path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """The same, but never over what is there: raises FileExistsError then, and leaves nothing of its own."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    _write(draft, content)
    try:
        _take_name(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.absolute().parent)


def write_again(path: Path) -> bool:
    """Put on the disk what a log holds, though the system believe that it is there; whether that went well.

    After a sync that failed Linux takes the pages for written, and the next sync says yes without writing them. Where
    they are in place already it takes no room.
    """
    try:
        with path.open("r+b") as log:
            at = 0
            while piece := log.read(_PIECE_BYTES):
                log.seek(at)
                log.write(piece)
                at += len(piece)
            log.flush()
            os.fsync(log.fileno())
    except OSError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make its entries durable; Windows journals renames, and cannot open a directory."""
    if os.name == "posix":
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _write(draft: Path, content: bytes) -> None:
    """A new file, on the disk; what went wrong leaves none."""
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _take_name(draft: Path, path: Path) -> None:
    """Never over what is there; where the file system has no hard links, as well as can be told."""
    if os.name == "nt":
        draft.rename(path)  # refuses there
        return
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        raise
    except OSError:  # a USB stick's FAT
        if path.exists():
            raise FileExistsError(path) from None
        draft.rename(path)
