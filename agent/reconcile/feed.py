"""Flash's feed of changed orders, page by page, for whoever compares it with what this till sent.

One page at a time, never more than a few calls a second, aside while cashiers are about, never inside a Retry-After,
on a dead line or in a drill; with the read key. Nothing is stored and nothing of a customer is passed on.

A place in the feed is spelled as a cursor of our own, so that a page can be asked for after any pause: it holds what
Flash was asked, its cursor, and the newest change met, from where the reading goes on where Flash has no cursors or
has forgotten this one. A page may so bring orders again; none is passed over.
"""

import asyncio
import base64
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from agent import jsons
from agent.clock import Clock
from agent.delivery import Contact, Outcome
from agent.errors import Fault, FlashUnavailableError, InvalidError
from agent.flash import readings
from agent.flash.reads import Page, Reads, is_not_found
from agent.members.gate import ANSWERED, Gate
from agent.outbox.store import Store

PAGE_EVERY_S = 0.25
RETRY_S = 2
HOLD_S = 60  # what needs a person
ASIDE_S = 0.2
ASIDE_LIMIT_S = 5.0  # a busy store's orders are compared too
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,4096}")
_UNKNOWN_CURSOR = frozenset({400, 404, 410, 422})
_WHY_NOT = {
    Contact.KEY_REFUSED: ("flash-key-refused", "Flash refuses the key that reads."),
    Contact.ENDPOINT_REFUSED: (
        "flash-key-refused",
        "Flash's key may not list orders (GET /orders); give the agent a read key that may.",
    ),
}
_NO_FEED = ("flash-has-no-feed", "Flash has no list of orders at this address (GET /orders).")
_STRANGE = ("flash-unexpected", "Flash's list of changed orders cannot be read: it is not what was expected.")


class Place(NamedTuple):
    """Where in the feed: `updatedSince` as Flash is asked, the newest change met, and Flash's own cursor."""

    since: str
    newest: str
    cursor: str | None = None


class FlashOrders:
    """Reads pages. `busy` tells whether cashiers are about."""

    def __init__(self, reads: Reads, gate: Gate, store: Store, clock: Clock, busy: Callable[[], bool]) -> None:
        self._reads = reads
        self._gate = gate
        self._store = store
        self._clock = clock
        self._busy = busy
        self._turn = asyncio.Lock()
        self._next_at = 0.0

    async def page(self, updated_since: str | None, cursor: str | None) -> dict[str, Any]:
        """The fields of FlashOrdersView.

        Raises InvalidError for what names no place, FlashUnavailableError, and what the storage raises.
        """
        place = _first(updated_since) if cursor is None else _read_cursor(cursor)
        async with self._turn:
            await self._let_pass()
            page = await self._ask(place)
            if page is None:  # Flash no longer knows its cursor
                place = Place(place.newest, place.newest)
                page = await self._ask(place) or Page((), None, None)
            self._next_at = self._clock.monotonic() + PAGE_EVERY_S
        here = await self._store.orders_here([row["upstreamOrderId"] for row in page.rows]) if page.rows else {}
        following, is_stuck = _following(place, page)
        return {
            "orders": [_shown(row, here.get(row["upstreamOrderId"])) for row in page.rows],
            "unread": page.unread,
            "total": page.total,
            "stuckAt": following.newest if following and is_stuck else None,
            "nextCursor": _spell(following) if following and not is_stuck else None,
        }

    async def _let_pass(self) -> None:
        aside_until = self._clock.monotonic() + ASIDE_LIMIT_S
        while self._busy() and self._clock.monotonic() < aside_until:
            await self._clock.sleep(ASIDE_S)
        await self._clock.sleep(max(0.0, self._next_at - self._clock.monotonic()))

    async def _ask(self, place: Place) -> Page | None:
        """A page; None where Flash does not know the cursor. Raises FlashUnavailableError."""
        self._check_gate()
        with self._gate.asking():
            answer = await self._reads.orders_changed(place.since, place.cursor)
        self._gate.learn([answer if isinstance(answer, Outcome) else ANSWERED])
        if not isinstance(answer, Outcome):
            return answer
        if place.cursor is not None and answer.http_status in _UNKNOWN_CURSOR:
            return None
        raise self._unavailable(answer)

    def _check_gate(self) -> None:
        if (pause_s := self._gate.closed_for_s) > 0:
            raise _throttled(pause_s)
        if self._gate.is_closed:
            detail = (
                "Flash may not be asked now: a drill runs, or the key is in question. flash-agent status says which."
            )
            raise FlashUnavailableError(detail, code="flash-not-asked", retry_after_s=HOLD_S)
        if not self._gate.may_ask:
            raise FlashUnavailableError("The line to Flash is down.", code="flash-offline", retry_after_s=RETRY_S)

    def _unavailable(self, answer: Outcome) -> FlashUnavailableError:
        if answer.contact is Contact.THROTTLED or answer.retry_after_s:
            return _throttled(max(self._gate.closed_for_s, answer.retry_after_s or 0.0))
        if answer.contact in {Contact.UNREACHABLE, Contact.TROUBLED}:
            return FlashUnavailableError("Flash did not answer.", code="flash-offline", retry_after_s=RETRY_S)
        code, detail = _WHY_NOT.get(answer.contact, _STRANGE)
        if is_not_found(answer):
            code, detail = _NO_FEED
        return FlashUnavailableError(detail, code=code, retry_after_s=HOLD_S)


def _throttled(pause_s: float) -> FlashUnavailableError:
    whole_s = max(1, math.ceil(pause_s))
    return FlashUnavailableError(
        f"Flash asked for a pause of {whole_s} s.", code="flash-throttled", retry_after_s=whole_s
    )


def _following(place: Place, page: Page) -> tuple[Place | None, bool]:
    """Where the next page begins (None: this was the last), and whether there is no way to get there.

    So it is where more orders than fit on a page changed in one moment and Flash gives no cursor.
    """
    told = [row["updatedAt"] for row in page.rows if row["updatedAt"] is not None]
    newest = max([place.newest, *told], key=_moment)
    if page.cursor is not None:
        return Place(place.since, newest, page.cursor), False
    is_full = len(page.rows) + page.unread >= readings.CHANGES_PAGE
    if place.cursor is not None or not is_full:
        return None, False
    return Place(newest, newest), _moment(newest) <= _moment(place.since)


def _shown(row: Any, kept: bool | None) -> dict[str, Any]:
    """The fields of FlashOrderView; money as decimal strings."""
    here = "unknown" if kept is None else "kept" if kept else "stripped"
    money = {name: None if row[name] is None else f"{row[name]:f}" for name in ("totalAmount", "refunded")}
    return {**row, **money, "here": here}


def _first(updated_since: str | None) -> Place:
    moment = None if updated_since is None else _with_offset(updated_since)
    if moment is None:
        raise _fault("updatedSince", "is required: a time with its offset, such as 2026-11-22T00:00:00Z")
    since = moment.isoformat().replace("+00:00", "Z")
    return Place(since, since)


def _with_offset(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _moment(text: str) -> datetime:
    return readings.read_moment(text) or datetime.min.replace(tzinfo=UTC)


def _spell(place: Place) -> str:
    return base64.urlsafe_b64encode(jsons.encode(list(place))).decode().rstrip("=")


def _read_cursor(given: str) -> Place:
    """Raises InvalidError for what this feed did not give."""
    try:
        if not _CURSOR.fullmatch(given):
            raise ValueError
        since, newest, cursor = jsons.loads(base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)))
    except (ValueError, TypeError):
        raise _fault("cursor", "must be a nextCursor of this list") from None
    are_times = all(isinstance(each, str) and readings.read_moment(each) for each in (since, newest))
    if not are_times or not isinstance(cursor, str | None):
        raise _fault("cursor", "must be a nextCursor of this list")
    return Place(since, newest, cursor)


def _fault(field: str, message: str) -> InvalidError:
    return InvalidError("A query parameter is wrong.", faults=[Fault(field, message)])
