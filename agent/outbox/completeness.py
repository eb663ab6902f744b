"""Does the outbox end where it did when the last sale was acknowledged? Asked at the start, before any writing."""

from agent.storage import Transaction


async def lacks(transaction: Transaction, mark: int) -> str:
    """What is missing from a database whose mark is that number; empty where nothing is."""
    made = await transaction.fetch("SELECT 1 FROM sqlite_schema WHERE name = 'operation'")
    last = 0
    if made:
        ((last,),) = await transaction.fetch("SELECT COALESCE(max(seq), 0) FROM operation")
    if last >= mark:
        return ""
    return f"Operations up to number {mark} were acknowledged, and the last one in the database is {last}."
