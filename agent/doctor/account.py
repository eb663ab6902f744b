"""What the agent's own account may read and write.

Root may all of it, and would call good what the service cannot use.
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent.config import PACKAGED_CONFIG, Settings, site_data_dir
from agent.doctor.catalogue import found
from agent.doctor.findings import Finding, fine
from agent.servicemanager import sandbox
from agent.servicemanager.sandbox import Sandbox

if TYPE_CHECKING:
    from agent.doctor.case import Case

    if sys.platform != "win32":
        from pwd import struct_passwd

USER = "flash-agent"  # the package's
_LIMIT_S = 2


class Account(NamedTuple):
    """One of this system's."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @property
    def is_us(self) -> bool:
        """Whether we are it."""
        return sys.platform != "win32" and self.uid == os.geteuid()

    def may(self, path: Path, rights: str) -> bool:
        """Whether it has all these rights (`rwx`) on a path, access lists and the folders above included.

        True where that cannot be told. What asks has a session of its own: another program of that account could take
        hold of it, and root's terminal would be within its reach.
        """
        if self.is_us:
            return os.access(path, sum({"r": os.R_OK, "w": os.W_OK, "x": os.X_OK}[right] for right in rights))
        program = shutil.which("test")
        if program is None:
            return True
        asked = " -a ".join(f"-{right} PATH" for right in rights).split()
        command = [program, *(str(path) if word == "PATH" else word for word in asked)]
        try:
            done = subprocess.run(  # noqa: S603 - the system's, as that account
                command, user=self.uid, group=self.gid, extra_groups=self.groups, cwd="/", env={}, check=False,
                stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT_S, start_new_session=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return True
        return done.returncode != 1


def of_agent(data_dir: Path, config_path: Path, groups: tuple[str, ...] = ()) -> Account | None:
    """Whoever owns the data directory, or will make it; None where that is neither we nor one that we may act as."""
    if sys.platform == "win32":
        return None
    import pwd  # noqa: PLC0415 - not on Windows

    us = os.geteuid()
    try:
        uid = data_dir.stat().st_uid
    except FileNotFoundError:
        uid = _packaged(pwd.getpwall()) if us == 0 and config_path == PACKAGED_CONFIG else us
    except OSError:
        return None
    if us not in {0, uid}:
        return None
    import grp  # noqa: PLC0415

    try:
        who = pwd.getpwuid(uid)
    except KeyError:
        return None
    more = [group.gr_gid for group in grp.getgrall() if {group.gr_name, str(group.gr_gid)} & {*groups}]
    return Account(who.pw_name, who.pw_uid, who.pw_gid, (*os.getgrouplist(who.pw_name, who.pw_gid), *more))


def _packaged(users: "Iterable[struct_passwd]") -> int:
    return next((user.pw_uid for user in users if user.pw_name == USER), 0)


def look(case: "Case") -> Iterator[Finding]:
    """What the settings name and the agent's account may not use; of a service, as its unit lets it."""
    if case.settings is not None:
        yield from seen(case.settings, case.config_path, case.data_dir)


def seen(settings: Settings, config_path: Path, data_dir: Path) -> Iterator[Finding]:
    """The same, where only these are at hand; it loads no more than they did."""
    if sys.platform == "win32":
        from agent.doctor import service_account  # noqa: PLC0415 - there alone

        yield from service_account.seen(settings, config_path, data_dir)
        return
    is_the_service = config_path == PACKAGED_CONFIG and data_dir == site_data_dir()
    box = sandbox.of_service() if is_the_service else None
    account = of_agent(data_dir, config_path, box.groups if box else ())
    if account is None:
        return
    findings = [*_unreadable(settings, config_path, account, box), *_spool(settings, account, box)]
    yield from findings
    if not findings and not account.is_us:
        yield fine("account", f"The agent's account ({account.name}) may use what the settings name.")


def files_needed(settings: Settings, config_path: Path) -> dict[str, Path]:
    """Those without which an agent does not start, by what names them."""
    flash, receipt = settings.flash, settings.receipt
    files = {
        "the settings": config_path if config_path.exists() else None,
        "[flash] write_key_file": flash.write_key_file if flash.write_key is None else None,
        "[flash] read_key_file": flash.read_key_file if flash.read_key is None else None,
        "[flash] ca_file": flash.ca_file,
        "[receipt] templates_file": receipt.templates_file,
    }
    return {name: path for name, path in files.items() if path is not None}


def _unreadable(settings: Settings, config_path: Path, account: Account, box: Sandbox | None) -> Iterator[Finding]:
    for name, path in files_needed(settings, config_path).items():
        whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay
        if box is not None and box.hides(whole.resolve()):
            yield found("account-hidden", f"{name}, {path}.", file=str(path), account=account.name)
        elif not account.may(whole, "r"):
            yield found("account-unreadable", f"{name}, {path} ({account.name}).", file=str(path), account=account.name)


def _spool(settings: Settings, account: Account, box: Sandbox | None) -> Iterator[Finding]:
    """Folders out of which it must be able to move files."""
    for adapter, folder in settings.spool.folders.items():
        facts = {"folder": str(folder), "adapter": adapter, "account": account.name}
        whole = folder.resolve()
        if box is not None and (box.hides(whole) or box.keeps_from_writing(whole)):
            hidden = "; /home, /root and /tmp it does not see at all" if box.hides(whole) else ""
            yield found("spool-outside", f"{adapter}, {folder}{hidden}.", **facts)
        elif fault := _fault(folder, account):
            yield found("spool-closed", f"{adapter}, {folder}: {fault} ({account.name}).", **facts)


def _fault(folder: Path, account: Account) -> str:
    try:
        status = folder.stat()
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be looked at, {error.strerror}"
    if not stat.S_ISDIR(status.st_mode):
        return "it is no folder"
    if not account.may(folder, "rwx"):
        return "it may not read and write there"
    if status.st_mode & stat.S_ISVTX and account.uid not in {0, status.st_uid}:
        return "it has the sticky bit, and only a file's owner may move it there"
    return ""
