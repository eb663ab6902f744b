"""Whose a configuration is: from one that somebody without rights laid down, the Flash keys would go to his address.

Every user may make a folder below C:\\ProgramData, and owns it until a service is installed; on Linux a careless
`chmod` does as much. What lies there is therefore looked at before it is taken for ours.
"""

import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.errors import ConfigError
from agent.servicemanager.account import service_sid

_OURS = frozenset({"S-1-5-18", "S-1-5-32-544", service_sid()})  # the system, administrators, the service
_REPARSE_POINT = 0x400


def must_be_ours(config: Path, fault: Callable[[Path], str | None] | None = None) -> None:
    """Raises ConfigError where agent.toml, its folder or, on Windows, what else is in it may be somebody else's.

    What is not there is no fault. `fault` says what is wrong with one path, None for nothing; the system's own way by
    default.
    """
    for path in _looked_at(config):
        if found := (fault or _fault)(path):
            raise ConfigError(
                f"{path} {found}: somebody else may have written it, and the Flash keys would go where it says. "
                f"Nothing was read from it. Delete it; or look at [flash] base_url in {config} and, if all is as you "
                f"want it, make it yours: {_mend(path)}"
            )


def _looked_at(config: Path) -> Iterator[Path]:
    folder = config.parent
    if not os.path.lexists(folder):
        return
    yield folder
    if sys.platform == "win32":  # the data directory, with tokens and keys
        yield from sorted(folder.iterdir())
    elif config.exists():
        yield config


def _fault(path: Path) -> str | None:
    if sys.platform == "win32":
        return _fault_on_windows(path)
    return posix_fault(path.stat(), os.geteuid())


def posix_fault(status: os.stat_result, own_uid: int) -> str | None:
    """What is wrong with a path of root's, or of this user's."""
    if status.st_uid not in {0, own_uid}:
        return f"belongs to user {status.st_uid}, not to root"
    if status.st_mode & stat.S_IWOTH or (status.st_mode & stat.S_IWGRP and status.st_gid != 0):
        return f"may be written by others than root (mode {stat.S_IMODE(status.st_mode):04o})"
    return None


def windows_fault(owner: str, own: str, attributes: int) -> str | None:
    """The same, by the numbers of its owner and of this user, who is an administrator, and its attributes."""
    if attributes & _REPARSE_POINT:
        return "leads to another place"
    if owner not in _OURS | {own}:
        return f"belongs to {owner}, not to administrators, the system or the service"
    return None


def _fault_on_windows(path: Path) -> str | None:
    import pywintypes  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: PLC0415 - Windows' own
    import win32api  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: PLC0415
    import win32security  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: PLC0415

    spelled = win32security.ConvertSidToStringSid
    try:
        asked = win32security.OWNER_SECURITY_INFORMATION
        described = win32security.GetNamedSecurityInfo(str(path), win32security.SE_FILE_OBJECT, asked)
        owner = spelled(described.GetSecurityDescriptorOwner())
        token = win32security.OpenProcessToken(win32api.GetCurrentProcess(), win32security.TOKEN_QUERY)
        own = spelled(win32security.GetTokenInformation(token, win32security.TokenUser)[0])
    except pywintypes.error as error:
        return f"does not tell whose it is ({error.strerror.strip()})"
    return windows_fault(owner, own, getattr(path.lstat(), "st_file_attributes", 0))


def _mend(path: Path) -> str:
    if sys.platform == "win32":
        return f'icacls "{path}" /setowner *S-1-5-32-544 (as an administrator)'
    return f"sudo chown root {path} && sudo chmod go-w {path}"
