"""Do the settings load, and what is unwise about them?"""

from collections.abc import Iterator
from pathlib import Path

from agent import plainfile
from agent.config.advice import unwise
from agent.doctor.case import Case
from agent.doctor.catalogue import found
from agent.doctor.findings import Finding, fine


def look(case: Case) -> Iterator[Finding]:
    """One finding for each thing that is unwise."""
    if _is_closed(case.config_path):
        yield found("config-unreadable", f"{case.config_path}.", file=str(case.config_path))
        return
    there = case.config_path.exists()
    if case.settings is None:
        yield found("config-unusable", case.config_fault, file=str(case.config_path), exists=there)
        return
    warnings = list(unwise(case.settings))
    for warning in warnings:
        yield found("config-unwise", warning, file=str(case.config_path))
    if not warnings:
        where = str(case.config_path) if there else "no file; defaults and environment"
        yield fine("configuration", f"The settings can be used ({where}).", file=str(case.config_path), exists=there)


def _is_closed(path: Path) -> bool:
    """Whether it is kept from whoever runs this, by itself or by a folder above it."""
    try:
        plainfile.read(path, follow=True)
    except PermissionError:
        return True
    except OSError:
        return False
    return False
