"""The parts of a support bundle, each as text. Fields are named here one by one; what is not named does not go."""

import importlib.metadata
import os
import platform
import re
import ssl
import stat
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from agent import __version__, jsons
from agent.clock import rfc3339
from agent.doctor import log_sources
from agent.doctor.case import Case
from agent.doctor.findings import Finding
from agent.storage import DataDir, upgrade_record
from agent.storage.inspection import SQLITE_VERSION, inspect

ANSWER_S = 10.0
FAILED = 100
DIAGNOSTICS = "/v1/diagnostics"
_NO_AGENT = "No agent answers.\n"
_LIBRARIES = (
    "aiohttp", "aiosqlite", "cryptography", "filelock", "httpx", "msgspec", "psutil", "pydantic", "pydantic-settings",
    "structlog", "truststore", "uvloop", "winloop",
)  # fmt: skip
# Names that the agent itself gives; of any other file its size alone is listed.
_OWN_NAMES = re.compile(
    r"agent\.(db|db-wal|db-mark|db-shm|db-journal|lock|json)(\.(new|found))?|data\.key(\.recovery)?(\.new)?"
    r"|flash-(write|read)(\.(next|previous))?\.key(\.new)?|(register|operator)\.token|tokens\.json"
    r"|mended\.db|reason\.txt|state\.json|agent\.log(\.\d)?|imports|quarantine|upgrades|logs"
    r"|[0-9a-f]{16,64}\.json|\d{8}T\d{6}Z_*(\.moving)?|(newer-)?\d{8}T\d{6}Z\.db(-wal|-shm|-journal)?"
)
# What an operation may have failed with; Flash's own words are its own.
_CODES = frozenset({
    "validation", "order-conflict", "idempotency-conflict", "conflict-unexplained", "conflict-in-flight",
    "order-unknown", "coupon-not-redeemable", "flash-unreachable", "throttled", "server-error", "unexpected-answer",
    "unexpected-refusal", "flash-key-refused", "flash-endpoint-refused", "key-missing", "key-unverified",
    "batch-refused", "discarded", "closed",
})  # fmt: skip


def text_of(document: Any) -> str:
    """Indented JSON."""
    import msgspec  # noqa: PLC0415 - where something is made

    return msgspec.json.format(jsons.dumps(document), indent=2) + "\n"


def findings_json(findings: Iterable[Finding]) -> str:
    return text_of({"version": __version__, "findings": [finding.as_json() for finding in findings]})


def asked(case: Case, path: str) -> str:
    """The running agent's answer, whole: it shows it to every register or operator."""
    if case.agent != "running" or case.ask is None:
        return _NO_AGENT
    if case.offline and path == DIAGNOSTICS:
        return "Flash was left out (--offline).\n"
    return text_of(case.ask(path, ANSWER_S))


def metrics(case: Case) -> str:
    return str(case.ask("/metrics", ANSWER_S)) if case.agent == "running" and case.ask else _NO_AGENT


def versions() -> str:
    """Not `platform.uname()`: it knows the machine's name."""
    libraries = {}
    for name in _LIBRARIES:
        try:
            libraries[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # a binary brings no list of them
            continue
    return text_of(
        {
            "program": __version__,
            "frozen": bool(getattr(sys, "frozen", False)),
            "python": sys.version.split()[0],
            "sqlite": SQLITE_VERSION,
            "openssl": ssl.OPENSSL_VERSION,
            "system": _system(),
            "libraries": libraries,
        }
    )


def _system() -> str:
    if sys.platform == "win32":
        return "Windows " + ".".join(map(str, sys.getwindowsversion()[:3]))
    try:
        named = platform.freedesktop_os_release().get("PRETTY_NAME", sys.platform)
    except OSError:
        named = sys.platform
    return f"{named}, kernel {os.uname().release}, {os.uname().machine}"


def files(data_dir: Path) -> str:
    """Every file of the data directory."""
    if not data_dir.is_dir():
        return "There is no data directory.\n"
    listed = []
    for path in sorted(data_dir.rglob("*")):
        try:
            found = path.lstat()
        except OSError:
            continue
        listed.append(
            {
                "name": "/".join(_named(part) for part in path.relative_to(data_dir).parts),
                "bytes": found.st_size,
                "mode": stat.filemode(found.st_mode),
                "owner": found.st_uid,
                "changed": rfc3339(found.st_mtime_ns // 1_000_000),
            }
        )
    return text_of(listed)


def _named(part: str) -> str:
    return part if _OWN_NAMES.fullmatch(part) else "(another name)"


def database(case: Case) -> str:
    """Schema, migrations and numbers; of a running agent what it says itself."""
    directory = DataDir(case.data_dir)
    set_aside = [_named(folder.name) for folder in directory.quarantined()]
    if case.agent == "running":
        said = case.status or {}
        kept = {name: said.get(name) for name in ("pending", "failed", "disk", "redemptions")}
        return text_of({"quarantined": set_aside, **kept})
    if not directory.database.exists():
        return text_of({"quarantined": set_aside, "database": "there is none"})
    if case.agent != "absent":
        return text_of({"quarantined": set_aside, "database": "an agent has it"})
    seen = inspect(directory.database)
    if seen is None:
        return text_of({"quarantined": set_aside, "database": "it changed while it was looked at"})
    migrations = [dict(zip(("room", "number", "name", "at"), row, strict=True)) for row in seen.migrations]
    return text_of(
        {
            "quarantined": set_aside,
            "quickCheck": seen.damage or "ok",
            "schema": seen.schema,
            "migrations": migrations,
            "operations": seen.counts,
        }
    )


def upgrade(data_dir: Path) -> str:
    """The record, of its figures the numbers of rows."""
    record = upgrade_record.read(upgrade_record.path_in(DataDir(data_dir).upgrades))
    if record is None:
        return "There was none, or its record cannot be read.\n"
    versions_of = {"from": record.former, "to": record.to}
    return text_of(
        {
            "phase": record.phase,
            "at": record.at,
            **{name: each and {"program": each.program, "schema": each.schema} for name, each in versions_of.items()},
            "snapshot": record.snapshot is not None,
            "figures": {name: rows for name, rows in record.figures.items() if name.startswith("rows of ")},
        }
    )


def failed(case: Case) -> str:
    """The last failed operations: no order, no member, no amount."""
    if case.agent == "running" and case.ask is not None:
        page = case.ask(f"/v1/operations?status=failed&limit={FAILED}", ANSWER_S)
        return text_of([_failed(operation) for operation in page["operations"]])
    directory = DataDir(case.data_dir)
    if case.agent != "absent" or not directory.database.exists():
        return _NO_AGENT
    seen = inspect(directory.database)
    rows = seen.failed if seen else []
    names = ("kind", "acceptedAt", "settledAt", "attempts")
    return text_of(
        [dict(zip(names, (kind, rfc3339(at), rfc3339(end), tries), strict=True)) for kind, at, end, tries in rows]
    )


def _failed(operation: Mapping[str, Any]) -> dict[str, Any]:
    error = operation["error"] or {}
    code = error.get("code")
    return {
        **{name: operation[name] for name in ("kind", "status", "acceptedAt", "settledAt", "attempts")},
        "code": code if code in _CODES else "another",
        "httpStatus": error.get("httpStatus"),
    }


def log(data_dir: Path) -> str:
    return "\n".join(log_sources.recent(data_dir)) + "\n"
