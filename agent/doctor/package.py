"""How Debian's dpkg holds the agent's package: an update that failed leaves it half done.

The till sells all the while, with the version that was switched back to, so nothing else would tell of it.
"""

import shutil
import subprocess
from collections.abc import Iterator

from agent.doctor.case import Case
from agent.doctor.catalogue import found
from agent.doctor.findings import Finding

PACKAGE = "flash-pos-agent"
LIMIT_S = 3.0
_UNFINISHED = frozenset({"half-installed", "unpacked", "half-configured"})
_WANTED = "${db:Status-Status} ${db:Status-Eflag} ${Version}"


def look(_: Case) -> Iterator[Finding]:
    """One finding where the package is neither installed whole nor away; nothing without dpkg."""
    state, flag, version = _held()
    if state in _UNFINISHED or flag == "reinstreq":
        said = state if flag != "reinstreq" else f"{state}, to be installed again"
        yield found("package-unfinished", f"version {version or 'unknown'} is {said}.", version=version, state=state)


def _held() -> tuple[str, str, str]:
    """State, flag of an error, and version; empty texts where there is no such package, or no answer."""
    program = shutil.which("dpkg-query")
    if program is None:
        return "", "", ""
    try:
        said = subprocess.run(  # noqa: S603 - our own words
            [program, "--show", f"--showformat={_WANTED}", PACKAGE],
            capture_output=True, check=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "", "", ""
    state, flag, version, *_ = [*said.stdout.decode("utf-8", "replace").split(), "", "", ""]
    return state, flag, version
