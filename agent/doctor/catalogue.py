"""Every kind of finding there is; docs/doctor.md is made from it."""

from collections.abc import Mapping

from agent.doctor import catalogue_of_disk, catalogue_of_line, catalogue_of_till
from agent.doctor.findings import Finding, Kind

_PARTS = (catalogue_of_till, catalogue_of_disk, catalogue_of_line)
KINDS: Mapping[str, Kind] = {kind.code: kind for part in _PARTS for kind in part.KINDS}
# What a report goes through, from the till outwards. A check may be several of these.
CHECKS = (
    "configuration", "permissions", "account", "agent", "service", "version", "upgrade", "port", "disk", "antivirus",
    "database", "recovery", "dns", "proxy", "network", "tls", "flash", "clock", "key", "scopes", "store", "limit",
    "conditions", "doctor",
)  # fmt: skip


def found(code: str, particulars: str = "", /, **details: object) -> Finding:
    """A finding of a declared kind."""
    return Finding(KINDS[code], particulars, details)
