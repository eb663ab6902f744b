"""What the service's own account may use on Windows; administrators may all of it, and would call good what it cannot.

Access lists are read as Windows reads them: in their order, until all that is asked for was allowed or some of it
denied. Drives are letters of one person's session: the service has none of those that somebody mapped.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.config import Settings, default_config_path, site_data_dir
from agent.doctor.account import files_needed
from agent.doctor.catalogue import found
from agent.doctor.findings import Finding, fine
from agent.servicemanager.account import ACCOUNT, service_sid

# Its token: itself, everyone, those that logged on, users, services, this organization, local, console, all services.
_TOKEN = frozenset(
    {
        service_sid(), "S-1-1-0", "S-1-5-11", "S-1-5-32-545", "S-1-5-6", "S-1-5-15", "S-1-2-0", "S-1-2-1", "S-1-5-80-0",
    }
)  # fmt: skip
_OWNER_RIGHTS = "S-1-3-4"
_ALLOWS, _DENIES = 0, 1
_FOR_FILES, _FOR_WHAT_IS_INSIDE = 0x1, 0x8  # flags: handed down to files; of no effect on the folder itself
_GENERIC = {0x80000000: 0x120089, 0x40000000: 0x120116, 0x20000000: 0x1200A0, 0x10000000: 0x1F01FF}
READ = 0x120089
WRITE = 0x120116
_DELETE_INSIDE, _DELETE = 0x40, 0x10000
_REMOTE = 4


@dataclass(frozen=True, slots=True)
class Entry:
    """One of an access list: its kind and flags, the rights as bits, and whose they are by number."""

    kind: int
    flags: int
    rights: int
    who: str


def seen(settings: Settings, config_path: Path, data_dir: Path) -> Iterator[Finding]:
    """What the settings name and that account may not use; nothing where they are not the settings of the service."""
    if config_path != default_config_path() or data_dir != site_data_dir():
        return
    findings = [*_files(settings, config_path), *_spool(settings)]
    yield from findings
    if not findings:
        yield fine("account", f"The agent's account ({ACCOUNT}) may use what the settings name.")


def allows(entries: Iterable[Entry], owner: str, wanted: int) -> bool:
    """Whether an access list, in its order, gives the service's account all of these rights."""
    who = _TOKEN | {_OWNER_RIGHTS} if owner in _TOKEN else _TOKEN
    left = wanted
    for entry in entries:
        if entry.flags & _FOR_WHAT_IS_INSIDE or entry.who not in who:
            continue
        rights = entry.rights
        for generic, meant in _GENERIC.items():
            rights |= meant if entry.rights & generic else 0
        if entry.kind == _DENIES and left & rights:
            return False
        if entry.kind == _ALLOWS:
            left &= ~rights
        if not left:
            return True
    return False


def may_move_out_of(entries: Iterable[Entry], owner: str) -> bool:
    """Whether that of a folder lets it read, write and delete there, also what others put into it."""
    known = list(entries)
    inside = [Entry(each.kind, 0, each.rights, each.who) for each in known if each.flags & _FOR_FILES]
    deletes = allows(known, owner, _DELETE_INSIDE) or allows(inside, owner, _DELETE)
    return deletes and allows(known, owner, READ | WRITE)


def _files(settings: Settings, config_path: Path) -> Iterator[Finding]:
    """Files without which it does not start."""
    for name, path in files_needed(settings, config_path).items():
        facts = {"file": str(path), "account": ACCOUNT}
        if _is_a_persons(path):
            yield found("account-drive", f"{name}, {path}.", **facts)
        elif (listed := _listed(path)) and not allows(*listed, READ):
            yield found("account-unreadable", f"{name}, {path} ({ACCOUNT}).", **facts)


def _spool(settings: Settings) -> Iterator[Finding]:
    """Folders out of which it must be able to move files."""
    for adapter, folder in settings.spool.folders.items():
        facts = {"folder": str(folder), "adapter": adapter, "account": ACCOUNT}
        fault = ""
        if _is_a_persons(folder):
            yield found("spool-drive", f"{adapter}, {folder}.", **facts)
        elif not folder.is_dir():
            fault = "it is no folder" if folder.exists() else "it is missing"
        elif (listed := _listed(folder)) and not may_move_out_of(*listed):
            fault = "it may not read, write and delete there"
        if fault:
            yield found("spool-closed", f"{adapter}, {folder}: {fault} ({ACCOUNT}).", **facts)


def _is_a_persons(path: Path) -> bool:
    """Whether its drive is one that somebody mapped to a share or to a folder (subst), or not there at all.

    An administrator's console has none of those that the same person mapped without those rights.
    """
    if sys.platform == "win32" and len(drive := path.absolute().drive) == 2:  # a share's own name is longer
        import pywintypes  # noqa: PLC0415 - Windows' own
        import win32file  # noqa: PLC0415

        try:
            is_folder = win32file.QueryDosDevice(drive).startswith("\\??\\")
        except pywintypes.error:
            return True  # no such drive
        return is_folder or win32file.GetDriveType(f"{drive}\\") == _REMOTE
    return False


def _listed(path: Path) -> tuple[list[Entry], str] | None:
    """The access list and the owner; None where Windows does not tell, and of a share, whose groups are not ours."""
    if sys.platform == "win32" and len(path.absolute().drive) == 2:
        import pywintypes  # noqa: PLC0415 - Windows' own
        import win32security  # noqa: PLC0415

        spelled = win32security.ConvertSidToStringSid
        what = win32security.OWNER_SECURITY_INFORMATION | win32security.DACL_SECURITY_INFORMATION
        try:
            described = win32security.GetNamedSecurityInfo(str(path), win32security.SE_FILE_OBJECT, what)
            entries = described.GetSecurityDescriptorDacl()
            if entries is None:  # no list at all lets everybody do everything
                return None
            aces = (entries.GetAce(number) for number in range(entries.GetAceCount()))
            known = [Entry(kind, flags, rights, spelled(who)) for (kind, flags), rights, who in aces]
            return known, spelled(described.GetSecurityDescriptorOwner())
        except (pywintypes.error, NotImplementedError, ValueError):
            return None
    return None
