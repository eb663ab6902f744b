"""Chrome's and Edge's machine policies that let a web register reach this agent on loopback without asking.

Since version 142 they ask whoever sits at the till whether a page may reach the machine itself, and three refusals
count for good. The policies `LoopbackNetworkAllowedForUrls` (from 146 on) and `LocalNetworkAccessAllowedForUrls`
(before that) answer for the pages that they list. Windows alone; raises AgentError with the mend.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from agent.errors import AgentError

_BROWSERS = (r"SOFTWARE\Policies\Google\Chrome", r"SOFTWARE\Policies\Microsoft\Edge")
_POLICIES = ("LoopbackNetworkAllowedForUrls", "LocalNetworkAccessAllowedForUrls")
LISTS = tuple(f"{browser}\\{policy}" for browser in _BROWSERS for policy in _POLICIES)
OURS = r"SOFTWARE\Flash POS Agent"  # remembers what we wrote, so that we take away no more
_VALUE = "AllowedOrigins"


def allow(origins: Sequence[str]) -> None:
    """List the origins in each policy, besides what is listed there already.

    Every list that may be written is, whatever becomes of the others; raises AgentError, which names those.
    """
    registry = _registry()
    ours = set(_remembered(registry))
    refused = []
    for path in LISTS:
        try:
            with _opened(registry, path) as key:
                listed = dict(_values(registry, key))
                for origin in (each for each in origins if each not in listed.values()):
                    ours.add((path, origin))
                    _remember(registry, ours)  # before it is written, or nobody would ever take it out
                    number = next(str(number) for number in range(1, len(listed) + 2) if str(number) not in listed)
                    registry.SetValueEx(key, number, 0, registry.REG_SZ, origin)
                    listed[number] = origin
        except PermissionError:
            refused.append(path)
    _must_be_none(refused)


def remove() -> list[str]:
    """Take away what `allow` wrote, and nothing else; returns the origins. Raises AgentError as `allow` does."""
    registry = _registry()
    ours = set(_remembered(registry))
    refused = []
    for path in sorted({path for path, _ in ours}):
        try:
            with _opened(registry, path) as key:
                for name, origin in list(_values(registry, key)):
                    if (path, origin) in ours:
                        registry.DeleteValue(key, name)
        except PermissionError:
            refused.append(path)
    left = {each for each in ours if each[0] in refused}
    if left != ours:
        _remember(registry, left)
    _must_be_none(refused)
    return sorted({origin for _, origin in ours})


def _registry() -> Any:
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415 - Windows' own

        return winreg
    raise AgentError("Browsers' policies are written on Windows alone. Elsewhere, see docs/decisions/0021-windows.md.")


def _opened(registry: Any, path: str) -> Any:
    """A key of the machine's, made where it is missing; raises PermissionError."""
    rights = registry.KEY_READ | registry.KEY_WRITE | registry.KEY_WOW64_64KEY
    return registry.CreateKeyEx(registry.HKEY_LOCAL_MACHINE, path, 0, rights)


def _must_be_none(refused: Sequence[str]) -> None:
    if refused:
        keys = ", ".join(f"HKLM\\{path}" for path in refused)
        raise AgentError(
            f"Windows refuses to have this changed: {keys}. Run this as an administrator; where you are one, whoever "
            "closed it (a policy of the domain, a management tool) must list the origins there."
        )


def _values(registry: Any, key: Any) -> Iterator[tuple[str, Any]]:
    for index in range(registry.QueryInfoKey(key)[1]):
        name, value, _ = registry.EnumValue(key, index)
        yield name, value


def _remembered(registry: Any) -> Iterator[tuple[str, str]]:
    """The list and the origin of each value that is ours; an origin holds no blank."""
    try:
        key = registry.OpenKey(registry.HKEY_LOCAL_MACHINE, OURS, 0, registry.KEY_READ | registry.KEY_WOW64_64KEY)
    except FileNotFoundError:
        return
    with key:
        lines = dict(_values(registry, key)).get(_VALUE, [])
    for line in lines:
        path, _, origin = line.rpartition(" ")
        yield path, origin


def _remember(registry: Any, ours: Iterable[tuple[str, str]]) -> None:
    """Write them down; our own key goes with the last of them."""
    lines = sorted(f"{path} {origin}" for path, origin in ours)
    with _opened(registry, OURS) as key:
        registry.SetValueEx(key, _VALUE, 0, registry.REG_MULTI_SZ, lines)
    if not lines:
        registry.DeleteKeyEx(registry.HKEY_LOCAL_MACHINE, OURS, registry.KEY_WOW64_64KEY)
