"""A member at the counter: Flash first within a short budget, else what this till remembers, and never a wait in vain.

    fresh snapshot          answers at once; asked anew behind it
    line works              Flash is asked, for the budget at most; what comes later is kept all the same
    line dead or closed     the snapshot at once; one asking at a time finds the way back behind it
    neither                 a member enrolled here that Flash has not confirmed yet, from the outbox itself

404 only when Flash said so, remembered briefly; 503 when nobody could be asked. Concurrent look-ups of one member share
one asking, and none of them can end it for the others. Called by the API.
"""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from agent import logs
from agent.clock import Clock
from agent.config import Members as Options
from agent.errors import MemberUnknownError, NotFoundError, Refusal, StorageUnavailableError
from agent.flash.client import FlashClient
from agent.flash.reads import Reads
from agent.members.flight import Flight
from agent.members.follower import Follower
from agent.members.gate import Gate
from agent.members.snapshot import PARTS, Fields, Key, News, Snapshot, profile_of, subjects_of
from agent.members.snapshots import Snapshots
from agent.members.vault import Vault
from agent.outbox.projected import Pending, Projected
from agent.outbox.store import Store

REFRESH_AFTER_MS = 1000  # so old a snapshot is before it is asked for anew behind an answer
BEHIND_AT_ONCE = 3
MAX_UNKNOWN = 1024
_CLOCK_SLACK_MS = 2000  # Flash tells the time to the second
_RETRY_AFTER_S = 5

Source = Literal["flash", "cache", "local"]


@dataclass(frozen=True, slots=True, repr=False)
class Look:
    """The answer. Values of `parts` are None for those in `missing`; `pending` is None while it is being counted."""

    profile: Fields
    parts: Fields
    source: Source
    as_of_ms: int
    stale: bool = False
    missing: Sequence[str] = ()
    pending: Pending | None = None


class _Flying(msgspec.Struct):
    flight: Flight
    abandoned: set[bytes] = msgspec.field(default_factory=set)
    task: "asyncio.Task[None] | None" = None


class Lookup:
    """Look-ups of one till. `under_way` counts the cashiers who wait for one now."""

    def __init__(
        self,
        *,
        snapshots: Snapshots,
        vault: Vault,
        projected: Projected,
        store: Store,
        follower: Follower,
        reads: Reads,
        client: FlashClient,
        gate: Gate,
        clock: Clock,
        options: Options,
    ) -> None:
        self._snapshots = snapshots
        self._vault = vault
        self._projected = projected
        self._store = store
        self._follower = follower
        self._reads = reads
        self._client = client
        self._gate = gate
        self._clock = clock
        self._options = options
        self._flying: dict[bytes | int, _Flying] = {}
        self._later: dict[int, asyncio.TimerHandle] = {}  # members who are soon asked for anew
        self._unknown: dict[bytes, float] = {}
        self._log = logs.get()
        self.under_way = 0
        self.answered: Counter[str] = Counter()  # by source; "refused" where there was no answer

    async def stop(self) -> None:
        """End what is under way; nothing is lost that cannot be asked again."""
        self._cancel_later()
        tasks = [flying.task for flying in self._flying.values() if flying.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def forget_unknown(self, subjects: Sequence[bytes]) -> None:
        """Flash may know these now."""
        for subject in subjects:
            self._unknown.pop(subject, None)

    def abandon(self, subjects: Collection[bytes]) -> None:
        """What is being asked about these members is not to be kept."""
        self._cancel_later()
        for flying in self._flying.values():
            flying.abandoned |= set(subjects)

    def _cancel_later(self) -> None:
        for timer in self._later.values():
            timer.cancel()
        self._later.clear()

    async def by(self, key: Key) -> Look:
        """Look a member up; raises NotFoundError or MemberUnknownError."""
        deadline = self._clock.monotonic() + self._options.lookup_budget_ms / 1000
        self.under_way += 1
        self._projected.begin()
        try:
            wanted = self._vault.hash(key.subject)
            await self._follower.catch_up(self._left_s(deadline))
            try:
                look = await self._look(key, wanted, await self._snapshots.find(wanted), deadline)
            except StorageUnavailableError as error:  # Flash can be asked all the same
                look = await self._without_storage(key, wanted, deadline, error)
            self.answered[look.source] += 1
            subjects = {wanted, *map(self._vault.hash, subjects_of(look.profile))}
            return replace(look, pending=await self._pending(subjects, deadline))
        except Refusal:
            self.answered["refused"] += 1
            raise
        finally:
            self.under_way -= 1

    async def _look(self, key: Key, wanted: bytes, before: Snapshot | None, deadline: float) -> Look:
        if before is not None and (age_ms := self._age_ms(before)) is not None:
            self._refresh_behind(key, wanted, before, age_ms)
            return _fresh(before)
        unknown = self._clock.monotonic() < self._unknown.get(wanted, 0.0)
        in_vain = self._gate.is_closed or self._gate.is_dead
        flying = None if unknown else self._set_off(key, wanted, before)
        local = None if before else await self._local(wanted, deadline)
        if flying is not None and flying.task is not None and not (in_vain and (before or local)):
            await asyncio.wait({flying.task}, timeout=self._left_s(deadline))
            news, done = flying.flight.news, flying.task.done()
            if news is not None and (before is None or (done and (news.parts or not before.parts))):
                return _told(news)
            if flying.flight.not_found:
                before, unknown = None, True
            elif before is not None:
                return _remembered(before, news)
        if before is not None:
            return _remembered(before, None)
        if local is not None:
            return local
        if unknown:
            raise NotFoundError("Flash knows no such member.", code="member-not-found")
        raise MemberUnknownError(
            "Flash cannot be asked now, and this till has not met that member.",
            retry_after_s=math.ceil(self._gate.closed_for_s) or _RETRY_AFTER_S,
        )

    async def _without_storage(self, key: Key, wanted: bytes, deadline: float, error: StorageUnavailableError) -> Look:
        flying = self._set_off(key, wanted, None)
        if flying is not None and flying.task is not None:
            await asyncio.wait({flying.task}, timeout=self._left_s(deadline))
            if flying.flight.news is not None:
                return _told(flying.flight.news)
        raise error

    def _left_s(self, deadline: float) -> float:
        return max(0.0, deadline - self._clock.monotonic())

    def _age_ms(self, snapshot: Snapshot) -> int | None:
        """How old a fresh snapshot is; None for one that is not fresh, or whose age cannot be told."""
        now_ms, clock_known = self._client.time_ms()
        if snapshot.looked_at is None or snapshot.clock_known is not clock_known:
            return None
        age_ms = now_ms - snapshot.looked_at
        return age_ms if -_CLOCK_SLACK_MS <= age_ms <= self._options.fresh_s * 1000 else None

    # ---- asking ------------------------------------------------------------------------------------------------------

    def _set_off(self, key: Key, wanted: bytes, before: Snapshot | None) -> _Flying | None:
        """The asking about this member that is under way, or a new one; None where nobody may ask now."""
        name = before.seq if before else wanted
        flying = self._flying.get(name)
        if flying is None and self._gate.may_ask:
            flying = self._flying[name] = _Flying(Flight(self._reads, self._client, self._gate, self._clock))
            flying.task = asyncio.create_task(self._fly(flying, name, key, before), name="look-up")
        return flying

    def _refresh_behind(self, key: Key, wanted: bytes, before: Snapshot, age_ms: int) -> None:
        """Ask anew with nobody waiting: at once, or as soon as the snapshot is old enough to be worth it."""

        def set_off() -> None:
            self._later.pop(before.seq, None)
            if len(self._flying) < BEHIND_AT_ONCE:  # in a rush those come first for whom somebody waits
                self._set_off(key, wanted, before)

        if age_ms >= REFRESH_AFTER_MS:
            set_off()
        elif before.seq not in self._later:
            delay_s = min(REFRESH_AFTER_MS, REFRESH_AFTER_MS - age_ms) / 1000
            self._later[before.seq] = self._clock.call_later(delay_s, set_off)

    async def _fly(self, flying: _Flying, name: bytes | int, key: Key, before: Snapshot | None) -> None:
        try:
            await flying.flight.ask(key, before)
            await self._keep(flying, self._vault.hash(key.subject), before)
        except Refusal as error:  # the answer counts although it cannot be kept
            self._log.warning("a snapshot waits for the store", code=error.code)
        except Exception:  # noqa: BLE001 - whoever waits gets what the till remembers
            self._log.exception("look-up failed")
        finally:
            del self._flying[name]

    async def _keep(self, flying: _Flying, wanted: bytes, before: Snapshot | None) -> None:
        flight = flying.flight
        if flight.not_found:
            while len(self._unknown) >= MAX_UNKNOWN:
                del self._unknown[next(iter(self._unknown))]
            self._unknown[wanted] = self._clock.monotonic() + self._options.not_found_s
            if before is not None:
                await self._snapshots.remove([before.seq])
        elif (news := flight.news) is not None:
            self._unknown.pop(wanted, None)
            if flying.abandoned.isdisjoint({wanted, *map(self._vault.hash, subjects_of(news.profile))}):
                await self._snapshots.save([news])

    # ---- what is not Flash's yet -------------------------------------------------------------------------------------

    async def _pending(self, subjects: set[bytes], deadline: float) -> Pending | None:
        """What Flash has not counted; None where that is still being counted after the start."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._left_s(deadline)):
                await self._projected.ready.wait()
        try:
            return await self._projected.of(subjects) if self._projected.ready.is_set() else None
        except StorageUnavailableError:
            return None

    async def _local(self, wanted: bytes, deadline: float) -> Look | None:
        """A member enrolled here whom Flash has not confirmed: what the outbox is about to send of them."""
        pending = await self._pending({wanted}, deadline)
        enrollments = await self._store.enrollments(pending.enrollments) if pending and pending.enrollments else []
        profile: dict[str, Any] = {}
        for enrollment in enrollments:
            profile |= profile_of(enrollment.content.request if enrollment.content else {})
        if not profile:
            return None
        return Look(profile, {}, "local", enrollments[-1].accepted_at, missing=PARTS)


def _told(news: News) -> Look:
    missing = [part for part in PARTS if part not in news.parts]
    return Look(news.profile, news.parts, "flash", news.at_ms, missing=missing)


def _fresh(snapshot: Snapshot) -> Look:
    """What Flash told a moment ago, no more: a part that it did not tell then is missing now too."""
    looked_at = snapshot.looked_at or 0
    parts = {part: value for part, value in snapshot.parts.items() if snapshot.at[part] >= looked_at - _CLOCK_SLACK_MS}
    missing = [part for part in PARTS if part not in parts]
    return Look(snapshot.profile, parts, "cache", looked_at, missing=missing)


def _remembered(snapshot: Snapshot, news: News | None) -> Look:
    """Everything that is known, as old as the oldest thing in it; what was told within the budget is newer."""
    parts, at = dict(snapshot.parts), dict(snapshot.at)
    if news is not None and news.member_id == snapshot.member_id:
        parts |= news.parts
        at |= dict.fromkeys(news.parts, news.at_ms)
    missing = [part for part in PARTS if part not in parts]
    return Look(snapshot.profile, parts, "cache", min(at.values()), stale=True, missing=missing)
