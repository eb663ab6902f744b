"""The machine a run was made on, as far as it explains the figures; no names of hosts or directories."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import timeit
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.processes import REPOSITORY

_LIBRARIES = ("aiohttp", "uvloop", "pydantic", "aiosqlite", "httpx", "persist-queue", "huey", "redis")


def filesystem(directory: Path) -> str:
    """The type of the file system that holds a directory."""
    best, kind = "", "unknown"
    resolved = str(directory.resolve())
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, this_kind, *_ = line.split()
        inside = resolved == mount or resolved.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, this_kind
    return kind


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(REPOSITORY), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def commit() -> str:
    """The commit that was measured."""
    if shutil.which("git") is None:
        return "unknown"
    name = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--", "agent", "benchmarks")
    return f"{name or 'none yet'}{' with local changes' if changed else ''}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} absent"


def _interpreter() -> str:
    """How quick it is by itself: the same version may be built with and without optimisation."""
    turns = 100_000
    loop = f"for i in range({turns}): made[i % 1000] = str(i)"
    least_s = min(timeit.repeat(loop, "made = {}", number=1, repeat=20))
    return f"{least_s / turns * 1e9:.0f} ns a turn of a plain loop"


def facts(directory: Path) -> dict[str, str]:
    """What the report says about the machine."""
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "cores": f"{len(os.sched_getaffinity(0))} ({_processor()})",
        "memory": f"{memory_gb:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "disk": filesystem(directory),
        "Python": f"{platform.python_implementation()} {platform.python_version()}; {_interpreter()}",
        "SQLite": sqlite3.sqlite_version,
        "libraries": ", ".join(_installed(name) for name in _LIBRARIES),
    }
