"""Does the outbox end where it did when the last sale was acknowledged? Asked at the start, before any writing.

And what no upgrade may change: `KEPT`, asked before it and after. A migration that has reason to change one of these
says so (`agent/storage/migrations.py`). Each must be answered by the newest schema, and alike by older ones.
"""

from agent.storage import Transaction

KEPT = {
    "highest number": "SELECT max(seq) FROM operation",
    "operations": "SELECT kind, status, count(*), sum(seq) FROM operation GROUP BY kind, status ORDER BY kind, status",
    "keys of operations": "SELECT sum(generation), sum(current), sum(blocked), count(request_key) FROM operation",
    "attempts": "SELECT sum(attempts), sum(maybe_sent) FROM operation",
    "contents": "SELECT count(content), sum(length(content)), count(outcome), sum(length(outcome)) FROM operation",
    "redemptions": "SELECT phase, credit, sum(honor), count(*) FROM redemption GROUP BY phase, credit ORDER BY 1, 2",
    "coupons lost": "SELECT day, count(*), sum(lost) FROM redemption WHERE day IS NOT NULL GROUP BY day ORDER BY day",
    "to be forgotten": "SELECT count(*), sum(seq) FROM forgotten",
    "rescued": "SELECT till, count(*), sum(seq) FROM rescued GROUP BY till ORDER BY till",
    "refused rows": "SELECT refused, count(*) FROM catalog_row GROUP BY refused ORDER BY refused",
    "newest change": "SELECT max(n) FROM change",
}


async def lacks(transaction: Transaction, mark: int) -> str:
    """What is missing from a database whose mark is that number; empty where nothing is."""
    made = await transaction.fetch("SELECT 1 FROM sqlite_schema WHERE name = 'operation'")
    last = 0
    if made:
        ((last,),) = await transaction.fetch("SELECT COALESCE(max(seq), 0) FROM operation")
    if last >= mark:
        return ""
    return f"Operations up to number {mark} were acknowledged, and the last one in the database is {last}."
