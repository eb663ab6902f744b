"""Coupons: what follows from what the till saw of one, and when it may be honored without Flash's word. Pure.

Called by the conductor of redemptions (`redemption/`); the sightings come from the members room.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from agent.flash import readings

_USED_UP = frozenset({"used", "redeemed"})
_HOUR_MS = 3_600_000
_SKEW_MS = 5_000  # Flash tells the time in whole seconds


class Sighting(msgspec.Struct, frozen=True):
    """A coupon as Flash listed it for a member when this till last looked."""

    coupon: Mapping[str, Any]  # Flash's own fields; read with agent.flash.readings.coupon_*
    member_id: str
    seen_at_ms: int  # by Flash's clock where the skew is known, else the till's
    clock_known: bool  # whether seen_at_ms is skew-corrected


class Sightings(Protocol):
    """What this till has seen of members' coupons."""

    async def sighting(self, coupon_id: str, subjects: Sequence[str]) -> Sighting | None:
        """The last sighting of this coupon for the member whom the subjects (model.member_subjects) name.

        Without subjects for whichever member this till saw it with; None when it was never seen active for that member.
        """
        ...


class Standing(StrEnum):
    """What a member's list says of a redemption whose answer was lost."""

    ACTIVE = "active"  # nothing was burned
    GONE = "gone"  # it is used: by this till or by another
    UNCLEAR = "unclear"  # a person must look


def standing(
    listed: Sequence[Mapping[str, Any]], coupon_id: str, *, before: Mapping[str, Any], was_seen: bool
) -> Standing:
    """Where a coupon stands by the list as it is now.

    `before`: its fields as this till knew them when it was to be burned (empty: not at all); `was_seen`: this till saw
    it active for that member at some time.
    """
    rows = [row for row in listed if readings.coupon_id(row) == coupon_id]
    known = [*rows, before] if before else rows
    if len(rows) > 1 or any(_may_be_used_again(row, known_before=bool(before)) for row in known):
        return Standing.UNCLEAR
    if not rows:
        return Standing.GONE if was_seen else Standing.UNCLEAR
    if readings.coupon_is_active(rows[0]):
        return Standing.ACTIVE
    status = rows[0].get("status")
    return Standing.GONE if isinstance(status, str) and status.casefold() in _USED_UP else Standing.UNCLEAR


def _may_be_used_again(coupon: Mapping[str, Any], *, known_before: bool) -> bool:
    """Whether a coupon that is still active may have been burned all the same."""
    uses = coupon.get("uses")
    if isinstance(uses, int) and uses > 1:
        return True
    left = readings.coupon_uses_left(coupon)
    if left is not None and left > 1:
        return True
    # One use left of how many? Without the number, or a look before, nobody can tell.
    return left == 1 and not isinstance(uses, int) and not known_before


class Limits(msgspec.Struct, frozen=True):
    """How far the till may go without Flash's word; see `[coupons]` in the configuration."""

    max_snapshot_age_h: float = 24.0
    max_per_day: int = 20
    max_per_member: int = 1
    max_value: Decimal | None = None


def why_not_offline(seen: Sighting | None, now_ms: int, *, clock_known: bool, limits: Limits) -> str:
    """Why a coupon may not be honored without Flash's word; empty when it may, as far as what was seen goes.

    `now_ms` is Flash's time. The day's counts and the coupon's own history at this till are the outbox's to check.
    """
    if seen is None or not readings.coupon_is_active(seen.coupon):
        return "the till has not seen it active for this member"
    age_ms = now_ms - seen.seen_at_ms
    expires_at = readings.coupon_expires_at_ms(seen.coupon)
    left = readings.coupon_uses_left(seen.coupon)
    value = readings.coupon_value(seen.coupon)
    too_dear = limits.max_value is not None and (value is None or value > limits.max_value)
    reasons = (
        (not (clock_known and seen.clock_known), "the till does not know the time well enough"),
        (not -_SKEW_MS <= age_ms <= limits.max_snapshot_age_h * _HOUR_MS, "what the till knows of it is too old"),
        (expires_at is not None and expires_at <= now_ms, "it has expired"),
        (left is not None and left < 1, "it is used up"),
        (too_dear, "it may be worth more than the store allows"),
    )
    return next((reason for holds, reason in reasons if holds), "")
