"""The access list of the data directory on Windows: its owner, the system, administrators and the service, no one else.

Called on Windows alone, where a mode says nothing; `icacls` does it, by numbers, for names are translated.
"""

import os
import subprocess
from pathlib import Path

from agent.errors import AgentError
from agent.servicemanager.account import service_sid

# Whoever owns a file, the system, administrators, the service.
_ALLOWED = ("*S-1-3-4", "*S-1-5-18", "*S-1-5-32-544", f"*{service_sid()}")
_ADMINISTRATORS = "*S-1-5-32-544"
# Windows' own by its whole path: by its name alone, one that somebody laid into the current folder would go first.
_ICACLS = str(Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "icacls.exe"))


def make(place: Path) -> None:
    """The service's data directory, closed before anything lies in it: its account could not do so later.

    Every user may make a folder beside the programs' data, and keeps all rights on what is his own: so it is given to
    administrators first, with all in it. Raises AgentError.
    """
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AgentError(f"{place} cannot be made: {error.strerror}. Run this as an administrator.") from None
    if not (_done([_ICACLS, str(place), "/setowner", _ADMINISTRATORS, "/t", "/q"]) and restrict(place)):
        raise AgentError(f"{place} could not be closed to others. Run this as an administrator.")


def restriction(path: Path) -> list[str]:
    """The command that leaves a directory, and what will be in it, to those who may."""
    granted = [part for who in _ALLOWED for part in ("/grant:r", f"{who}:(OI)(CI)F")]
    return [_ICACLS, str(path), "/inheritance:r", *granted, "/q"]


def restrict(path: Path) -> bool:
    """Do so; whether it worked."""
    return _done(restriction(path))


def _done(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=30)  # noqa: S603 - our own
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
