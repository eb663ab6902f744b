"""What became of one file, and the words beside it that tell a store's IT what to do.

Places and reasons name nobody (the adapters' contract), and nothing else of a document is repeated here.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agent import jsons
from agent.importing import Taken, totals

MAX_FAULTS, MAX_SKIPPED = 1000, 200  # that are written out; all are counted
FAULTS = ("faulty", "refused")
_BY_CODE: Mapping[str, str] = {
    "unreadable": "Do what the reason says. Where the file was cut off, let the system write it anew, whole, under "
    "another name until it is complete.",
    "compressed": "Let the system put the file into the folder unpacked.",
    "empty": "Let the system write the file anew; delete this one.",
    "too-large": "Let the system write smaller files. This one flash-agent import can take, in a process of its own.",
    "too-deep": "This is not a document that the system writes; look where the file comes from.",
    "entities": "Let the system write the file without a document type and without entities.",
    "not-a-record": "Check that the file is of the system whose folder this is.",
    "other-document": "Check that the file is of the system whose folder this is.",
    "unknown-record": "Check that the file is of the system whose folder this is.",
    "more-pages": "Let the system put the other pages into the folder too, each as a file.",
    "unknown-kind": "Correct the kind, or leave the record out.",
    "order-conflict": "The first document about this order stands. If this one is right, correct the order at Flash; "
    "then leave the record out or delete the file.",
    "refund-conflict": "The first document about this refund stands. If this one is right, correct it at Flash; "
    "then leave the record out or delete the file.",
    "validation": "Correct the fields that are named.",
    "unknown-store": "Add the store's code to [documents.stores], and start the agent anew.",
    "internal": "Look into the agent's log, and send it with this report to support.",
}
_MEND = (
    "Correct what the reason names, in the system, in the file or in the settings, and start the agent anew after a"
    " change of settings; see the adapter's page in docs/adapters."
)
_NEXT = (
    "Mend what is named below and move the file back into the folder: what was taken before counts once. If nothing is "
    "to be mended, delete the file. This report goes with it."
)


class Report:
    """Collects what `Importing.take` answered; `failed` and `ends_too_early` are good at the end."""

    def __init__(self, file: str, adapter: str) -> None:
        self._file = file
        self._adapter = adapter
        self.totals: Counter[str] = Counter(totals([]))
        self._faults: list[dict[str, Any]] = []
        self._skipped: list[dict[str, Any]] = []
        self._stores: Counter[str] = Counter()  # that no setting knows
        self._last = ""

    def add(self, taken: Sequence[Taken]) -> None:
        """What became of the next items."""
        self.totals.update(totals(taken))
        for each in taken:
            self._last = _code(each)
            if each.skipped is not None:
                self._stores.update(filter(None, [each.skipped.store]))
            if each.outcome in FAULTS and len(self._faults) < MAX_FAULTS:
                self._faults.append(_spell(each))
            elif each.outcome == "skipped" and len(self._skipped) < MAX_SKIPPED:
                self._skipped.append(_spell(each))

    @property
    def failed(self) -> bool:
        """Whether a person must look."""
        return any(self.totals[outcome] for outcome in FAULTS)

    @property
    def ends_too_early(self) -> bool:
        """Whether it could not be read to its end, as a document that is still being written."""
        return self._last in {"unreadable", "empty"}

    def as_bytes(self, at: str | None) -> bytes | None:
        """The report, JSON for people; None where there is nothing to tell."""
        if not self.failed and not self._skipped:
            return None
        items = [*self._faults, *self._skipped]
        told = sum(self.totals[outcome] for outcome in (*FAULTS, "skipped"))
        document = {
            "file": self._file,
            "adapter": self._adapter,
            "at": at,
            "summary": self._summary(),
            "next": _NEXT if self.failed else "Nothing needs to be done.",
            "totals": dict(self.totals),
            "items": items,
            "notListed": told - len(items),
        }
        return msgspec.json.format(jsons.encode(document), indent=2) + b"\n"

    def _summary(self) -> str:
        count = self.totals
        taken, faults = count["accepted"] + count["replayed"], sum(count[outcome] for outcome in FAULTS)
        again = f" ({count['replayed']} of them had been taken before)" if count["replayed"] else ""
        stores = ", ".join(f"{store} ({sales})" for store, sales in self._stores.most_common())
        unknown = f" Sales in stores that no setting knows: {stores}." if stores else ""
        return (
            f"Taken: {taken}{again}. To be mended: {faults}. Left out, which needs nobody: {count['skipped']}.{unknown}"
        )


def _code(taken: Taken) -> str:
    reason = taken.skipped or taken.refused
    return reason.code if reason is not None else ""


def _spell(taken: Taken) -> dict[str, Any]:
    shown: dict[str, Any] = {"place": taken.place, "outcome": taken.outcome, "code": _code(taken)}
    if taken.skipped is not None:
        shown["reason"] = taken.skipped.reason
    elif taken.refused is not None:
        shown["reason"] = taken.refused.detail
        if taken.refused.faults:
            shown["errors"] = [{"field": fault.field, "message": fault.message} for fault in taken.refused.faults]
    otherwise = "Nothing needs to be done." if taken.outcome == "skipped" else _MEND
    return {**shown, "mend": _BY_CODE.get(_code(taken), otherwise)}
