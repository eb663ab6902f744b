"""Options that several commands share."""

import argparse
import errno
from collections.abc import Callable
from datetime import date
from pathlib import Path

from agent import plainfile
from agent.errors import ConfigError


def add_place(parser: argparse.ArgumentParser) -> None:
    """`--data-dir`."""
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="the data directory (default: FLASH_AGENT_DATA_DIR, else the site's or your own: see config check)",
    )


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config`."""
    parser.add_argument(
        "--config", metavar="FILE", help="the configuration file (default: FLASH_AGENT_CONFIG, else site-wide)"
    )


def port(text: str) -> int:
    """A port number; 0 lets the system choose."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return number


def day(text: str) -> str:
    """A date as ISO 8601 has it."""
    try:
        if len(text) == len("2026-03-14"):
            return date.fromisoformat(text).isoformat()
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-03-14")


def count(text: str) -> int:
    """A number from 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return int(text)


def read_small_file(path: Path, what: str, *, follow: bool = True) -> str:
    """The stripped text of a file; raises ConfigError naming it.

    Without `follow` a link is refused, and whatever else is no small plain file: where root reads what another user
    wrote, a link may lead to what only root may see.
    """
    try:
        content = _bounded(path) if follow else plainfile.read(path)
        return content.decode("utf-8-sig").strip()
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{what} {path} cannot be read: it is not UTF-8.") from None


def _bounded(path: Path) -> bytes:
    """What somebody names here may be a pipe, and may not be without an end."""
    with path.open("rb") as file:
        content = file.read(plainfile.LIMIT + 1)
    if len(content) > plainfile.LIMIT:
        raise OSError(errno.EFBIG, "It is longer than such a file ever is", str(path))
    return content


def typed(reading: Callable[[], str], what: str) -> str:
    """The stripped text of what somebody types or pipes; raises ConfigError where its bytes are no UTF-8.

    Python reads such bytes as half characters, which nothing can send, seal or compare.
    """
    try:
        said = reading().strip()
        said.encode()
    except UnicodeError:
        raise ConfigError(f"{what} is not UTF-8. Type it at a terminal set to UTF-8, or save it so.") from None
    return said
