"""Members: looked up, forgotten, kept in step with Flash."""

from datetime import UTC, datetime

from agent.api import web
from agent.api.bodies import MemberKeys, MemberQuery
from agent.api.calls import Call, answer, check_text, read_order, validated, warned, wording_for
from agent.clock import rfc3339
from agent.errors import Fault, InvalidError
from agent.fields import minor_units
from agent.members.lookup import Look
from agent.members.snapshot import PARTS, PROFILE, Key
from agent.receipt.wording import Wording

_NAMES = ("memberId", "externalId", "email")
_FAULTS = "The query has faults."


async def find_member(call: Call) -> web.Response:
    """A member with points, tier and coupons, by one key."""
    query = call.request.query
    if " " in query.get("email", "").strip():
        raise InvalidError(_FAULTS, faults=[Fault("email", "has a blank; a + is written %2B here")])
    return await _look_up(call, {name: query[name] for name in _NAMES if name in query})


async def get_member(call: Call) -> web.Response:
    """A member with points, tier and coupons, by Flash's id."""
    return await _look_up(call, {"memberId": call.parameters["memberId"]})


async def forget_member(call: Call) -> web.Response:
    """Erase what this till holds of a member; nothing is left on its disk when the answer is given.

    Operations that Flash has not confirmed are still sent, and erased when they are settled. Flash is not told.
    """
    keys, warnings = await read_order(call, MemberKeys, "The document has faults; nothing was forgotten.")
    named = {name: value for name, value in keys.sent().items() if name in _NAMES}
    gone = await call.service.members.forget([Key(name, value) for name, value in named.items()])
    counts = {"snapshots": gone.snapshots, "operations": gone.operations, "operationsPending": gone.owed}
    return answer(warned(counts, warnings))


async def get_sync(call: Call) -> web.Response:
    """How the following of changed members goes."""
    progress, members, due, watermark = await call.service.members.sync_state()
    return answer(
        {
            "state": progress.state,
            "members": members,
            "pages": progress.pages,
            "seen": progress.seen,
            "kept": progress.kept,
            "refreshed": progress.refreshed,
            "due": due,
            "total": progress.total,
            "watermark": watermark,
            "startedAt": progress.started_at,
            "finishedAt": progress.finished_at,
            "error": {"code": progress.code, "detail": progress.detail} if progress.code else None,
        }
    )


async def start_sync(call: Call) -> web.Response:
    """Follow what changed at Flash now, from where the last run ended."""
    call.service.members.start_sync()
    return await get_sync(call)


async def _look_up(call: Call, fields: dict[str, str]) -> web.Response:
    check_text(call.request.raw_path)
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
