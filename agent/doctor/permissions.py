"""Who can get at the data directory, the files of keys and tokens, and the settings."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from agent.doctor import access_lists
from agent.doctor.access_lists import is_key, is_token
from agent.doctor.catalogue import found
from agent.doctor.findings import Finding, fine

if TYPE_CHECKING:
    from agent.doctor.case import Case

_MANY = 5  # names that are shown
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def look(case: "Case") -> Iterator[Finding]:
    """On Windows the access list decides, elsewhere owner and mode."""
    try:
        there = case.data_dir.exists()
    except OSError:
        there = True
    findings = []
    if not there:
        yield found("data-dir-absent", f"{case.data_dir}.", path=str(case.data_dir))
    elif sys.platform == "win32":
        findings = list(access_lists.look(case.data_dir))
    elif not os.access(case.data_dir, os.R_OK | os.X_OK):
        findings = [found("data-dir-unreadable", f"{case.data_dir}.", path=str(case.data_dir))]
    else:
        findings = list(_by_mode(case.data_dir))
    if sys.platform != "win32":
        findings += _settings(case)
    yield from findings
    if there and not findings:
        yield fine("permissions", "The data directory and its keys are their owner's alone.", path=str(case.data_dir))


def _by_mode(folder: Path) -> Iterator[Finding]:
    whole = folder.stat()
    mode = stat.S_IMODE(whole.st_mode)
    if mode & _OTHERS:
        yield found("data-dir-open", f"{folder} has mode {mode:04o}.", path=str(folder), mode=f"{mode:04o}")
    keys, tokens = [], []
    for path in sorted(folder.iterdir()):
        try:
            own = path.lstat()
        except FileNotFoundError:
            continue
        loose = bool(stat.S_IMODE(own.st_mode) & _OTHERS)
        if loose and is_key(path.name):
            keys.append(path.name)
        elif loose and is_token(path.name):
            tokens.append(path.name)
    for code, names in (("key-file-open", keys), ("token-file-open", tokens)):
        if names:
            yield found(code, _listed(names), files=names[:50])
    yield from foreign(folder)


def foreign(folder: Path) -> Iterator[Finding]:
    """Files in the data directory that are not its owner's; nothing where it may not be looked into, and on Windows."""
    names = []
    with contextlib.suppress(OSError):
        owner = folder.stat().st_uid
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_uid != owner:
                    names.append(path.name)
    if names:
        yield found("foreign-owner", _listed(names), files=names[:50])


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MANY} more" if len(names) > _MANY else ""
    return f"{', '.join(names[:_MANY])}{more}."


def _settings(case: "Case") -> Iterator[Finding]:
    """The file of settings, where it holds a key or can be changed by others; and files of keys that it names."""
    flash = case.settings.flash if case.settings else None
    holds_key = bool(flash and (flash.write_key or flash.read_key or flash.proxy))
    mode = _mode(case.config_path)
    if mode is not None and (mode & stat.S_IWOTH or (holds_key and mode & stat.S_IROTH)):
        yield found("config-open", f"{case.config_path} has mode {mode:04o}.", mode=f"{mode:04o}")
    for path in (flash.write_key_file, flash.read_key_file) if flash else ():
        mode = _mode(path) if path else None
        if mode is not None and mode & (stat.S_IROTH | stat.S_IWOTH):
            yield found("key-file-open", f"{path} has mode {mode:04o}.", files=[str(path)])


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
