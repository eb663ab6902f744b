"""Findings: what a check can say, declared once, and what it did say.

A kind has a stable code, the check that it belongs to, and words for a store's IT: what it means for the till at the
counter, and one thing to do. A finding adds particulars and facts, neither of them personal data nor a key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """How soon a person must act; in the order in which a report names them."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of finding. `replaces` names the agent's conditions that say the same.

    `blind`: it says that something could not be looked at, for want of rights or of an answer of this machine's.
    """

    code: str
    check: str
    severity: Severity
    title: str
    meaning: str
    mend: str
    replaces: tuple[str, ...] = ()
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found; `particulars` end the title."""

    kind: Kind
    particulars: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The kind's, with the particulars."""
        return f"{self.kind.title} {self.particulars}".strip()

    def as_json(self) -> dict[str, Any]:
        """The shape in `doctor --json`."""
        kind = self.kind
        return {
            "check": kind.check,
            "code": kind.code,
            "severity": kind.severity.value,
            "title": self.title,
            "meaning": kind.meaning,
            "mend": kind.mend,
            "details": dict(self.details),
        }


def fine(check: str, title: str, **details: Any) -> Finding:
    """Nothing is wrong there."""
    return Finding(Kind(f"{check}-ok", check, Severity.OK, title, "", ""), details=details)


def unseen(findings: Iterable[Finding]) -> list[str]:
    """The checks that could not look at all of their part."""
    return list(dict.fromkeys(finding.kind.check for finding in findings if finding.kind.blind))


def ordered(findings: Iterable[Finding], checks: Iterable[str]) -> list[Finding]:
    """The gravest first, then as the checks come; a condition of the agent that a check named better is left out."""
    found = list(findings)
    said = {condition for finding in found for condition in finding.kind.replaces}
    place = {check: number for number, check in enumerate(checks)}
    grave = list(Severity)
    kept = [finding for finding in found if finding.kind.check != "conditions" or finding.kind.code not in said]
    return sorted(kept, key=lambda each: (grave.index(each.kind.severity), place.get(each.kind.check, len(place))))
