"""Coupons that were honored without Flash's word."""

from typing import Literal

from agent.api.views.answered import Answered


class ExposureFigures(Answered):
    """Coupons honored without Flash's word. Values are sums of those that say what they are worth."""

    count: int
    value: str | None
    unvalued: int
    confirmed: int
    open: int
    lost: int
    lost_value: str | None


class ExposureToday(ExposureFigures):
    """The till's own day."""

    business_date: str


class ExposureLimits(Answered):
    """The settings of `[coupons]`."""

    max_per_day: int
    max_per_member: int
    max_snapshot_age_hours: float
    max_value: str | None


class ExposureOfTill(ExposureFigures):
    """One till's share."""

    till_id: str


class ExposureOfMember(ExposureFigures):
    """One member's share; `member` tells members apart and names nobody."""

    member: str


class ExposedView(Answered):
    """One coupon honored without Flash's word."""

    id: str
    href: str
    status: str
    value: str | None
    lost: bool


class ExposureView(Answered):
    """A day's sheet of coupons honored without Flash's word."""

    business_date: str
    policy: Literal["decline", "limited"]
    limits: ExposureLimits
    total: ExposureFigures
    tills: list[ExposureOfTill]
    members: list[ExposureOfMember]
    redemptions: list[ExposedView]
