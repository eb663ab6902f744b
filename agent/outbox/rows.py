"""Rows of the outbox as operations and back: the columns that are read, and what is sealed in them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace

from agent import jsons
from agent.delivery import Kind
from agent.errors import NotFoundError, SealBrokenError
from agent.outbox.operation import Content, Operation, Redeemed, Verdict
from agent.outbox.state import Status
from agent.storage import Row, Sealer, Transaction
from agent.storage.statements import placeholders

READ = (
    "seq, id, kind, status, generation, blocked, attempts, maybe_sent, strikes, accepted_at, next_attempt_at, "
    "settled_at, business_date, key_id, content, outcome_key_id, outcome"
)
_COLUMNS = READ.split(", ")
_SEALED = [place for place, column in enumerate(_COLUMNS) if column in {"content", "outcome"}]


def read_as_json(**instead: str) -> str:
    """An expression for all rows as one JSON text, for `Rows.from_json`; some columns may be others than they are."""
    columns = [
        f"hex({column})" if column in {"content", "outcome"} else instead.get(column, column) for column in _COLUMNS
    ]
    return f"json_group_array(json_array({', '.join(columns)}))"


_WAITING_FOR = """
SELECT waiting.seq, operation.id FROM waiting JOIN operation ON operation.seq = waiting.predecessor
WHERE waiting.seq IN ({rows}) ORDER BY operation.seq
"""
_REDEEMED = """
SELECT seq, phase, honor, basis, credit, first_asked_at, last_asked_at FROM redemption WHERE seq IN ({rows})
"""
DAMAGED = Verdict(code="content-damaged", detail="The stored operation can no longer be read; its disk may be failing.")
_DISCARD = """
UPDATE operation SET status = 'discarded', current = 0, blocked = 0, next_attempt_at = NULL, settled_at = ?,
  outcome = ?, outcome_key_id = ?
WHERE seq = ?
"""


T = TypeVar("T")


class Reader(Protocol):
    """The database, or a transaction on it."""

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return all its rows."""
        ...


class Rows:
    """Opens and seals rows with one sealer."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def get(self, reader: Reader, operation_id: str) -> Operation:
        """One operation; raises NotFoundError."""
        for row in await reader.fetch(f"SELECT {READ} FROM operation WHERE id = ?", [operation_id]):  # noqa: S608
            return self.operation(row)
        raise NotFoundError("There is no operation with this id.", code="operation-not-found")

    async def add_waiting_for(self, reader: Reader, operations: Sequence[Operation]) -> None:
        """Fill in `waiting_for` of those that are blocked; one may stand there twice, accepted and found again."""
        blocked = [operation for operation in operations if operation.blocked]
        if not blocked:
            return
        found: dict[int, list[str]] = {operation.seq: [] for operation in blocked}
        for seq, operation_id in await reader.fetch(_WAITING_FOR.format(rows=placeholders(len(found))), list(found)):
            found[seq].append(operation_id)
        for operation in blocked:
            operation.waiting_for = list(dict.fromkeys(found[operation.seq]))

    async def add_redeemed(self, reader: Reader, operations: Sequence[Operation]) -> None:
        """Fill in `redeemed` of those that are redemptions."""
        redemptions = {operation.seq: operation for operation in operations if operation.kind is Kind.REDEMPTION}
        if not redemptions:
            return
        rows = await reader.fetch(_REDEEMED.format(rows=placeholders(len(redemptions))), list(redemptions))
        for seq, phase, honor, *rest in rows:
            redemptions[seq].redeemed = Redeemed(phase, bool(honor), *rest)

    def from_json(self, text: str) -> list[Operation]:
        """The operations of `read_as_json`."""
        rows = jsons.loads_own(text)
        for row in rows:
            for place in _SEALED:
                row[place] = bytes.fromhex(row[place]) or None
        return [self.operation(row) for row in rows]

    def operation(self, row: Row) -> Operation:
        """The operation of a row whose first columns are READ.

        What does not open any more (bits that flipped on the disk pass SQLite's own check) is left out and said, so
        that one damaged row harms itself alone.
        """
        seq, operation_id, kind, status, generation, blocked, *rest = row[: len(_COLUMNS)]
        *plain, key_id, content, outcome_key_id, outcome = rest
        attempts, maybe_sent, strikes, accepted_at, next_attempt_at, settled_at, business_date = plain
        opened = self._open(Content.from_bytes, content, operation_id, "content", key_id)
        verdict = self._open(Verdict.from_bytes, outcome, operation_id, "outcome", outcome_key_id)
        damaged = (content is not None and opened is None) or (outcome is not None and verdict is None)
        return Operation(
            seq=seq,
            id=operation_id,
            kind=Kind(kind),
            status=Status(status),
            generation=generation,
            blocked=bool(blocked),
            attempts=attempts,
            maybe_sent=maybe_sent,
            strikes=strikes,
            accepted_at=accepted_at,
            next_attempt_at=next_attempt_at,
            settled_at=settled_at,
            business_date=business_date,
            content=opened,
            verdict=DAMAGED if damaged else verdict or Verdict(),
        )

    def _open(
        self, read: Callable[[bytes], T], sealed: bytes | None, operation_id: str, column: str, key_id: int | None
    ) -> T | None:
        if sealed is None or key_id is None:
            return None
        try:
            return read(self._sealer.open(sealed, operation_id, column, key_id))
        except (SealBrokenError, ValueError, TypeError):
            return None

    def seal_verdict(self, operation_id: str, verdict: Verdict) -> tuple[bytes, int]:
        """The outcome column and the id of its key."""
        key_id, sealed = self._sealer.seal(verdict.to_bytes(), operation_id, "outcome")
        return sealed, key_id

    async def keep_verdict(self, transaction: Transaction, operation: Operation, verdict: Verdict) -> None:
        """Write what is known of an outcome, and nothing else."""
        sealed, key_id = self.seal_verdict(operation.id, verdict)
        await transaction.fetch(
            "UPDATE operation SET outcome = ?, outcome_key_id = ? WHERE seq = ?", [sealed, key_id, operation.seq]
        )

    async def discard(
        self, transaction: Transaction, operations: Sequence[Operation], by: str, reason: str, now_ms: int
    ) -> None:
        """Write operations off under a name and a reason, beside what was known of them; their keys are free again."""
        for operation in operations:
            verdict = replace(operation.verdict, by=by, reason=reason)
            sealed, key_id = self.seal_verdict(operation.id, verdict)
            await transaction.fetch(_DISCARD, [now_ms, sealed, key_id, operation.seq])
            await transaction.fetch("DELETE FROM request_key WHERE seq = ?", [operation.seq])


def bearable(found: Iterable[Sequence[Any]], max_bytes: int) -> Iterator[list[int]]:
    """The numbers of rows (number and size first) in groups that may each be opened in one go; one row always may."""
    group: list[int] = []
    size = 0
    for seq, length, *_ in found:
        size += length or 0
        if group and size > max_bytes:
            yield group
            group, size = [], length or 0
        group.append(seq)
    if group:
        yield group
