"""Flash's feed of changed orders, read to its end through the running agent, for `reconcile`.

Waits as Flash asks, tries again when the line breaks, and notices a feed that does not end.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from agent.errors import AgentError

if TYPE_CHECKING:
    from agent.cli.client import AgentClient

FIRST_TRIES, TRIES = 2, 5
THROTTLES = 20
LONGEST_PAUSE_S = 120
STALLED_PAGES = 50
_NOTHING = "Nothing was compared."

Say = Callable[[str], None]


class Walk:
    """Watches over one reading: raises AgentError where the pages go round in circles."""

    def __init__(self) -> None:
        self._cursors: set[str] = set()
        self._rows = self._largest = self._total = self._stalled = 0
        self._first = self._last = ""

    def check(self, page: dict[str, Any]) -> None:
        """Look at one page that another one is to follow."""
        cursor, orders = page["nextCursor"], page["orders"]
        self._rows += max(1, len(orders))
        self._largest = max(self._largest, len(orders), 1)
        self._total = max(self._total, page["total"] or 0)
        is_repeated = cursor in self._cursors
        self._cursors.add(cursor)
        self._note_times([order["updatedAt"] for order in orders if order["updatedAt"]])
        is_over = self._rows > 2 * self._total + 20 * self._largest if self._total else self._stalled >= STALLED_PAGES
        if is_repeated or is_over:
            raise AgentError(
                f"Flash's feed of orders does not end: after {self._rows:,} rows its pages repeat. {_NOTHING} "
                "Tell Flash's support (GET /orders?updatedSince=)."
            )

    def _note_times(self, told: list[str]) -> None:
        first, last = min([self._first or "~", *told]), max([self._last, *told])
        self._stalled = self._stalled + 1 if (first, last) == (self._first, self._last) else 0
        self._first, self._last = first, last


def read(client: "AgentClient", since: str, until: datetime, say: Say) -> Iterator[dict[str, Any]]:
    """The pages of `GET /v1/flash-orders` from `since` on. What changed after `until` (Flash's time) is not waited for.

    Raises AgentError where it cannot be read to its end.
    """
    walk, rows = Walk(), 0
    query = {"updatedSince": since}
    while True:
        page = _page(client, query, FIRST_TRIES if rows == 0 else TRIES, say)
        rows += len(page["orders"])
        yield page
        total = page["total"]
        say(f"Flash's feed: {rows:,} orders{f' of {total:,} ({min(100, 100 * rows // total)} %)' if total else ''}")
        if page["stuckAt"] is not None:
            raise AgentError(
                f"Flash's feed cannot be read past {page['stuckAt']}: more orders than fit on a page changed at that "
                f"time, and Flash gives no cursor. {_NOTHING} Try a later --since."
            )
        if page["nextCursor"] is None or _is_past(page["orders"], until):
            return
        walk.check(page)
        query = {"cursor": page["nextCursor"]}


def _is_past(orders: list[dict[str, Any]], until: datetime) -> bool:
    """Whether all of a page changed after the reading began: a busy tenant's feed would never end."""
    told = [datetime.fromisoformat(order["updatedAt"]) for order in orders if order["updatedAt"]]
    return bool(told) and len(told) == len(orders) and all(_utc(each) > until for each in told)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.astimezone()


def _page(client: "AgentClient", query: dict[str, str], tries: int, say: Say) -> dict[str, Any]:
    from agent.cli.client import ApiError

    throttled = 0
    while True:
        try:
            page: dict[str, Any] = client.call("GET", "/v1/flash-orders", query=query)
        except ApiError as error:
            pause_s = error.retry_after_s or 0
            if error.code == "flash-throttled" and pause_s <= LONGEST_PAUSE_S and throttled < THROTTLES:
                throttled += 1
                say(f"Flash asked for a pause of {pause_s} s")
            elif error.code == "flash-offline" and tries > 1:
                tries -= 1
                say("Flash does not answer; trying again")
            else:
                raise AgentError(f"{error} {_NOTHING}") from None
            time.sleep(pause_s)
        else:
            return page
