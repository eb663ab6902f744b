"""What an import has come to so far: counted, kept for going on after an interruption, and reported.

    <data-dir>/imports/<digest>.json    {"items": 4200, "done": false, "reportBytes": 0, "tally": {…}}

The digest is of the file's content and of all that decides what it is read as, so that another file, or the same one
read otherwise, begins anew. A lost or torn file of progress costs nothing but time: everything counts once.
"""

import contextlib
import errno
import hashlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

OUTCOMES = ("accepted", "replayed", "skipped", "faulty", "refused")
FOR_A_PERSON = ("faulty", "refused")
SHOWN = 20
SHOWN_ALIKE = 5  # of one code, lest a thousand of one kind hide the one of another
_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one item; `code` and `reason` are empty where it was accepted or replayed.

    `rows` are a catalog's, `unchanged` those of them that Flash had already. `store` is a code that no setting knows.
    """

    outcome: str
    place: str
    code: str = ""
    reason: str = ""
    rows: int = 0
    unchanged: int = 0
    store: str = ""

    def json(self) -> dict[str, str]:
        """As it stands in a report and in a summary."""
        return {"place": self.place, "outcome": self.outcome, "code": self.code, "reason": self.reason}


@dataclass
class Tally:
    """How many items came to what, by code where there is one, and the first that a person must look at.

    `unknown_stores`: how many sales were left out for each store that no setting knows.
    """

    counts: Counter[str] = field(default_factory=Counter)
    codes: dict[str, Counter[str]] = field(default_factory=dict)
    shown: list[Outcome] = field(default_factory=list)
    rows: int = 0
    unchanged: int = 0
    unknown_stores: Counter[str] = field(default_factory=Counter)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Count more."""
        for each in outcomes:
            self.counts[each.outcome] += 1
            self.rows += each.rows
            self.unchanged += each.unchanged
            self.unknown_stores.update(filter(None, [each.store]))
            alike = 0
            if each.code:
                codes = self.codes.setdefault(each.outcome, Counter())
                codes[each.code] += 1
                alike = codes[each.code]
            if each.outcome in FOR_A_PERSON and alike <= SHOWN_ALIKE and len(self.shown) < SHOWN:
                self.shown.append(each)

    @property
    def for_a_person(self) -> int:
        """How many a person must look at."""
        return sum(self.counts[outcome] for outcome in FOR_A_PERSON)

    def json(self) -> dict[str, Any]:
        """As it is kept, and shown with `--json`."""
        return {
            "totals": {outcome: self.counts[outcome] for outcome in OUTCOMES},
            "codes": {outcome: dict(codes) for outcome, codes in self.codes.items()},
            "first": [each.json() for each in self.shown],
            "catalog": {"rows": self.rows, "unchanged": self.unchanged},
            "unknownStores": dict(self.unknown_stores),
        }

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Tally":
        """A kept one; raises KeyError, TypeError or ValueError where it is none."""
        shown = [Outcome(*(each[name] for name in ("outcome", "place", "code", "reason"))) for each in kept["first"]]
        codes = {outcome: Counter(found) for outcome, found in kept["codes"].items()}
        rows, unchanged = int(kept["catalog"]["rows"]), int(kept["catalog"]["unchanged"])
        return cls(Counter(kept["totals"]), codes, shown, rows, unchanged, Counter(kept["unknownStores"]))


class Progress:
    """How far one file was taken in. `path` is None where it cannot be kept: a pipe, a dry run."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.items = 0  # of those that the adapter finds or skips, how many were acknowledged
        self.is_done = False
        self.report_bytes = 0
        self.tally = Tally()
        self.trouble = ""  # why it cannot be kept
        if path is not None:
            self._load(path)

    def _load(self, path: Path) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            kept = json.loads(path.read_text("utf-8"))
            tally, items = Tally.of(kept["tally"]), int(kept["items"])
            self.is_done, self.report_bytes = bool(kept["done"]), int(kept["reportBytes"])
            self.tally, self.items = tally, items

    def save(self) -> None:
        """Keep it, whole or not at all."""
        if self._path is None or self.trouble:
            return
        fields = {"items": self.items, "done": self.is_done, "reportBytes": self.report_bytes}
        draft = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            _must_be_a_folder(self._path.parent)
            draft.unlink(missing_ok=True)
            with open(draft, "x", encoding="utf-8", opener=_closed) as file:
                file.write(json.dumps({**fields, "tally": self.tally.json()}))
            _give_to_the_agent(self._path.parent, draft)
            draft.replace(self._path)
        except PermissionError as error:
            if os.name != "nt":  # there a virus scanner may hold it for a moment: the next one will do
                self.trouble = str(error.strerror)
        except OSError as error:
            self.trouble = str(error.strerror)

    @property
    def is_kept(self) -> bool:
        """Whether an interrupted import can go on from here."""
        return self._path is not None and not self.trouble

    def remove(self) -> None:
        """There is nothing to go on with."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)


def _closed(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _must_be_a_folder(folder: Path) -> None:
    """Of our own making: root would follow a link anywhere. Raises OSError."""
    if folder.is_symlink():
        raise OSError(errno.ELOOP, f"{folder} is a link")


def _give_to_the_agent(folder: Path, draft: Path) -> None:
    """What root makes in the data directory belongs to its owner, who forgets it where it no longer holds."""
    if sys.platform != "win32" and os.geteuid() == 0:
        owner = folder.parent.stat()
        os.chown(draft, owner.st_uid, owner.st_gid, follow_symlinks=False)
        os.chown(folder, owner.st_uid, owner.st_gid, follow_symlinks=False)


def progress_path(data_dir: Path, source: BinaryIO, read_as: Mapping[str, Any]) -> Path:
    """Where the progress of a file is kept; `read_as` is all that decides what it is read as. Rewinds the file."""
    digest = hashlib.sha256()
    while block := source.read(_BLOCK_BYTES):
        digest.update(block)
    digest.update(json.dumps(read_as, sort_keys=True, default=str).encode())
    source.seek(0)
    return data_dir / "imports" / f"{digest.hexdigest()}.json"


class Report:
    """Everything that was not taken, as JSON Lines; without a path it writes nothing. Raises OSError."""

    def __init__(self, path: Path | None, *, goes_on: bool) -> None:
        self._file: IO[bytes] | None = None
        if path is not None:
            self._file = path.open("r+b" if goes_on and path.exists() else "wb")
            self._file.seek(0, os.SEEK_END)

    def go_on_at(self, size: int) -> None:
        """Forget what was written behind the last progress that was kept."""
        if self._file is not None and self._file.tell() > size:
            self._file.truncate(size)
            self._file.seek(size)

    def add(self, outcomes: Iterable[Outcome], file: str) -> int:
        """Write those that were not taken; returns the size of the report in bytes."""
        if self._file is None:
            return 0
        for each in outcomes:
            if each.code:
                self._file.write(json.dumps({"file": file, **each.json()}).encode() + b"\n")
        self._file.flush()
        return self._file.tell()

    def close(self) -> None:
        """Close it."""
        if self._file is not None:
            self._file.close()
