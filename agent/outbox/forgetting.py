"""What the outbox holds of a member who asks to be forgotten: erased where it is settled, owed where it is not.

Settled operations become tombstones, as retention makes them: what recognises a repeat stays (hashes, status), what
was asked and answered goes. What is not settled is still sent, for the customer's own points are in it, and loses its
content the moment it is settled (a trigger). Slices keep registers from waiting. Called by the members room.
"""

from collections.abc import Sequence
from typing import NamedTuple

from agent.outbox.state import UNSETTLED
from agent.storage import Database, Transaction
from agent.storage.database import placeholders

_SLICE = 2_000  # rows looked at in one transaction: some milliseconds

# Operations that name the member, and refunds and other operations of the same orders.
_NAMED = """
SELECT seq, status FROM operation
WHERE seq BETWEEN ? AND ? AND content IS NOT NULL
  AND EXISTS (SELECT 1 FROM json_each(operation.subjects) AS own WHERE own.value IN ({subjects}))
"""
_OF_THEIR_ORDERS = """
SELECT later.seq, later.status
FROM operation AS sale
CROSS JOIN operation AS later INDEXED BY operation_key ON later.scope = sale.scope
WHERE sale.seq IN ({seqs}) AND sale.kind = 'sale' AND later.kind = 'refund' AND later.content IS NOT NULL
"""
_STRIP = """
UPDATE operation SET content = NULL, outcome = NULL, outcome_key_id = NULL, subjects = '[]'
WHERE seq IN ({seqs}) AND status NOT IN ('pending', 'failed')
"""
_OWE = "INSERT OR IGNORE INTO forgotten (seq) SELECT seq FROM operation WHERE seq IN ({seqs}) AND status IN {unsettled}"


class Erased(NamedTuple):
    """How many operations lost their content, and how many will when they are settled."""

    stripped: int
    owed: int


async def forget(database: Database, subjects: Sequence[bytes]) -> Erased:
    """Erase what names the member whom any of the hashes of subjects stands for."""
    ((last,),) = await database.fetch("SELECT COALESCE(max(seq), 0) FROM operation")
    stripped = owed = 0
    for first in range(1, last + 1, _SLICE):
        async with database.transaction() as transaction:
            found = await _found(transaction, first, subjects)
            if found:
                await _erase(transaction, sorted(found))
        owed += sum(status in UNSETTLED for status in found.values())
        stripped += sum(status not in UNSETTLED for status in found.values())
    return Erased(stripped, owed)


async def _found(transaction: Transaction, first: int, subjects: Sequence[bytes]) -> dict[int, str]:
    sql = _NAMED.format(subjects=placeholders(len(subjects)))
    named = [subject.hex() for subject in subjects]
    found: dict[int, str] = dict(await transaction.fetch(sql, [first, first + _SLICE - 1, *named]))
    if found:
        seqs = sorted(found)
        found |= dict(await transaction.fetch(_OF_THEIR_ORDERS.format(seqs=placeholders(len(seqs))), seqs))
    return found


async def _erase(transaction: Transaction, seqs: Sequence[int]) -> None:
    chosen = placeholders(len(seqs))
    await transaction.fetch(_OWE.format(seqs=chosen, unsettled="('pending', 'failed')"), seqs)
    await transaction.fetch(_STRIP.format(seqs=chosen), seqs)
