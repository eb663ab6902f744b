"""The handlers of the members' calls: thin, as those in `handlers.py`."""

from datetime import UTC, datetime

from aiohttp import web

from agent.api.handlers import Call, answer, validated, wording_for
from agent.clock import rfc3339
from agent.members.lookup import Look
from agent.members.snapshot import PARTS, PROFILE, Key
from agent.model import MemberQuery, minor_units
from agent.receipt.wording import Wording

_FAULTS = "The query has faults."


async def find_member(call: Call) -> web.Response:
    """A member with points, tier and coupons, by one key."""
    names = ("memberId", "externalId", "email")
    return await _look_up(call, {name: call.request.query[name] for name in names if name in call.request.query})


async def get_member(call: Call) -> web.Response:
    """A member with points, tier and coupons, by Flash's id."""
    return await _look_up(call, {"memberId": call.parameters["memberId"]})


async def _look_up(call: Call, fields: dict[str, str]) -> web.Response:
    ((name, value),) = validated(MemberQuery, fields, _FAULTS).sent().items()
    look = await call.service.members.by(Key(name, value))
    headers: dict[str, str] = {}
    lines = _receipt(look, wording_for(call, headers))
    return answer({**_as_json(look, call.service.currency), "receipt": lines}, headers=headers)


def _receipt(look: Look, wording: Wording) -> list[str]:
    points, pending = look.parts.get("points") or {}, look.pending
    return list(
        wording.member(
            points.get("balance"),
            as_of=datetime.fromtimestamp(look.as_of_ms / 1000, UTC) if look.stale else None,
            now=datetime.now(UTC),
            sales=pending.sales if pending else 0,
            amount=pending.amount if pending else None,
            local=look.source == "local",
        )
    )


def _as_json(look: Look, currency: str) -> dict[str, object]:
    """The fields of MemberView, but for the receipt."""
    pending = look.pending
    return {
        "member": {name: look.profile.get(name) for name in PROFILE},
        **{part: look.parts.get(part) for part in PARTS},
        "source": look.source,
        "asOf": rfc3339(look.as_of_ms),
        "stale": look.stale,
        "missing": [*look.missing, *(["pending"] if pending is None else [])],
        "pending": pending
        and {
            "sales": pending.sales,
            "amount": f"{pending.amount:.{minor_units(currency)}f}",
            "refunds": pending.refunds,
            "enrollment": bool(pending.enrollments),
        },
    }
