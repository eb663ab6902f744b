"""Passphrases: asked for, or read from a file; never an argument, which the list of processes shows to others."""

import sys
from pathlib import Path

from agent.cli.options import read_small_file, typed
from agent.errors import ConfigError

MIN_CHARS = 10
_LONGEST = 4096
_TRIES = 3
_WHAT = "The passphrase"


def read(file: str) -> str:
    """From a file, `-` is standard input; raises ConfigError where there is none."""
    if file == "-":
        return _sound(typed(lambda: sys.stdin.readline(_LONGEST), _WHAT))
    return _sound(read_small_file(Path(file), _WHAT))


def chosen() -> str:
    """A new one, asked for twice, and again where that went wrong: what comes before it may have taken minutes."""
    if not sys.stdin.isatty():
        return read("-")
    from getpass import getpass

    for left in reversed(range(_TRIES)):
        try:
            first = _sound(typed(lambda: getpass("A passphrase for the file (not shown): "), _WHAT))
            if first == typed(lambda: getpass("The same again: "), _WHAT):
                return first
            raise ConfigError("The two differ; nothing was sealed.")
        except ConfigError as error:
            if not left:
                raise
            print(error, file=sys.stderr)
    raise AssertionError


def asked() -> str:
    """The one that a file was sealed with."""
    if not sys.stdin.isatty():
        return read("-")
    from getpass import getpass

    return typed(lambda: getpass("The file's passphrase (not shown): "), _WHAT)


def _sound(passphrase: str) -> str:
    if len(passphrase) < MIN_CHARS:
        raise ConfigError(f"The passphrase needs {MIN_CHARS} characters at least; a few words are best.")
    return passphrase
