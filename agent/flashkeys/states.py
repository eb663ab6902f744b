"""What is known of a Flash key besides the key: since when, what Flash said of it, what waits to take its place."""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from pydantic import SecretStr

from agent.clock import rfc3339
from agent.flash.keycheck import Verdict
from agent.flashkeys.sources import Source, fingerprint

WHY = {
    Verdict.SHOWN: "it comes into force now",
    Verdict.UNREACHABLE: "Flash has not answered yet",
    Verdict.UNREADABLE: "Flash does not let it see this till's store",
    Verdict.NOT_SHOWN: "its tenant has no store with this till's store id",
    Verdict.REFUSED: "Flash refuses it",
    Verdict.READS_ONLY: "it may only read",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A key that is not in force yet, and what Flash said of it last."""

    key: SecretStr = field(repr=False)
    source: Source
    since_ms: int
    verdict: Verdict = Verdict.UNREACHABLE

    def as_json(self) -> dict[str, Any]:
        """The fields of WaitingKeyView."""
        return {
            "fingerprint": fingerprint(self.key),
            "source": self.source,
            "since": rfc3339(self.since_ms),
            "reason": self.verdict.value,
            "text": f"{WHY[self.verdict]}.",
        }


@dataclass(frozen=True, slots=True)
class Previous:
    """The key that was replaced last, since the start."""

    key: SecretStr = field(repr=False)
    replaced_ms: int

    def as_json(self) -> dict[str, Any]:
        """Those fields of PreviousKeyView that it knows."""
        return {"fingerprint": fingerprint(self.key), "replacedAt": rfc3339(self.replaced_ms)}


class Slot(msgspec.Struct):
    """One of the two keys. `shown`: whether Flash showed the store under it; None: it was not asked."""

    since_ms: int | None = None
    shown: bool | None = None
    waiting: Waiting | None = None
    previous: Previous | None = None
