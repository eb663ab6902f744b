"""What happened since: operations accepted or changed after a place in the outbox's history, in pages.

A place is a `Cursor`: everything accepted up to one number and every change up to another. Both numbers are given by
the one writer in the order of the commits, so that no clock, no kill and no slow commit can put something behind a
place that was passed already. An operation is told as it is now, so a page may tell less often than things happened.

The numbers belong to one database file; `epoch` names it. Read by the events; fails as the store does.
"""

import secrets
from typing import NamedTuple

import msgspec

from agent import jsons
from agent.outbox.operation import Operation
from agent.outbox.rows import Rows, read_as_json
from agent.storage import Database

EPOCH_FACT = "event-epoch"
MAX_PAGE_BYTES = 256 * 1024  # of contents; opening more would hold the event loop, and with it every register

_OPERATIONS = read_as_json()
_NEWEST = "SELECT (SELECT COALESCE(max(seq), 0) FROM operation), (SELECT COALESCE(max(n), 0) FROM change)"
# One row, one snapshot: what was accepted since, as it is now; what changed since, and of that what was accepted
# before. A page ends early where its contents would be large.
_AFTER = f"""
WITH fresh AS MATERIALIZED (
  SELECT seq
  FROM (
    SELECT seq, sum(size) OVER (ORDER BY seq) - size AS before
    FROM (SELECT seq, COALESCE(length(content), 0) AS size FROM operation WHERE seq > ?1 ORDER BY seq LIMIT ?3)
  )
  WHERE before < ?4
),
since AS MATERIALIZED (
  SELECT n, changed
  FROM (
    SELECT n, changed, sum(size) OVER (ORDER BY n) - size AS before
    FROM (
      SELECT n, change.operation AS changed, COALESCE(length(content), 0) AS size
      FROM change LEFT JOIN operation ON operation.seq = change.operation
      WHERE n > ?2 ORDER BY n LIMIT ?3
    )
  )
  WHERE before < ?4
)
SELECT
  (SELECT {_OPERATIONS} FROM operation WHERE seq IN (SELECT seq FROM fresh)),
  (SELECT json_group_array(json_array(n, changed)) FROM since),
  (SELECT {_OPERATIONS} FROM operation WHERE seq <= ?1 AND seq IN (SELECT changed FROM since)),
  (SELECT COALESCE(max(seq), 0) FROM operation),
  (SELECT COALESCE(max(n), 0) FROM change),
  (SELECT COALESCE(min(n), 1) FROM change)
"""  # noqa: S608 - constants


class Cursor(NamedTuple):
    """A place: the number of the last operation accepted and of the last change before it."""

    accepted: int
    changed: int


class Page(msgspec.Struct, frozen=True):
    """What happened after a place: each operation with the place behind it.

    `end` is where the next page begins, `newest` the place where nothing has happened after yet. `is_whole`: nothing
    between the asked place and this page is missing (the log reaches back so far, and the place is one of this file).
    """

    operations: list[tuple[Cursor, Operation]]
    end: Cursor
    newest: Cursor
    is_whole: bool

    @property
    def behind(self) -> int:
        """How much happened that the next pages tell; an upper bound."""
        return self.newest.accepted - self.end.accepted + self.newest.changed - self.end.changed


class History:
    """The history of one store."""

    def __init__(self, database: Database, rows: Rows) -> None:
        self._database = database
        self._rows = rows

    async def epoch(self) -> str:
        """The name of this database file's numbering: 8 hex digits, made when first asked for."""
        fresh = secrets.token_hex(4)
        rows = await self._database.fetch("SELECT value FROM fact WHERE name = ?", [EPOCH_FACT])
        if rows:
            return str(rows[0][0].decode("ascii"))
        await self._database.fetch("INSERT INTO fact (name, value) VALUES (?, ?)", [EPOCH_FACT, fresh.encode()])
        return fresh

    async def newest(self) -> Cursor:
        """The place where nothing has happened after yet."""
        ((accepted, changed),) = await self._database.fetch(_NEWEST)
        return Cursor(accepted, changed)

    async def after(self, place: Cursor, limit: int) -> Page:
        """Up to `limit` accepted and `limit` changed operations."""
        ((accepted, since, changed, *bounds),) = await self._database.fetch(_AFTER, [*place, limit, MAX_PAGE_BYTES])
        found = sorted(self._rows.from_json(accepted), key=lambda operation: operation.seq)
        earlier = {operation.seq: operation for operation in self._rows.from_json(changed)}
        last = found[-1].seq if found else place.accepted
        told = [(Cursor(operation.seq, place.changed), operation) for operation in found]
        changes: list[tuple[int, int]] = sorted(jsons.loads_own(since))
        latest = {seq: n for n, seq in changes}  # what changed twice is told once, at its last place
        told += [(Cursor(last, n), earlier[seq]) for seq, n in latest.items() if seq in earlier]
        told.sort(key=lambda item: item[0])
        end = Cursor(last, changes[-1][0] if changes else place.changed)
        if told:
            told[-1] = (end, told[-1][1])  # what the page passes over is told by it too
        operations = [operation for _, operation in told]
        await self._rows.add_waiting_for(self._database, operations)
        await self._rows.add_redeemed(self._database, operations)
        newest_seq, newest_change, first_change = bounds
        is_whole = place.accepted <= newest_seq and first_change - 1 <= place.changed <= newest_change
        return Page(told, end, Cursor(newest_seq, newest_change), is_whole)
