"""What Flash has not counted yet of each member: the projected view, kept in memory beside the store.

An index of the pending operations by the keyed hashes of their members, with running sums: a look-up asks no table and
walks through no backlog, were it all of one customer (a card that cashiers share). Built in slices when a member is
first looked up, it then follows the store's changes; a sale costs a few microseconds (some 400 bytes while it is
pending), and on a till where nobody looks anybody up nothing. A refund belongs to its sale's member, which the sale's
row knows; that is looked up when somebody first asks, for refunds are few. Points are never computed.

A row that a failed commit left behind and nobody resent is counted after the next start only.
"""

import asyncio
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from agent import logs, tasks
from agent.clock import Clock
from agent.delivery import Kind
from agent.errors import Refusal
from agent.model import member_subjects
from agent.outbox.changes import Change
from agent.outbox.operation import Operation
from agent.outbox.state import Status
from agent.outbox.store import Store
from agent.storage import Sealer

_SLICE = 50
_REFUNDS_AT_ONCE = 200
_RETRY_S = 5.0
_Keys = tuple[bytes, ...]  # hashes of all the keys by which an operation names its member
_COUNTED = (Kind.SALE, Kind.REFUND, Kind.ENROLLMENT)


class Pending(msgspec.Struct, frozen=True):
    """What is pending for a member. `amount` is that of the sales in the till's own currency."""

    sales: int
    amount: Decimal
    refunds: int
    enrollments: Sequence[int]


class _Entry(msgspec.Struct, frozen=True, gc=False):  # the collector need not look at a whole backlog
    kind: Kind
    amount: Decimal | None
    members: tuple[bytes, ...]


class _Sum(msgspec.Struct, gc=False):
    """What is pending under one combination of a member's keys; all entries of it share that one object."""

    keys: _Keys
    sales: int = 0
    amount: Decimal = Decimal(0)
    refunds: int = 0
    enrollments: tuple[int, ...] = ()

    def count(self, seq: int, entry: _Entry, sign: int) -> None:
        """Take an entry in (1) or out (-1)."""
        match entry.kind:
            case Kind.SALE:
                self.sales += sign
                self.amount += sign * (entry.amount or Decimal(0))
            case Kind.REFUND:
                self.refunds += sign
            case _:
                others = (other for other in self.enrollments if other != seq)
                self.enrollments = (*others, seq) if sign > 0 else tuple(others)

    def is_empty(self) -> bool:
        return not (self.sales or self.refunds or self.enrollments)


class Projected:
    """The index. `ready` is set once everything that was pending when it began is in it."""

    def __init__(self, store: Store, sealer: Sealer, clock: Clock, currency: str) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._currency = currency
        self._entries: dict[int, _Entry] = {}
        self._sums: dict[_Keys, _Sum] = {}
        self._of_member: dict[bytes, _Keys | set[_Keys]] = {}  # nearly always one, and a set costs ten times that
        self._unplaced: set[int] = set()  # refunds whose sale's member was not looked up yet
        self._task: asyncio.Task[None] | None = None
        self._log = logs.get()
        self.ready = asyncio.Event()

    def begin(self) -> None:
        """Follow the store from now on, if that was not begun, and catch up with what is pending already."""
        if self._task is None:
            self._store.changes.listen(self._changed)
            self._task = asyncio.create_task(self._build(), name="projected")

    async def stop(self) -> None:
        await tasks.end(self._task)

    async def of(self, members: Iterable[bytes]) -> Pending:
        """What is pending for whoever any of the hashes names."""
        await self._place_refunds()
        combinations = set().union(*(_as_set(self._of_member.get(member)) for member in members))
        sums = [self._sums[keys] for keys in combinations]
        return Pending(
            sales=sum(each.sales for each in sums),
            amount=sum((each.amount for each in sums), Decimal(0)),
            refunds=sum(each.refunds for each in sums),
            enrollments=sorted(seq for each in sums for seq in each.enrollments),
        )

    def hashes(self, kind: Kind, request: Any) -> tuple[bytes, ...]:
        """The members whom a request names."""
        named = request if kind is Kind.ENROLLMENT else request.get("customer") or {}
        subjects = member_subjects(named.get("memberId"), named.get("externalId"), named.get("email"))
        return tuple(self._sealer.hash(subject) for subject in subjects)

    # ---- following ---------------------------------------------------------------------------------------------------

    def _changed(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.kind not in _COUNTED:
                continue
            if change.status is not Status.PENDING:
                self._remove(change.seq)
            elif change.operation is not None:
                self._add(change.operation)

    async def _build(self) -> None:
        last = 0
        while True:
            try:
                found = await self._store.pending_after(last, _SLICE)
            except Refusal as error:
                self._log.warning("the projected view waits for the store", code=error.code)
                await self._clock.sleep(_RETRY_S)
                continue
            for operation in found:  # in the turn in which the connection is free again: nothing was told since
                self._add(operation)
            if len(found) < _SLICE:
                break
            last = found[-1].seq
        self.ready.set()

    def _add(self, operation: Operation) -> None:
        if operation.kind not in _COUNTED or operation.content is None or operation.seq in self._entries:
            return
        request = operation.content.request
        amount = None
        if operation.kind is Kind.SALE and request.get("currency", self._currency) == self._currency:
            amount = Decimal(request["totalAmount"])
        if operation.kind is Kind.REFUND:
            self._unplaced.add(operation.seq)
        self._enter(operation.seq, _Entry(operation.kind, amount, self.hashes(operation.kind, request)))

    def _enter(self, seq: int, entry: _Entry) -> None:
        if entry.members:
            total = self._sums.get(entry.members) or self._begin_sum(entry.members)
            total.count(seq, entry, 1)
            entry = replace(entry, members=total.keys)
        self._entries[seq] = entry

    def _begin_sum(self, keys: _Keys) -> _Sum:
        total = self._sums[keys] = _Sum(keys)
        for member in keys:
            held = self._of_member.get(member)
            if isinstance(held, set):
                held.add(keys)
            else:
                self._of_member[member] = keys if held is None else {held, keys}
        return total

    def _remove(self, seq: int) -> None:
        self._unplaced.discard(seq)
        entry = self._entries.pop(seq, None)
        if entry is None or not entry.members:
            return
        keys = entry.members
        self._sums[keys].count(seq, entry, -1)
        if not self._sums[keys].is_empty():
            return
        del self._sums[keys]
        for member in keys:
            held = self._of_member.get(member)
            if isinstance(held, set):
                held.discard(keys)
            if held in (keys, set()):
                del self._of_member[member]

    async def _place_refunds(self) -> None:
        while self._unplaced:
            chosen = sorted(self._unplaced)[:_REFUNDS_AT_ONCE]
            found = await self._store.members_of_refunds(chosen)
            for seq in chosen:
                if seq in self._unplaced:  # it may have been settled meanwhile
                    self._unplaced.discard(seq)
                    self._enter(seq, replace(self._entries[seq], members=tuple(found.get(seq, ()))))


def _as_set(held: _Keys | set[_Keys] | None) -> set[_Keys]:
    if held is None:
        return set()
    return held if isinstance(held, set) else {held}
