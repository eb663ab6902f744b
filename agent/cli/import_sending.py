"""What an adapter found, sent to the running agent in batches, patiently: it may be away or full for a while."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.adapters.base import Item, Skipped
from agent.adapters.canonical import line_of
from agent.cli import text
from agent.cli.client import AgentClient, ApiError
from agent.cli.import_tally import Outcome
from agent.errors import AgentError, ConfigError

MAX_ITEMS = 200
MAX_SKIPPED = 2000
MAX_BYTES = 256 * 1024  # unless a single item is larger
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
PATH = "/v1/documents/canonical"
MEDIA = "application/x-ndjson"


@dataclass
class Batch:
    """Items in a row. `upto` numbers its last one, from 1, among all of the file."""

    upto: int = 0
    size: int = 0
    places: list[str] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    skipped: list[Outcome] = field(default_factory=list)

    def has_room_for(self, line: bytes) -> bool:
        return not self.lines or (len(self.lines) < MAX_ITEMS and self.size + len(line) <= MAX_BYTES)


def batches(items: Iterable[Item], done: int) -> Iterator[Batch]:
    """All items but the first `done`, in their order."""
    batch = Batch()
    for number, item in enumerate(items, 1):
        if number <= done:
            continue
        if isinstance(item, Skipped):
            outcome = "faulty" if item.fault else "skipped"
            batch.skipped.append(Outcome(outcome, item.place, item.code, item.reason, store=item.store))
        else:
            line = line_of(item)
            if not batch.has_room_for(line):
                yield batch
                batch = Batch()
            batch.places.append(item.place)
            batch.lines.append(line)
            batch.size += len(line)
        batch.upto = number
        if len(batch.skipped) >= MAX_SKIPPED:
            yield batch
            batch = Batch()
    if batch.upto:
        yield batch


class Sender:
    """Sends batches to the agent of a data directory, wherever it listens by then.

    `say` tells the person that it waits. Raises AgentError when the agent says no for good, or was away for longer than
    `patience_s`.
    """

    def __init__(self, data_dir: Path, patience_s: float, say: Callable[[str], None], query: dict[str, str]) -> None:
        self._data_dir = data_dir
        self._patience_s = patience_s
        self._say = say
        self._query = query
        self._client: AgentClient | None = None

    def send(self, batch: Batch) -> list[Outcome]:
        """What became of the items of a batch."""
        answers = self._answers(batch.lines) if batch.lines else []
        if len(answers) != len(batch.places):
            raise AgentError(f"The agent told of {len(answers)} items where {len(batch.places)} were sent.")
        return batch.skipped + [_outcome(answer, place) for answer, place in zip(answers, batch.places, strict=True)]

    def _answers(self, lines: list[bytes]) -> list[dict[str, Any]]:
        try:
            answer: dict[str, Any] = self._patiently(b"".join(lines))
        except ApiError as error:
            if error.status != 413:
                raise
            if len(lines) == 1:
                return [{"outcome": "refused", "reason": {"code": error.code, "reason": str(error)}}]
            half = len(lines) // 2
            return self._answers(lines[:half]) + self._answers(lines[half:])
        return list(answer["items"])

    def _patiently(self, body: bytes) -> Any:
        pause_s, until = FIRST_PAUSE_S, None
        while True:
            try:
                if self._client is None:
                    self._client = AgentClient(self._data_dir)
                return self._client.call("POST", PATH, body, self._query, MEDIA)
            except ConfigError:
                raise
            except AgentError as error:
                if isinstance(error, ApiError) and not error.problem.get("retryable"):
                    raise
                trouble, self._client = error, None  # it may come back on another port
            if until is None:
                until = time.monotonic() + self._patience_s
                self._say(f"{text.printable(trouble)} Waiting up to {text.duration(self._patience_s)} for it.")
            if time.monotonic() + pause_s > until:
                raise trouble
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _outcome(answer: dict[str, Any], place: str) -> Outcome:
    reason = answer.get("reason") or {}
    faults = "; ".join(f"{fault['field']} {fault['message']}" for fault in reason.get("errors") or ())
    words = " ".join(filter(None, (reason.get("reason", ""), faults)))
    catalog = answer.get("catalog") or {"rows": 0, "unchanged": 0}
    return Outcome(answer["outcome"], place, reason.get("code", ""), words, catalog["rows"], catalog["unchanged"])
