"""Windows' access lists, read as text (SDDL), which is the same in every language of Windows."""

import re
from collections.abc import Iterator
from pathlib import Path

from agent.doctor.catalogue import found
from agent.doctor.findings import Finding

_ENTRY = re.compile(r"\((?P<kind>[A-Z]+);[^;]*;(?P<rights>[^;]*);[^;]*;[^;]*;(?P<who>[^;)]+)\)")
# Owner rights, system, administrators, whoever made a file, and accounts of services.
_OURS = re.compile(r"OW|SY|BA|CO|LS|NS|S-1-3-4|S-1-5-18|S-1-5-32-544|S-1-3-0|S-1-5-80-[\d-]+")
_EVERYBODY = {
    "WD": "Everyone", "S-1-1-0": "Everyone", "BU": "Users", "S-1-5-32-545": "Users", "AU": "Authenticated Users",
    "S-1-5-11": "Authenticated Users", "IU": "whoever is logged in", "BG": "Guests", "AN": "Anonymous",
}  # fmt: skip


def look(folder: Path) -> Iterator[Finding]:
    """Accounts other than the owner, the system and administrators that are allowed anything in a directory.

    Its files are looked at one by one, for Windows lets everybody through a directory that they may not list.
    """
    try:
        strangers = _strangers(folder)
        files = {path.name: _strangers(path) for path in sorted(folder.iterdir()) if path.is_file()}
    except OSError:
        yield found("data-dir-unreadable", f"{folder}.", path=str(folder))
        return
    if strangers:
        yield found("data-dir-open", f"{folder} is open to {', '.join(strangers)}.", path=str(folder), who=strangers)
    loose = {name: who for name, who in files.items() if who}
    for code, is_one in (("key-file-open", is_key), ("token-file-open", is_token)):
        named = {name: who for name, who in loose.items() if is_one(name)}
        if named:
            everybody = sorted({each for who in named.values() for each in who})
            yield found(code, f"{', '.join(named)} to {', '.join(everybody)}.", files=list(named), who=everybody)


def is_key(name: str) -> bool:
    """Whether a file of the data directory holds keys."""
    return name.startswith("data.key") or name.endswith(".key")


def is_token(name: str) -> bool:
    """Whether it holds tokens, or their hashes."""
    return name.endswith(".token") or name == "tokens.json"


def strangers_in(sddl: str) -> list[str]:
    """Whom an access list allows something and who is not ours: groups by name, single accounts by number.

    The account that owns the directory may be named as well; it is taken for ours.
    """
    owner = re.match(r"O:([^:]+?)(?=[GDS]:|$)", sddl)
    found_here = ["Everyone"] if "NO_ACCESS_CONTROL" in sddl else []
    for entry in _ENTRY.finditer(re.split(r"S:(?=[A-Z]*\()", sddl)[0]):
        who = entry["who"]
        allowed = entry["kind"] in {"A", "OA", "XA"}
        if allowed and not _OURS.fullmatch(who) and not (owner and who == owner[1]):
            found_here.append(_EVERYBODY.get(who, who))
    return sorted(set(found_here))


def _strangers(path: Path) -> list[str]:
    """Raises OSError where the access list may not be read."""
    import pywintypes  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: PLC0415 - Windows' own
    import win32security  # type: ignore[import-not-found,import-untyped,unused-ignore] # noqa: PLC0415

    what = win32security.OWNER_SECURITY_INFORMATION | win32security.DACL_SECURITY_INFORMATION
    try:
        described = win32security.GetNamedSecurityInfo(str(path), win32security.SE_FILE_OBJECT, what)
        spelled = win32security.ConvertSecurityDescriptorToStringSecurityDescriptor
        return strangers_in(spelled(described, win32security.SDDL_REVISION_1, what))
    except pywintypes.error as error:
        raise OSError(error.winerror, error.strerror) from None
