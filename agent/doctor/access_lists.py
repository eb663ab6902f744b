"""Windows' access lists, read as text (SDDL), which is the same in every language of Windows."""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.catalogue import found
from agent.doctor.findings import Finding

_LIMIT_S = 4.0
_ENTRY = re.compile(r"\((?P<kind>[A-Z]+);[^;]*;(?P<rights>[^;]*);[^;]*;[^;]*;(?P<who>[^;)]+)\)")
# Owner rights, system, administrators, whoever made a file, and accounts of services.
_OURS = re.compile(r"OW|SY|BA|CO|S-1-3-4|S-1-5-18|S-1-5-32-544|S-1-3-0|S-1-5-80-[\d-]+")
_EVERYBODY = {
    "WD": "Everyone", "S-1-1-0": "Everyone", "BU": "Users", "S-1-5-32-545": "Users", "AU": "Authenticated Users",
    "S-1-5-11": "Authenticated Users", "IU": "whoever is logged in", "BG": "Guests", "AN": "Anonymous",
}  # fmt: skip


def look(folder: Path) -> Iterator[Finding]:
    """Accounts other than the owner, the system and administrators that are allowed anything in a directory."""
    sddl = _sddl(folder)
    if sddl is None:
        yield found("data-dir-unreadable", f"{folder}.", path=str(folder))
        return
    strangers = strangers_in(sddl)
    if strangers:
        yield found("data-dir-open", f"{folder} is open to {', '.join(strangers)}.", path=str(folder), who=strangers)


def strangers_in(sddl: str) -> list[str]:
    """Whom an access list allows something and who is not ours: groups by name, single accounts by number.

    The account that owns the directory may be named as well; it is taken for ours.
    """
    owner = re.match(r"O:([^:]+?)(?=[GDS]:|$)", sddl)
    found_here = []
    for entry in _ENTRY.finditer(sddl.partition("S:")[0] if "S:(" in sddl else sddl):
        who = entry["who"]
        allowed = entry["kind"] in {"A", "OA", "XA"}
        if allowed and not _OURS.fullmatch(who) and not (owner and who == owner[1]):
            found_here.append(_EVERYBODY.get(who, who))
    return sorted(set(found_here))


def _sddl(folder: Path) -> str | None:
    """As icacls saves it; its printed form is translated."""
    with tempfile.TemporaryDirectory() as place:
        saved = Path(place) / "list"
        command = ["icacls", str(folder), "/save", str(saved), "/q"]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=_LIMIT_S)  # noqa: S603 - our own
            lines = saved.read_bytes().decode("utf-16").splitlines() if done.returncode == 0 else []
        except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
            return None
    return lines[1] if len(lines) > 1 else None
