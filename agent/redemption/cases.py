"""A redemption's case: there while anybody deals with it, so that whoever decides about it meets the same lock.

Used by the conductor (`redeeming.py`) and by what clears up after it (`unconfirmed.py`).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator

import msgspec

from agent.outbox.operation import Operation


class Post(msgspec.Struct, eq=False):
    """One register's request that waits; times are monotonic seconds."""

    until: float
    is_gone: Callable[[], bool]
    waits: bool = True


class Case(msgspec.Struct, eq=False):
    """One redemption that somebody deals with. `posts` and what is decided are touched under `lock` alone."""

    seq: int
    coupon_id: str
    lock: asyncio.Lock = msgspec.field(default_factory=asyncio.Lock)
    posts: set[Post] = msgspec.field(default_factory=set)
    released: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    work: asyncio.Task[None] | None = None
    users: int = 0
    undelivered: int = 0  # yeses on their way to a register
    delivered: bool = True  # one reached a register, as far as this agent can know

    def is_waited_for(self, now: float) -> bool:
        """Whether a POST waits that can still be answered."""
        return any(post.waits and now < post.until and not post.is_gone() for post in self.posts)

    def nobody_was_told(self) -> bool:
        """Whether a yes of this case reached no register, and none is on its way."""
        return not self.delivered and self.undelivered == 0


class Cases:
    """The cases that are open."""

    def __init__(self) -> None:
        self._open: dict[int, Case] = {}

    def __iter__(self) -> Iterator[Case]:
        return iter(list(self._open.values()))

    @contextlib.asynccontextmanager
    async def dealing(self, operation: Operation) -> AsyncIterator[Case]:
        """The case of a redemption; every `users` more than this one is given back with `done_with`."""
        case = self._open.get(operation.seq)
        if case is None:
            request = operation.content.request if operation.content else {}
            case = self._open[operation.seq] = Case(operation.seq, request.get("couponId", ""))
        case.users += 1
        try:
            yield case
        finally:
            self.done_with(case)

    def done_with(self, case: Case) -> None:
        """One user less; the last one closes the case."""
        case.users -= 1
        if case.users == 0:
            self._open.pop(case.seq, None)

    def is_posting(self, seq: int) -> bool:
        """Whether a register waits for it, or an attempt for one is under way."""
        case = self._open.get(seq)
        return case is not None and (case.work is not None or any(post.waits for post in case.posts))
