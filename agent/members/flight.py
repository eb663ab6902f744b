"""One asking about one member: profile, points, tier and coupons at once, as far as each is told.

Never raises for what a network or a server does. Whoever waits for it may go; it flies on, and what it brings is kept.
"""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, TypeVar

from agent.clock import Clock
from agent.delivery import Contact, Outcome
from agent.flash.client import FlashClient
from agent.flash.reads import Reads, is_not_found
from agent.members.gate import ANSWERED, Gate
from agent.members.snapshot import PARTS, Fields, Key, News, Snapshot, profile_of

T = TypeVar("T")
PROFILE = "profile"
FIND = "find"


class Flight:
    """`news` is what Flash told so far; `not_found`: it said that there is no such member. Both only grow."""

    def __init__(self, reads: Reads, client: FlashClient, gate: Gate, clock: Clock) -> None:
        self._reads = reads
        self._client = client
        self._gate = gate
        self._outcomes: list[Outcome] = []
        self._unknown: set[str] = set()  # the calls to which Flash said that there is no such thing
        self._profile: Fields = {}
        self._whole = False
        self._parts: dict[str, Any] = {}
        self._began_ms = clock.steady_ms()
        self._ended: tuple[int, bool] | None = None
        self.not_found = False

    async def ask(self, key: Key, before: Snapshot | None) -> None:
        """Ask everything, and tell the gate what was met."""
        with self._gate.asking():
            try:
                if key.name == "memberId":
                    await self._by_id(key.value, before)
                else:
                    await self._by_key(key, before)
            finally:
                self._gate.learn(self._outcomes)
                self._ended = self._client.time_ms()

    async def _by_id(self, member_id: str, before: Snapshot | None) -> None:
        own = before.profile if before else {}
        row, _ = await asyncio.gather(
            self._call(PROFILE, self._reads.member(member_id)),
            self._ask_parts(member_id, {**own, "id": member_id}),
        )
        if isinstance(row, Mapping) and row.get("id") == member_id:
            self._profile, self._whole = profile_of(row), True
        self.not_found = not self._profile and self._unknown >= {PROFILE, *PARTS}

    async def _by_key(self, key: Key, before: Snapshot | None) -> None:
        known = before.member_id if before else ""
        found = self._call(FIND, self._reads.find(key.name, key.value))
        if not known:
            rows = await found
        else:
            rows, _ = await asyncio.gather(found, self._ask_parts(known, before.profile if before else {}))
        if rows is None:
            return
        if not rows:
            self._profile, self._parts, self.not_found = {}, {}, True
            return
        row = rows[0]
        if row["id"] != known:
            self._profile, self._parts = {}, {}
        self._profile, self._whole = profile_of(row), True
        if row["id"] != known:
            await self._ask_parts(row["id"], self._profile)

    async def _ask_parts(self, member_id: str, profile: Fields) -> None:
        await asyncio.gather(
            self._part("points", member_id, profile),
            self._part("tier", member_id, profile),
            self._part("coupons", member_id, profile),
        )

    async def _part(self, part: str, member_id: str, profile: Fields) -> None:
        reads: Mapping[str, Any] = {
            "points": self._reads.points,
            "tier": self._reads.tier,
            "coupons": self._reads.coupons,
        }
        value = await self._call(part, reads[part](member_id))
        if isinstance(value, Mapping) and value.get("memberId", member_id) != member_id:
            return  # another member's answer is none
        if isinstance(value, list):
            value = [coupon for coupon in value if (coupon.get("memberId") or member_id) == member_id]
        if value is not None:
            self._parts[part] = value
            self._profile = self._profile or dict(profile)

    async def _call(self, name: str, call: Awaitable[T | Outcome]) -> T | None:
        """A value, or None for whatever else there was; what was met is noted."""
        if not self._gate.permits(name):  # or nothing at all any more
            call.close()  # type: ignore[attr-defined]
            return None
        answer = await call
        if not isinstance(answer, Outcome):
            self._outcomes.append(ANSWERED)
            return answer
        if answer.contact is Contact.THROTTLED or answer.retry_after_s:
            if not self._gate.is_closed or (answer.retry_after_s or 0.0) > self._gate.closed_for_s:
                self._gate.learn([answer])  # at once: what has not been asked yet, whoever asks, is not asked
            return None
        self._outcomes.append(answer)
        if is_not_found(answer):
            self._unknown.add(name)
        elif answer.contact is Contact.ENDPOINT_REFUSED:
            self._gate.refused(name)
        return None

    @property
    def news(self) -> News | None:
        """What was told so far; None while nothing was."""
        if not self._profile or (not self._whole and not self._parts):
            return None
        at_ms, clock_known = self._ended or self._client.time_ms()
        return News(
            profile=self._profile,
            parts=dict(self._parts),
            at_ms=at_ms,
            began_ms=self._began_ms,
            clock_known=clock_known,
            whole=self._whole,
        )
