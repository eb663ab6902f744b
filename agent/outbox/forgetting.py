"""What the outbox holds of a member who asks to be forgotten: erased where it is settled, owed where it is not.

Settled operations become tombstones, as retention makes them: what recognises a repeat stays (hashes, status), what
was asked and answered goes. What is not settled is still sent, for the customer's own points are in it, and loses its
content the moment it is settled (triggers). Slices keep registers from waiting. Called by the members room.
"""

from collections.abc import Sequence
from typing import NamedTuple

from agent.storage import Database, Transaction
from agent.storage.statements import placeholders

_SLICE = 2_000  # rows looked at in one transaction: some milliseconds

# Those that name the member, and whether they are over: settled, and without a credit that is still open.
_OVER = """
status NOT IN ('pending', 'failed')
  AND operation.seq NOT IN (SELECT seq FROM redemption WHERE phase <> 'settled' OR credit = 'open')
"""
_NAMED = f"""
SELECT seq, {_OVER} FROM operation
WHERE seq BETWEEN ? AND ? AND content IS NOT NULL
  AND EXISTS (SELECT 1 FROM json_each(operation.subjects) AS own WHERE own.value IN ({{subjects}}))
"""  # noqa: S608
# Refunds name nobody: they are of the members' orders.
_OF_THEIR_ORDERS = f"""
SELECT operation.seq, operation.{_OVER.lstrip()}
FROM operation AS sale
CROSS JOIN operation INDEXED BY operation_key ON operation.scope = sale.scope
WHERE sale.seq IN ({{seqs}}) AND sale.kind = 'sale' AND operation.kind = 'refund' AND operation.content IS NOT NULL
"""  # noqa: S608
_STRIP = """
UPDATE operation SET content = NULL, outcome = NULL, outcome_key_id = NULL, subjects = '[]' WHERE seq IN ({seqs})
"""
_LEDGER = "UPDATE redemption SET member = NULL WHERE member IN ({subjects})"  # the sums stay, nobody's name is on them
_OWE = "INSERT OR IGNORE INTO forgotten (seq) VALUES {rows}"


class Erased(NamedTuple):
    """How many operations lost their content, and how many will when they are settled."""

    stripped: int
    owed: int


async def forget(database: Database, subjects: Sequence[bytes]) -> Erased:
    """Erase what names the member whom any of the hashes of subjects stands for."""
    ((last,),) = await database.fetch("SELECT COALESCE(max(seq), 0) FROM operation")
    stripped = owed = 0
    await database.fetch(_LEDGER.format(subjects=placeholders(len(subjects))), subjects)
    for first in range(1, last + 1, _SLICE):
        async with database.transaction() as transaction:
            found = await _found(transaction, first, subjects)
            over = [seq for seq, is_over in found.items() if is_over]
            unsettled = [seq for seq, is_over in found.items() if not is_over]
            if over:
                await transaction.fetch(_STRIP.format(seqs=placeholders(len(over))), over)
            if unsettled:
                await transaction.fetch(_OWE.format(rows=", ".join(["(?)"] * len(unsettled))), unsettled)
        stripped += len(over)
        owed += len(unsettled)
    return Erased(stripped, owed)


async def _found(transaction: Transaction, first: int, subjects: Sequence[bytes]) -> dict[int, int]:
    sql = _NAMED.format(subjects=placeholders(len(subjects)))
    named = [subject.hex() for subject in subjects]
    found: dict[int, int] = dict(await transaction.fetch(sql, [first, first + _SLICE - 1, *named]))
    if found:
        seqs = sorted(found)
        found |= dict(await transaction.fetch(_OF_THEIR_ORDERS.format(seqs=placeholders(len(seqs))), seqs))
    return found
