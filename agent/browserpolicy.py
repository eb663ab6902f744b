"""Chrome's and Edge's machine policies that let a web register reach this agent on loopback without asking.

Since version 142 they ask whoever sits at the till whether a page may reach the machine itself, and three refusals
count for good. The policies `LoopbackNetworkAllowedForUrls` (from 146 on) and `LocalNetworkAccessAllowedForUrls`
(before that) answer for the pages that they list. Windows alone; raises AgentError with the mend.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from agent.errors import AgentError

_BROWSERS = (r"SOFTWARE\Policies\Google\Chrome", r"SOFTWARE\Policies\Microsoft\Edge")
_POLICIES = ("LoopbackNetworkAllowedForUrls", "LocalNetworkAccessAllowedForUrls")
LISTS = tuple(f"{browser}\\{policy}" for browser in _BROWSERS for policy in _POLICIES)
OURS = r"SOFTWARE\Flash POS Agent"  # remembers what we wrote, so that we take away no more
_VALUE = "AllowedOrigins"


def allow(origins: Sequence[str]) -> None:
    """List the origins in each policy, besides what is listed there already."""
    registry = _registry()
    ours = set(_remembered(registry))
    for path in LISTS:
        with _opened(registry, path) as key:
            listed = dict(_values(registry, key))
            for origin in origins:
                if origin in listed.values():
                    continue
                number = next(str(number) for number in range(1, len(listed) + 2) if str(number) not in listed)
                listed[number] = origin
                registry.SetValueEx(key, number, 0, registry.REG_SZ, origin)
                ours.add((path, origin))
    with _opened(registry, OURS) as key:
        lines = sorted(f"{path} {origin}" for path, origin in ours)
        registry.SetValueEx(key, _VALUE, 0, registry.REG_MULTI_SZ, lines)


def remove() -> list[str]:
    """Take away what `allow` wrote, and nothing else; returns the origins."""
    registry = _registry()
    ours = set(_remembered(registry))
    for path in LISTS if ours else ():
        with _opened(registry, path) as key:
            for name, origin in list(_values(registry, key)):
                if (path, origin) in ours:
                    registry.DeleteValue(key, name)
    if ours:
        with _opened(registry, OURS) as key:
            registry.DeleteValue(key, _VALUE)
    return sorted({origin for _, origin in ours})


def _registry() -> Any:
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415 - Windows' own

        return winreg
    raise AgentError("Browsers' policies are written on Windows alone. Elsewhere, see docs/decisions/0021-windows.md.")


def _opened(registry: Any, path: str) -> Any:
    try:
        rights = registry.KEY_READ | registry.KEY_WRITE | registry.KEY_WOW64_64KEY
        return registry.CreateKeyEx(registry.HKEY_LOCAL_MACHINE, path, 0, rights)
    except PermissionError:
        raise AgentError("The machine's policies may not be written. Run this as an administrator.") from None


def _values(registry: Any, key: Any) -> Iterator[tuple[str, Any]]:
    for index in range(registry.QueryInfoKey(key)[1]):
        name, value, _ = registry.EnumValue(key, index)
        yield name, value


def _remembered(registry: Any) -> Iterator[tuple[str, str]]:
    """The list and the origin of each value that is ours; an origin holds no blank."""
    with _opened(registry, OURS) as key:
        for line in dict(_values(registry, key)).get(_VALUE, []):
            path, _, origin = line.rpartition(" ")
            yield path, origin
