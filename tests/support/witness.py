"""The oracle of the campaigns: what the agent acknowledged, written down outside it, against what Flash then holds.

A register that saw a 2xx tells the Witness, which keeps a file of its own. In the end every acknowledged operation must
be shown by the agent, and one that the agent calls succeeded must have had exactly one effect in Flash; one that it
still shows as pending, failed, declined or discarded is somebody's to see and so not lost.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.campaign import Tally
from tests.support.strict_flash import StrictFlash


@dataclass(frozen=True, slots=True)
class Verdict:
    """Natural keys that were lost and doubled, and whatever else was not as it must be, in words."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def add_to(self, tally: Tally) -> None:
        """Count it, and say the first few in words."""
        tally.lost += len(self.lost)
        tally.doubled += len(self.doubled)
        said = [f"lost: {name}" for name in self.lost] + [f"doubled: {name}" for name in self.doubled] + self.others
        tally.breaches += said[: max(0, 50 - len(tally.breaches))]


class Witness:
    """Notes acknowledged operations in `path`, a line of JSON each; a file that exists is read first."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+", encoding="utf-8")
        self._file.seek(0)
        self.acknowledged: dict[str, dict[str, Any]] = {}
        for line in self._file:
            self._keep(json.loads(line))

    def _keep(self, operation: Mapping[str, Any]) -> None:
        self.acknowledged[operation["id"]] = {**operation}

    def saw(self, operation: Mapping[str, Any], asked: Mapping[str, Any] | None = None) -> None:
        """A 2xx came with this operation; `asked` is the request's body, which alone names an enrollment's member."""
        noted = {**operation, "asked": asked or {}}
        self._keep(noted)
        self._file.write(json.dumps(noted) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def judge(self, flash: StrictFlash, shown: Iterable[Mapping[str, Any]]) -> Verdict:
        """Hold what was acknowledged against Flash's effects and what the agent shows (`GET /v1/operations`, whole)."""
        verdict = Verdict(others=[f"Flash: {text}" for text in flash.violations])
        now = {operation["id"]: operation for operation in shown}
        effects = Counter(effect["natural"] for effect in list(flash.effects))
        verdict.doubled.extend(flash.doubles())
        for operation_id, operation in self.acknowledged.items():
            name = natural_key(operation)
            if operation_id not in now:
                verdict.lost.append(f"{name} ({operation_id} is not known any more)")
            elif now[operation_id]["status"] == "succeeded" and name is not None and not effects[name]:
                verdict.lost.append(f"{name} ({operation_id} is called succeeded, and Flash knows nothing of it)")
        return verdict


def natural_key(operation: Mapping[str, Any]) -> str | None:
    """The name under which StrictFlash keeps the effect of an operation; None where nothing tells it."""
    request = operation["request"]
    match operation["kind"]:
        case "sale":
            return f"order:{operation['upstreamOrderId']}"
        case "refund":
            return f"refund:{operation['upstreamOrderId']}/{request['refundId']}"
        case "redemption":
            return f"coupon:{request['couponId']}"
        case "enrollment":
            asked = operation.get("asked", {})
            member = asked.get("externalId") or asked.get("email")
            return f"member:{member}" if member else None
        case kind:
            return f"{kind}:{request.get('source')}"
