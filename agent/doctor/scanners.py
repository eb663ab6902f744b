"""Which virus scanners run here, as far as that can be had cheaply: by the names of processes, and Windows' filters."""

import subprocess
import sys
from contextlib import suppress

import psutil

_LIMIT_S = 2.0
# Process names, in lower case and without .exe, of scanners that look at files on access.
_KNOWN = {
    "msmpeng": "Microsoft Defender",
    "mssense": "Microsoft Defender for Endpoint",
    "wdavdaemon": "Microsoft Defender for Endpoint",
    "avp": "Kaspersky",
    "kesl": "Kaspersky",
    "ekrn": "ESET",
    "oaeventd": "ESET",
    "ccsvchst": "Symantec",
    "sepwscsvc64": "Symantec",
    "mcshield": "Trellix (McAfee)",
    "sentinelagent": "SentinelOne",
    "csfalconservice": "CrowdStrike Falcon",
    "falcon-sensor": "CrowdStrike Falcon",
    "savservice": "Sophos",
    "sophosfilescanner": "Sophos",
    "avastsvc": "Avast",
    "avgsvc": "AVG",
    "bdservicehost": "Bitdefender",
    "epsecurityservice": "Bitdefender",
    "ntrtscan": "Trend Micro",
    "tmccsf": "Trend Micro",
    "wrsa": "Webroot",
    "cylancesvc": "Cylance",
    "mbamservice": "Malwarebytes",
    "fortiesnac": "FortiClient",
    "fmon": "FortiClient",
    "clamonacc": "ClamAV on access",
}


def scanners() -> tuple[list[str], list[str] | str]:
    """The products seen running, and Windows' file system filters (or why those are not known)."""
    seen = set()
    with suppress(psutil.Error, OSError):
        for process in psutil.process_iter(["name"]):
            name = (process.info["name"] or "").lower().removesuffix(".exe")
            if name in _KNOWN:
                seen.add(_KNOWN[name])
    return sorted(seen), _filters()


def _filters() -> list[str] | str:
    return _of_windows() if sys.platform == "win32" else "there are none on this system"


def _of_windows() -> list[str] | str:
    try:
        said = subprocess.run(["fltmc", "filters"], capture_output=True, check=False, timeout=_LIMIT_S)  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return "not known: fltmc does not run"
    if said.returncode:
        return "not known: it needs administrator"
    return filters_in(said.stdout.decode(errors="replace"))


def filters_in(listed: str) -> list[str]:
    """The names in what `fltmc filters` prints, below its line of dashes."""
    lines = listed.splitlines()
    below = next((number for number, line in enumerate(lines) if line.startswith("---")), len(lines))
    return [line.split()[0] for line in lines[below + 1 :] if line.split()]
