"""Is a key good, and of this till's own tenant? Asked with `GET /stores`, which has no effect at Flash.

Whether a write key may write is asked with a batch of no sales, which has none either, once the store was shown.
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from agent.delivery import Outcome
from agent.flash import harmless
from agent.flash import outcome as table

if TYPE_CHECKING:
    from agent.flash.transport import Answer


class Verdict(StrEnum):
    """What Flash says of a key."""

    SHOWN = "shown"  # under it Flash shows this till's store
    NOT_SHOWN = "not-shown"  # all stores were seen, and this till's is not among them
    UNREADABLE = "unreadable"  # Flash takes it, and shows no stores under it (or the till's own is not configured)
    REFUSED = "refused"  # 401
    READS_ONLY = "reads-only"  # asked of a write key: Flash shows the store, and lets it send no sales
    UNREACHABLE = "unreachable"  # Flash has not answered, or wants to be left alone


class Checked(msgspec.Struct, frozen=True):
    """A verdict; `retry_after_s` where Flash asked for a pause."""

    verdict: Verdict
    retry_after_s: float | None = None


async def find_store(get: Callable[[str], Awaitable["Answer | Outcome"]], store_id: str) -> "bool | Answer | Outcome":
    """Whether a store is in Flash's list, by Flash's id or ours; what ended the search where that cannot be told."""
    answer = await get(harmless.STORES.path)
    for _ in range(harmless.MAX_STORE_PAGES):
        if isinstance(answer, Outcome) or answer.status != 200:
            return answer
        page = harmless.read_stores(table.parse(answer.body))
        if page.stores is None:
            return answer
        if any(harmless.is_called(store, store_id) for store in page.stores):
            return True
        if page.next_path is None:
            return False
        answer = await get(page.next_path)
    return answer


def judge(found: "bool | Answer | Outcome", store_id: str | None, retry_after_s: float | None) -> Checked:
    """The verdict on what `find_store` found."""
    if isinstance(found, bool):
        if store_id is None:
            return Checked(Verdict.UNREADABLE)
        return Checked(Verdict.SHOWN if found else Verdict.NOT_SHOWN)
    if isinstance(found, Outcome) or table.parse(found.body) is None:
        return Checked(Verdict.UNREACHABLE)
    if found.status == 401:
        return Checked(Verdict.REFUSED)
    if found.status in {200, 403, 404}:
        return Checked(Verdict.UNREADABLE)
    return Checked(Verdict.UNREACHABLE, retry_after_s)


def may_write(answer: "Answer | Outcome") -> Checked:
    """The verdict on a key that has shown the store, after it sent no sales; only a clear no counts."""
    status = None if isinstance(answer, Outcome) or table.parse(answer.body) is None else answer.status
    return Checked({401: Verdict.REFUSED, 403: Verdict.READS_ONLY}.get(status or 0, Verdict.SHOWN))
