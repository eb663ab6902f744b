"""Follows what the outbox settles: an enrolled member becomes a snapshot, a new balance or a burned coupon changes one.

Told after the commits, and writes in bulk beside them: a drain costs one statement a batch, and nothing at all while no
member is remembered. What a killed agent did not get to write is asked for at the next look-up.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from agent import logs, tasks
from agent.delivery import Kind
from agent.errors import Refusal
from agent.flash import readings
from agent.flash.client import FlashClient
from agent.members.snapshot import News, profile_of, subjects_of
from agent.members.snapshots import Snapshots
from agent.members.vault import Vault
from agent.model import member_subjects
from agent.outbox.changes import Change
from agent.outbox.state import Status
from agent.outbox.store import Store

_AT_ONCE = 200
_TOLD_BY_FLASH = {Status.SUCCEEDED, Status.DECLINED}
MAX_QUEUED = 20_000  # beyond it balances are let go: the next look-up asks


class Follower:
    """`enrolled` is called with the subjects of members of whom Flash has news from us."""

    def __init__(self, store: Store, snapshots: Snapshots, vault: Vault, client: FlashClient) -> None:
        self._store = store
        self._snapshots = snapshots
        self._vault = vault
        self._client = client
        self._enrolled: list[Change] = []
        self._earned: list[Change] = []
        self._task: asyncio.Task[None] | None = None
        self._log = logs.get()
        self.enrolled: Callable[[Sequence[bytes]], None] = lambda _subjects: None

    def start(self) -> None:
        """Follow from now on."""
        self._store.changes.listen(self._changed, accepts=False)

    async def stop(self) -> None:
        await tasks.end(self._task)

    async def catch_up(self, limit_s: float) -> None:
        """Wait for what is on its way to the snapshots."""
        if self._task is not None and not self._task.done():
            await asyncio.wait({self._task}, timeout=limit_s)

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind is Kind.ENROLLMENT and change.operation is not None:
                self._enrolled.append(change)
            elif change.status in _TOLD_BY_FLASH and self._snapshots.count and _concerns_members(change):
                self._earned.append(change)
        del self._earned[:-MAX_QUEUED]
        if (self._enrolled or self._earned) and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._write(), name="follower")

    async def _write(self) -> None:
        try:
            while self._enrolled or self._earned:
                enrolled, self._enrolled = self._enrolled[:_AT_ONCE], self._enrolled[_AT_ONCE:]
                earned, self._earned = self._earned[:_AT_ONCE], self._earned[_AT_ONCE:]
                await self._adopt(enrolled)
                await self._refresh([change for change in earned if change.kind is not Kind.REDEMPTION])
                for change in earned:
                    await self._used(change)
        except Refusal as error:
            self._log.warning("a snapshot waits for the store", code=error.code)
        except Exception:  # noqa: BLE001 - a snapshot is a cache
            self._log.exception("snapshots cannot follow")

    async def _adopt(self, enrolled: Sequence[Change]) -> None:
        """Members whom Flash confirmed take the id that it gave; whoever was to be forgotten stays forgotten."""
        confirmed = [change for change in enrolled if change.status is Status.SUCCEEDED]
        stripped = await self._store.stripped([change.seq for change in confirmed]) if confirmed else set()
        at_ms, clock_known = self._client.time_ms()
        news = []
        for change in enrolled:
            request = change.operation.content.request if change.operation and change.operation.content else {}
            self.enrolled([self._vault.hash(subject) for subject in subjects_of(profile_of(request))])
            result = change.result if isinstance(change.result, dict) else {}
            profile = {**profile_of(request), **profile_of(result)}
            settled = change.status is Status.SUCCEEDED and change.seq not in stripped
            if settled and readings.is_id(profile.get("id", "")):
                news.append(News(profile, {}, at_ms, at_ms, clock_known, whole=False, looked=False))
        if news:
            await self._snapshots.save(news)

    async def _used(self, change: Change) -> None:
        """A coupon was burned, or refused: a snapshot that shows it active is fresh no longer."""
        content = change.operation.content if change.operation else None
        if change.kind is Kind.REDEMPTION and content is not None:
            await self._snapshots.outdate(self._vault.coupon_hash(content.request["couponId"]))

    async def _refresh(self, earned: Sequence[Change]) -> None:
        refunds = [change.seq for change in earned if change.kind is Kind.REFUND and "memberId" not in change.result]
        sold_to = await self._store.members_of_refunds(refunds) if refunds else {}
        balances: dict[bytes, int] = {}
        for change in earned:
            member = self._member(change, sold_to.get(change.seq, ()))
            balance = _balance(change)
            if member is not None and balance is not None:
                balances[member] = balance
        known = await self._snapshots.known(list(balances)) if balances else set()
        if known:
            at_ms, _ = self._client.time_ms()
            await self._snapshots.refresh_balances({each: balances[each] for each in known}, at_ms)

    def _member(self, change: Change, sold_to: Sequence[bytes]) -> bytes | None:
        """The hash of the subject that the settled operation's points went to."""
        member_id = change.result.get("memberId")
        if isinstance(member_id, str):
            return self._vault.hash(member_subjects(member_id, None, None)[0]) if member_id else None
        if change.kind is Kind.REFUND:
            return sold_to[0] if sold_to else None
        content = change.operation.content if change.operation else None
        customer = content.request.get("customer", {}) if content else {}
        named = member_subjects(customer.get("memberId"), customer.get("externalId"), customer.get("email"))
        return self._vault.hash(named[0]) if named else None


def _concerns_members(change: Change) -> bool:
    return change.kind is Kind.REDEMPTION or (change.kind in {Kind.SALE, Kind.REFUND} and _balance(change) is not None)


def _balance(change: Change) -> int | None:
    """Flash's new balance, where the result has one."""
    found: Any = change.result.get("balance") if isinstance(change.result, dict) else None
    points = readings.points_of({"balance": found})
    return None if points is None else points["balance"]
