"""Writes a file that holds a secret: its owner's alone, new, and on the disk, whole or not at all."""

import os
from pathlib import Path

from agent.errors import ConfigError
from agent.storage.sealing import sync_folder


def write_new(path: Path, content: bytes) -> None:
    """Write; raises ConfigError where something is there already, or it cannot be written (then nothing is left)."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(draft, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            _take_name(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        sync_folder(path.absolute().parent)
    except FileExistsError:
        raise ConfigError(f"{path} is there already. Name another file, or move that one away.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


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
