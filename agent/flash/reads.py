"""What Flash knows of members, and of what changed: typed reads with the read key.

Each returns its value, or the Outcome that says why there is none; nothing raises for what a network or a server does.
`is_not_found` tells Flash's own "there is no such thing" from everything else. At most READS_AT_ONCE go at a time, on
connections beside the relay's; waiting for a turn is part of the time limit. Called by the members room and by what
must know a coupon's state; the shapes stand in `readings.py`.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from agent.delivery import Contact, Fate, Kind, Outcome
from agent.errors import InvalidError
from agent.flash import outcome as table
from agent.flash import readings
from agent.flash.client import FlashClient
from agent.flash.wire import segment

READS_AT_ONCE = 6
NOT_FOUND = "not-found"
TIMED_OUT = "read-timed-out"
FIND_BY = ("externalId", "email")

T = TypeVar("T")
Fields = Mapping[str, Any]


class Page(msgspec.Struct, frozen=True):
    """A page of what changed, oldest change first, and where the next one begins (None: Flash gave none).

    So many rows were `unread`: they had no id.
    """

    rows: Sequence[Fields]
    cursor: str | None
    total: int | None
    unread: int = 0


def is_not_found(answer: object) -> bool:
    """Whether Flash said that there is no such thing."""
    return isinstance(answer, Outcome) and answer.code == NOT_FOUND


class Reads:
    """Reads through one client, each within its time limit for one attempt."""

    def __init__(self, client: FlashClient) -> None:
        self._client = client
        self._turns = asyncio.Semaphore(READS_AT_ONCE)

    async def find(self, name: str, value: str) -> Sequence[Fields] | Outcome:
        """The members with this `externalId` or `email`; empty when Flash knows none.

        A row that does not bear the key that was asked for (a server that overlooked the question, say) is no answer.
        """
        if name not in FIND_BY:
            raise ValueError(f"members cannot be found by {name}")
        found = await self._read(f"{readings.MEMBERS_PATH}?{name}={segment(value)}", _members)
        if isinstance(found, Outcome):
            return found
        matching = [row for row in found if _bears(row, name, value)]
        return matching if matching or not found else _unexpected("Flash answered with other members.")

    async def member(self, member_id: str) -> Fields | Outcome:
        """One member's own fields."""
        return await self._part(member_id, "", _member)

    async def points(self, member_id: str) -> Fields | Outcome:
        """`{"balance": n, …}`."""
        return await self._part(member_id, "points", readings.points_of)

    async def tier(self, member_id: str) -> Fields | Outcome:
        """`{"name": …, …}`, empty for a member without one."""
        return await self._part(member_id, "tier", readings.tier_of)

    async def coupons(self, member_id: str) -> Sequence[Fields] | Outcome:
        """`[{"id", "status", …}]`; read them with readings.coupon_*."""
        return await self._part(member_id, "coupons", readings.coupons_of)

    async def changed(self, since: str, cursor: str | None) -> Page | Outcome:
        """A page of the members that changed at or after `since` (RFC 3339)."""
        return await self._page(readings.MEMBERS_PATH, _member, since, cursor)

    async def orders_changed(self, since: str, cursor: str | None) -> Page | Outcome:
        """A page of the orders that changed at or after `since` (RFC 3339), as `readings.order_of` tells them."""
        return await self._page(readings.ORDERS_PATH, readings.order_of, since, cursor)

    async def _page(
        self,
        collection: str,
        read: Callable[[Any], Fields | None],
        since: str,
        cursor: str | None,
    ) -> Page | Outcome:
        path = f"{collection}?updatedSince={segment(since)}&limit={readings.CHANGES_PAGE}"
        if cursor is not None:
            path += f"&cursor={segment(cursor)}"
        parsed = await self._answer(path)
        if isinstance(parsed, Outcome):
            return parsed
        data = parsed.get("data")
        if not isinstance(data, list):
            return _unexpected("The page of what changed cannot be read.")
        rows = [row for row in map(read, data) if row is not None]
        total = parsed.get("total")
        count = total if isinstance(total, int) else None
        return Page(rows, readings.next_cursor(parsed), count, len(data) - len(rows))

    async def _part(self, member_id: str, part: str, read: Callable[[Any], T | None]) -> T | Outcome:
        if not readings.is_id(member_id):
            raise InvalidError("This is no member's id.")  # `.` would be another path
        return await self._read(readings.member_path(member_id, part), read)

    async def _read(self, path: str, read: Callable[[Any], T | None]) -> T | Outcome:
        parsed = await self._answer(path)
        if isinstance(parsed, Outcome):
            return parsed
        value = read(parsed["data"]) if "data" in parsed else None
        return _unexpected("The answer lacks what was asked for.") if value is None else value

    async def _answer(self, path: str) -> Mapping[str, Any] | Outcome:
        """The parsed body of a 200."""
        try:
            async with asyncio.timeout(self._client.attempt_timeout_s), self._turns:
                answer = await self._client.get(path)
        except TimeoutError:
            return Outcome(Fate.RETRY, Contact.UNREACHABLE, TIMED_OUT, "Flash did not answer in time.")
        if isinstance(answer, Outcome):
            return answer
        parsed = table.parse(answer.body)
        if answer.status == 200 and parsed:
            return parsed
        if answer.status == 404 and parsed is not None:
            return Outcome(Fate.DECLINED, Contact.ANSWERED, NOT_FOUND, "Flash knows no such member.", 404)
        if 200 <= answer.status < 300:
            return _not_flash(answer.status)
        # Judged as any call that has no meaning of its own for a 4xx.
        return table.judge_parsed(Kind.STORE, answer.status, parsed, retry_after=self._client.retry_after_s(answer))


def _members(data: Any) -> list[Fields] | None:
    if not isinstance(data, list):
        return None
    rows = [_member(row) for row in data]
    return [row for row in rows if row is not None]


def _member(data: Any) -> Fields | None:
    found = data.get("id") if isinstance(data, dict) else None
    return data if isinstance(found, str) and readings.is_id(found) else None


def _bears(row: Fields, name: str, value: str) -> bool:
    theirs = row.get(name)
    if not isinstance(theirs, str):
        return False
    return theirs.strip().casefold() == value.strip().casefold() if name == "email" else theirs == value


def _unexpected(detail: str) -> Outcome:
    return Outcome(Fate.RETRY, Contact.ANSWERED, "unexpected-shape", detail, 200)


def _not_flash(status: int) -> Outcome:
    detail = "The answer is not Flash's: it is not a JSON object."
    return Outcome(Fate.RETRY, Contact.UNREACHABLE, "unexpected-answer", detail, status)
