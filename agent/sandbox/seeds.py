"""What a tenant starts with: members, coupons and stores enough for a demonstration or for training."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class SeedCoupon:
    """`expires_in` counts from the start of the sandbox; negative: expired already."""

    id: str
    code: str
    title: str
    uses: int = 1
    expires_in: timedelta | None = timedelta(days=90)
    terms: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeedMember:
    id: str
    full_name: str
    external_id: str | None = None
    email: str | None = None
    tier: str | None = None
    balance: int = 0
    coupons: tuple[SeedCoupon, ...] = ()


@dataclass(frozen=True, slots=True)
class SeedStore:
    id: str
    external_id: str
    name: str
    city: str | None = None


@dataclass(frozen=True, slots=True)
class Seed:
    members: tuple[SeedMember, ...] = ()
    stores: tuple[SeedStore, ...] = ()


DEMO = Seed(
    members=(
        SeedMember(
            id="mem_ada",
            full_name="Ada Lovelace",
            external_id="POS-CUST-5512",
            email="ada@example.com",
            balance=1814,
            coupons=(
                SeedCoupon(
                    id="cpn_ada_10off",
                    code="ADA-10OFF",
                    title="10% off your basket",
                    terms={"type": "percent", "value": 10},
                ),
                SeedCoupon(
                    id="cpn_ada_coffee",
                    code="ADA-COFFEE",
                    title="One coffee on us",
                    terms={"type": "item", "value": "coffee"},
                ),
                SeedCoupon(
                    id="cpn_ada_spring",
                    code="ADA-SPRING",
                    title="Spring voucher",
                    expires_in=timedelta(days=-30),
                    terms={"type": "amount", "value": 5},
                ),
            ),
        ),
        SeedMember(
            id="mem_grace",
            full_name="Grace Hopper",
            external_id="POS-CUST-5513",
            email="grace@example.com",
            tier="Silver",
            balance=5200,
            coupons=(
                SeedCoupon(
                    id="cpn_grace_5off",
                    code="GRACE-5OFF",
                    title="5.00 off",
                    terms={"type": "amount", "value": 5},
                ),
            ),
        ),
        SeedMember(
            id="mem_katherine",
            full_name="Katherine Johnson",
            external_id="POS-CUST-5514",
            email="katherine@example.com",
            tier="Gold",
            balance=12400,
            coupons=(
                SeedCoupon(
                    id="cpn_katherine_gift",
                    code="KATHERINE-GIFT",
                    title="Gift wrapping, three times",
                    uses=3,
                    terms={"type": "item", "value": "gift-wrap"},
                ),
            ),
        ),
    ),
    stores=(SeedStore(id="st_demo", external_id="DEMO-STORE", name="Demo Store", city="New York"),),
)
