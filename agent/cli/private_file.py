"""Writes a file that holds a secret: its owner's alone, new, and on the disk, whole or not at all."""

from pathlib import Path

from agent.errors import ConfigError
from agent.storage.durable import write_new as write


def write_new(path: Path, content: bytes) -> None:
    """Write; raises ConfigError where something is there already, or it cannot be written (then nothing is left)."""
    try:
        write(path, content)
    except FileExistsError:
        raise ConfigError(f"{path} is there already. Name another file, or move that one away.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
