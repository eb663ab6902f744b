"""The order book: a sale awards once, and refunds take back exactly what it awarded.

Invariants: an order id has one amount for ever; the refunds of an order never exceed its total; the points
they claw back are, at any time, the part of the award that the refunded part of the total stands for, and all
of it at the end. A refused call changes nothing. Results are kept with the order, so a repeat gets the first
answer.
"""

from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from typing import Any

from agent.sandbox.assumed import claw_back_due
from agent.sandbox.documents import OrderBody, RefundBody
from agent.sandbox.earn import DailyCap, EarnRules
from agent.sandbox.feed import Clock, Stamp, Stamper, iso
from agent.sandbox.ledger import Ledger
from agent.sandbox.members import Members
from agent.sandbox.refusals import Refusal, invalid, not_found

NOT_A_MEMBER = "not-a-member"


@dataclass(frozen=True, slots=True)
class Refund:
    id: str
    amount: Decimal
    reason: str | None
    result: dict[str, Any]


@dataclass(slots=True)
class Order:
    id: str
    total: Decimal
    store_id: str | None
    member_id: str | None
    result: dict[str, Any]
    stamp: Stamp
    refunds: dict[str, Refund] = field(default_factory=dict)

    @property
    def awarded(self) -> int:
        return int(self.result["awarded"])

    @property
    def refunded(self) -> Decimal:
        return sum((refund.amount for refund in self.refunds.values()), Decimal(0))

    @property
    def clawed_back(self) -> int:
        return sum(int(refund.result["clawedBack"]) for refund in self.refunds.values())

    def view(self) -> dict[str, Any]:
        return {
            "externalOrderId": self.id,
            "totalAmount": self.total,
            "storeId": self.store_id,
            "memberId": self.member_id,
            "awarded": self.awarded,
            "refundedAmount": self.refunded,
            "clawedBack": self.clawed_back,
            "refunds": [
                {"refundId": r.id, "amount": r.amount, "reason": r.reason, **r.result} for r in self.refunds.values()
            ],
            "createdAt": iso(self.stamp.created_at),
            "updatedAt": iso(self.stamp.updated_at),
        }


class OrderBook:
    def __init__(self, *, clock: Clock, stamper: Stamper, members: Members, ledger: Ledger, rules: EarnRules) -> None:
        self._clock = clock
        self._stamper = stamper
        self._members = members
        self._ledger = ledger
        self._rules = rules
        self._cap = DailyCap(rules.daily_cap)
        self._orders: dict[str, Order] = {}

    def place(self, body: OrderBody, *, cap_available: bool = True) -> dict[str, Any]:
        known = self._orders.get(body.external_order_id)
        if known is not None:
            if known.total != body.total_amount:
                raise Refusal(409, "ORDER_CONFLICT", "this order exists with another totalAmount")
            return known.result
        member = self._members.resolve(body.customer)
        if member is None:
            result: dict[str, Any] = {"awarded": 0, "reason": NOT_A_MEMBER}
        else:
            worth = self._rules.points(body.total_amount, member.tier)
            today = self._clock().astimezone(UTC).date()
            awarded = self._cap.grant(member.id, worth, today, available=cap_available)
            balance = self._ledger.post("award", member.id, awarded, order_id=body.external_order_id)
            self._members.touch(member)
            result = {"awarded": awarded, "balance": balance, "memberId": member.id}
        self._orders[body.external_order_id] = Order(
            id=body.external_order_id,
            total=body.total_amount,
            store_id=body.store_id,
            member_id=member.id if member else None,
            result=result,
            stamp=self._stamper.fresh(),
        )
        return result

    def refund(self, order_id: str, body: RefundBody) -> dict[str, Any]:
        order = self._orders.get(order_id)
        if order is None:
            raise not_found("ORDER_NOT_FOUND", "no such order")
        known = order.refunds.get(body.refund_id)
        if known is not None:
            return known.result
        left = order.total - order.refunded
        amount = left if body.amount is None else body.amount
        if not 0 < amount <= left:
            raise invalid("amount", "is more than what is left of the order")
        due = claw_back_due(order.awarded, order.total, order.refunded + amount) - order.clawed_back
        result: dict[str, Any] = {"clawedBack": due}
        if order.member_id is not None:
            result["balance"] = self._ledger.post(
                "claw-back", order.member_id, -due, order_id=order_id, refund_id=body.refund_id
            )
            self._members.touch(self._members.get(order.member_id))
        order.refunds[body.refund_id] = Refund(body.refund_id, amount, body.reason, result)
        self._stamper.touch(order.stamp)
        return result

    def all(self) -> list[Order]:
        return list(self._orders.values())
