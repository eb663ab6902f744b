"""The exposure sheet: a day's coupons honored offline as a store reads them, beside the limits that are set. Pure."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from agent.config import Coupons
from agent.outbox.exposure import Entry, Sum, add_up


def sheet(day: str, entries: Sequence[Entry], coupons: Coupons) -> dict[str, Any]:
    """The fields of ExposureView."""
    return {
        "businessDate": day,
        "policy": coupons.offline,
        "limits": {
            "maxPerDay": coupons.max_per_day,
            "maxPerMember": coupons.max_per_member,
            "maxSnapshotAgeHours": coupons.max_snapshot_age_h,
            "maxValue": _money(coupons.max_value),
        },
        "total": figures(add_up(entries)),
        "tills": _grouped("tillId", entries, lambda entry: entry.till),
        "members": _grouped("member", entries, lambda entry: entry.member),
        "redemptions": [
            {
                "id": entry.operation_id,
                "href": f"/v1/operations/{entry.operation_id}",
                "status": entry.status.value,
                "value": _money(entry.value),
                "lost": entry.lost,
            }
            for entry in entries
        ],
    }


def figures(found: Sum) -> dict[str, Any]:
    """The fields of ExposureFigures."""
    return {
        "count": found.count,
        "value": _money(found.value),
        "unvalued": found.unvalued,
        "confirmed": found.confirmed,
        "open": found.open,
        "lost": found.lost,
        "lostValue": _money(found.lost_value),
    }


def _grouped(name: str, entries: Sequence[Entry], of: Callable[[Entry], str]) -> list[dict[str, Any]]:
    keys = dict.fromkeys(of(entry) for entry in entries)
    return [{name: key, **figures(add_up(entry for entry in entries if of(entry) == key))} for key in keys]


def _money(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"
