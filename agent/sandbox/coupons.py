"""Coupons: each belongs to a member and can be redeemed a fixed number of times, usually once.

An unknown, an expired and a used-up coupon are refused alike (404): the register has the same thing to do,
not honour it. Nothing but a redemption changes a coupon.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent.sandbox.feed import Clock, iso
from agent.sandbox.refusals import not_found


@dataclass(slots=True)
class Coupon:
    id: str
    member_id: str
    code: str
    title: str
    uses_left: int = 1
    expires_at: datetime | None = None
    terms: Mapping[str, Any] = field(default_factory=dict)
    redeemed_at: datetime | None = None

    def status(self, now: datetime) -> str:
        if self.uses_left == 0:
            return "redeemed"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"

    def view(self, now: datetime) -> dict[str, Any]:
        return {
            "id": self.id,
            "memberId": self.member_id,
            "code": self.code,
            "title": self.title,
            "status": self.status(now),
            "usesLeft": self.uses_left,
            "expiresAt": iso(self.expires_at) if self.expires_at else None,
            "redeemedAt": iso(self.redeemed_at) if self.redeemed_at else None,
            "terms": dict(self.terms),
        }


class Coupons:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._coupons: dict[str, Coupon] = {}

    def add(self, coupon: Coupon) -> Coupon:
        """Issue a coupon. Raises ValueError when its id is taken."""
        if coupon.id in self._coupons:
            raise ValueError("that coupon id is already in use")
        self._coupons[coupon.id] = coupon
        return coupon

    def of_member(self, member_id: str) -> list[dict[str, Any]]:
        now = self._clock()
        return [coupon.view(now) for coupon in self._coupons.values() if coupon.member_id == member_id]

    def redeem(self, coupon_id: str) -> dict[str, Any]:
        now = self._clock()
        coupon = self._coupons.get(coupon_id)
        if coupon is None or coupon.status(now) != "active":
            raise not_found("COUPON_NOT_FOUND", "no such coupon, or it is already redeemed")
        coupon.uses_left -= 1
        coupon.redeemed_at = now
        return {**coupon.view(now), "status": "redeemed"}
