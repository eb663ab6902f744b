"""Lines that a register may print below the totals: short, and true at the moment they are printed. Pure."""

from agent.delivery import Kind
from agent.outbox.operation import Operation
from agent.outbox.state import Status


def lines(operation: Operation) -> list[str]:
    """What to tell the customer about a sale or refund; empty where there is nothing to say."""
    if operation.kind not in {Kind.SALE, Kind.REFUND}:
        return []
    if operation.status is Status.PENDING:
        return ["Your points will be updated shortly."]
    if operation.status is not Status.SUCCEEDED:
        return []
    result = operation.verdict.result
    found = []
    if (awarded := result.get("awarded")) and operation.kind is Kind.SALE:
        found.append(f"You earned {awarded:,} point{'s' if awarded != 1 else ''}")
    if (taken := result.get("clawedBack")) and operation.kind is Kind.REFUND:
        found.append(f"{taken:,} point{'s' if taken != 1 else ''} taken back")
    if isinstance(balance := result.get("balance"), int) and not isinstance(balance, bool):
        found.append(f"Balance: {balance:,}")
    return found
