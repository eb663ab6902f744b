"""Where the service's log is: the journal on Linux, files in the data directory on Windows."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from agent import plainfile
from agent.doctor.log_lines import kept
from agent.scrub import scrubbed
from agent.servicemanager.systemd import UNIT

LINES = 3000
_LAST_LINES = 60
_OWN = "flash-agent: "
FILE_BYTES = 1024 * 1024  # of the end of each
FILES = 3
_LIMIT_S = 6.0


def recent(data_dir: Path) -> list[str]:
    """The end of the log, as it may leave the till, under a heading for each place; says where there is none."""
    found: list[str] = []
    for path in _files(data_dir):
        found += [f"# {path.name}", *_kept_of(path)]
    journal = list(_journal())
    if journal:
        found += [f"# journal of {UNIT}", *journal]
    return found or ["There is no log of a service here. An agent that was started by hand writes to standard error."]


def last_words(data_dir: Path) -> str:
    """Why the service ended, in its own words; empty where it did not say, or listened after it."""
    if sys.platform == "win32":
        return ending(recent(data_dir)[-_LAST_LINES:])
    return ending(list(_journal(_LAST_LINES)))


def ending(lines: list[str]) -> str:
    """The last line that says why a start ended, of lines as they may leave the till."""
    for line in reversed(lines):
        if line.startswith("flash-agent listens"):
            return ""
        if line.startswith(_OWN) and not line.startswith(f"{_OWN}systemd: "):
            return line.removeprefix(_OWN)
    return ""


def _files(data_dir: Path) -> list[Path]:
    """The newest last."""
    changed = {}
    for path in (data_dir / "logs").glob("agent.log*"):
        with contextlib.suppress(OSError):  # gone meanwhile
            changed[path] = path.lstat().st_mtime
    return sorted(changed, key=changed.__getitem__)[-FILES:]


def _kept_of(path: Path) -> Iterator[str]:
    """Of a file and no link: root looks here, and the service's user may have laid one to what root alone may see."""
    try:
        content, is_cut = plainfile.end(path.parent, path.name, FILE_BYTES)
    except OSError as error:
        yield f"(left out: {error.strerror})"
        return
    lines = content.decode("utf-8", "replace").splitlines()
    yield from kept(lines[1:] if is_cut else lines)


def _journal(lines: int = LINES) -> Iterator[str]:
    """Each message with its time; the service manager's own words about the unit, too."""
    program = shutil.which("journalctl")
    if program is None:
        return
    command = [program, "-u", UNIT, "-n", str(lines), "--no-pager", "-q", "-o", "json"]
    try:
        said = subprocess.run(command, capture_output=True, check=False, timeout=_LIMIT_S)  # noqa: S603 - our own
    except (OSError, subprocess.SubprocessError):
        return
    yield from in_journal(said.stdout.decode("utf-8", "replace").splitlines())


def in_journal(lines: list[str]) -> Iterator[str]:
    """What `journalctl -o json` prints, as it may leave the till."""
    messages = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        message = entry.get("MESSAGE") if isinstance(entry, dict) else None
        if not isinstance(message, str):
            continue
        if entry.get("_PID") == "1" and entry.get("SYSLOG_IDENTIFIER") == "systemd":
            messages.append(f"flash-agent: systemd: {message.splitlines()[0]}" if message else "")
        else:
            messages += message.splitlines()
    yield from map(scrubbed, kept(messages))
