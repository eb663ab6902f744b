"""The points ledger: every movement of points, and nothing but this ledger knows a balance.

Invariant: a member's balance is the sum of the member's entries. An entry is never changed or taken away.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from agent.sandbox.feed import Clock, iso

EntryKind = Literal["opening", "award", "claw-back"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One movement; `points` is signed, `balance` is the member's after it."""

    at: datetime
    kind: EntryKind
    member_id: str
    points: int
    balance: int
    order_id: str | None = None
    refund_id: str | None = None

    def view(self) -> dict[str, Any]:
        return {
            "at": iso(self.at),
            "kind": self.kind,
            "memberId": self.member_id,
            "points": self.points,
            "balance": self.balance,
            "orderId": self.order_id,
            "refundId": self.refund_id,
        }


class Ledger:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[LedgerEntry] = []
        self._balances: dict[str, int] = {}

    def post(
        self,
        kind: EntryKind,
        member_id: str,
        points: int,
        *,
        order_id: str | None = None,
        refund_id: str | None = None,
    ) -> int:
        """Record a movement and return the balance after it."""
        balance = self.balance(member_id) + points
        self._balances[member_id] = balance
        self._entries.append(LedgerEntry(self._clock(), kind, member_id, points, balance, order_id, refund_id))
        return balance

    def balance(self, member_id: str) -> int:
        return self._balances.get(member_id, 0)

    def entries(self, member_id: str | None = None) -> tuple[LedgerEntry, ...]:
        return tuple(entry for entry in self._entries if member_id in {None, entry.member_id})
