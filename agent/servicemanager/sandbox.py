"""What systemd lets the service see and write, besides what owners and modes say: the unit's own, with its drop-ins.

A folder outside the data directory is read-only for the service until a drop-in names it; home directories and the
system's /tmp it does not see at all.
"""

import shlex
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent.servicemanager.systemd import UNIT

_LIMIT_S = 3
_PROPERTIES = (
    "LoadState", "SupplementaryGroups", "ProtectSystem", "ProtectHome", "PrivateTmp", "StateDirectory",
    "ReadWritePaths", "BindPaths", "BindReadOnlyPaths",
)  # fmt: skip
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - names, not files of ours
_SYSTEM = {"yes": ("/usr", "/boot", "/efi"), "full": ("/usr", "/boot", "/efi", "/etc"), "strict": ("/",)}


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`hidden` and `read_only` are what lies below these; `writable` and `shown` what is excepted from it."""

    groups: tuple[str, ...] = ()
    hidden: tuple[Path, ...] = ()
    shown: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()

    def hides(self, path: Path) -> bool:
        """Whether the service cannot see what root sees there."""
        return _below(path, self.hidden) and not _below(path, self.shown)

    def keeps_from_writing(self, path: Path) -> bool:
        """Whether the service may not write there, whatever the mode says."""
        return _below(path, self.read_only) and not _below(path, self.writable)


def of_service() -> Sandbox | None:
    """The service's; None where systemd knows no such service, or does not answer."""
    program = shutil.which("systemctl")
    if program is None:
        return None
    command = [program, "show", f"--property={','.join(_PROPERTIES)}", UNIT]
    try:
        said = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, check=True, timeout=_LIMIT_S, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return sandbox_in(said.stdout.decode("utf-8", "replace"))


def sandbox_in(shown: str) -> Sandbox | None:
    """The same, from what `systemctl show` printed."""
    facts = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if facts.get("LoadState") != "loaded":
        return None
    hidden = _HOMES if facts.get("ProtectHome") in {"yes", "tmpfs"} else ()
    temporary = _TEMPORARY if facts.get("PrivateTmp") in {"yes", "disconnected"} else ()
    bound = _paths(facts.get("BindPaths", ""))
    state = [Path("/var/lib") / name for name in facts.get("StateDirectory", "").split()]
    return Sandbox(
        groups=tuple(facts.get("SupplementaryGroups", "").split()),
        hidden=(*hidden, *temporary),
        shown=(*bound, *_paths(facts.get("BindReadOnlyPaths", ""))),
        read_only=tuple(map(Path, _SYSTEM.get(facts.get("ProtectSystem", ""), ()))),
        writable=(*_paths(facts.get("ReadWritePaths", "")), *bound, *state),
    )


def _paths(words: str) -> tuple[Path, ...]:
    """Each as the service sees it: of a bound one, its second part."""
    try:
        found = shlex.split(words)
    except ValueError:
        found = words.split()
    return tuple(Path(each.lstrip("-+").split(":")[-1 if each.count(":") == 1 else 0]) for each in found)


def _below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
