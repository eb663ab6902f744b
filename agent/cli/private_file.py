"""Writes a file that holds a secret: its owner's alone, new, and on the disk, whole or not at all."""

import os
from pathlib import Path

from agent.errors import ConfigError
from agent.storage.durable import write_new as write


def write_new(path: Path, content: bytes) -> None:
    """Write; raises ConfigError where something is there already, or it cannot be written (then nothing is left)."""
    try:
        write(path, content)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


def must_be_free(path: Path) -> None:
    """Raise ConfigError where it is known beforehand that `path` could not be written."""
    if os.path.lexists(path):
        raise _taken(path)
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{path} cannot be written: there is no folder {folder}.")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{path} cannot be written: you may not write into {folder}.")


def _taken(path: Path) -> ConfigError:
    return ConfigError(f"{path} is there already. Name another file, or move that one away.")
