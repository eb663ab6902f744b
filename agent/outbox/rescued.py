"""Operations of another till that died, as they enter this one's outbox (`left.py` read them out of its database).

What enters keeps its id, its key and its body, byte for byte, so that it has one effect wherever and however often it
is delivered. It counts as perhaps sent: the dead till may have, or may come back to life and do so; therefore it goes
alone, never in a batch, and cannot be discarded unsent. Loaded when a rescue is made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from msgspec.structs import replace

from agent.clock import Clock, to_ms
from agent.delivery import Kind
from agent.errors import InvalidError
from agent.outbox.accepting import Acceptor
from agent.outbox.changes import Change, Changes
from agent.outbox.left import Left, Natural, RedemptionLeft
from agent.outbox.operation import Verdict
from agent.outbox.redemptions import NOT_SENT
from agent.outbox.rows import READ, Rows
from agent.outbox.slow_way import MUST_WAIT
from agent.outbox.state import UPSERTS, Status
from agent.outbox.till import Till
from agent.storage import Database, IntegrityError, Sealer, Transaction
from agent.storage.statements import placeholders

Fate = Literal["taken", "known", "repeated", "conflicting"]
_SAME = "SELECT fingerprint, current, status FROM operation WHERE scope = ? AND item = ? ORDER BY current DESC"
_COLUMNS = (
    "seq, id, kind, status, scope, item, generation, current, fingerprint, subjects, blocked, maybe_sent, attempts, "
    "strikes, accepted_at, settled_at, external_order, business_date, key_id, content, outcome_key_id, outcome"
)
_INSERT = f"INSERT INTO operation ({_COLUMNS}) VALUES ({placeholders(_COLUMNS.count(',') + 1)}) RETURNING seq"  # noqa: S608
_INSERT_REDEMPTION = """
INSERT INTO redemption (seq, basket, phase, honor, basis, credit, first_asked_at, last_asked_at, value, lost)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_MARK = "INSERT INTO rescued (seq, store, till, taken_at) VALUES (?, ?, ?, ?)"
_CONFLICT = Verdict(
    code="order-conflict",
    detail="This till has the same order or refund with another amount; of the two this one, of the rescued till, was "
    "not sent. Look which is right.",
)


class Rescued:
    """Takes what other tills left into this outbox."""

    def __init__(
        self, database: Database, sealer: Sealer, clock: Clock, rows: Rows, *, acceptor: Acceptor, changes: Changes
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._clock = clock
        self._rows = rows
        self._acceptor = acceptor
        self._changes = changes

    async def take(self, till: Till, origin: str, left: Sequence[tuple[Left, Natural]]) -> list[Fate]:
        """Write these in one transaction, each once; `origin` tells the dead till from all others.

        known: it was taken before; repeated: this till has the same order, refund or data by itself; conflicting: the
        same with another amount, taken as failed. All or nothing is written; raises what the database raises.
        """
        fates: list[Fate] = []
        slice_ = _Slice(till, origin, to_ms(self._clock.now()))

        async def write(transaction: Transaction) -> None:
            try:
                for each, natural in left:
                    fates.append(await self._take_one(transaction, slice_, each, natural))
            except IntegrityError:
                raise InvalidError("The rescue holds an operation that contradicts itself; stopped there.") from None

        await self._database.transact(write)
        if slice_.seqs:
            self._database.mark.raise_to(slice_.seqs[-1])
            if self._changes.hear_accepts:
                await self._tell(slice_.seqs)
        return fates

    async def _tell(self, seqs: Sequence[int]) -> None:
        sql = f"SELECT {READ} FROM operation WHERE seq IN ({placeholders(len(seqs))}) ORDER BY seq"  # noqa: S608
        found = [self._rows.operation(row) for row in await self._database.fetch(sql, list(seqs))]
        await self._rows.add_redeemed(self._database, found)
        self._changes.tell_accepted(
            [Change(each.seq, each.id, each.kind, each.status, operation=each) for each in found]
        )

    async def _take_one(self, transaction: Transaction, slice_: "_Slice", left: Left, natural: Natural) -> Fate:
        if await transaction.fetch("SELECT 1 FROM operation WHERE id = ?", [left.id]):
            return "known"
        digest = self._sealer.hash
        scope, item = digest(natural.scope), digest(natural.item) if natural.item else b""
        fingerprint, same = digest(natural.fingerprint), await transaction.fetch(_SAME, [scope, item])
        fate = _fate(left, fingerprint, same)
        if fate == "repeated":
            return fate
        if fate == "conflicting":
            left = replace(left, status=Status.FAILED, verdict=_CONFLICT, settled_at=left.settled_at or slice_.now_ms)
            scope, item = digest(f"rescued:{left.id}"), b""  # so that nothing of this till's own waits for it
        elif left.kind in UPSERTS:
            scope = digest(f"rescued:{slice_.origin}:{natural.scope}")  # a line of its own, behind no newer one of ours
        elif same:
            item = digest(f"rescued:{left.id}")  # the number of its key stays its own
        await self._insert(transaction, slice_, _settled_unsent(left, slice_.now_ms), natural, _Key(scope, item))
        return fate

    async def _insert(
        self, transaction: Transaction, slice_: "_Slice", left: Left, natural: Natural, key: "_Key"
    ) -> None:
        digest, seq, till = self._sealer.hash, self._acceptor.take_number(), slice_.till
        subjects = "[" + ", ".join(f'"{digest(each).hex()}"' for each in dict.fromkeys(natural.subjects)) + "]"
        blocked = 0
        if left.status is Status.PENDING:
            ((blocked,),) = await transaction.fetch(MUST_WAIT, [left.kind.value, key.scope, subjects])
        came_from = left.content.rescued_from or {"storeId": till.store_id, "tillId": till.till_id}
        content = replace(left.content, rescued_from=came_from)
        outcome: tuple[int | None, bytes | None] = (None, None)
        if left.verdict != Verdict():
            outcome = self._sealer.seal(left.verdict.to_bytes(), left.id, "outcome")
        sent = left.maybe_sent if left.kind is Kind.REDEMPTION else max(1, left.maybe_sent)
        row = (
            seq, left.id, left.kind.value, left.status.value, *key, left.generation, int(left.current),
            digest(natural.fingerprint), subjects, blocked, sent, left.attempts, left.strikes, left.accepted_at,
            left.settled_at, digest(natural.external_order) if natural.external_order else None, left.business_date,
            *self._sealer.seal(content.to_bytes(), left.id, "content"), *outcome,
        )  # fmt: skip
        if not await transaction.fetch(_INSERT, row):
            raise RuntimeError("the trigger passed over a row that was looked at")  # never a false yes
        await transaction.fetch(_MARK, [seq, came_from["storeId"], came_from["tillId"], slice_.now_ms])
        if left.redemption is not None:
            await self._insert_redemption(transaction, seq, left, left.redemption, natural)
        if left.forgotten:
            await transaction.fetch("INSERT INTO forgotten (seq) VALUES (?)", [seq])
        slice_.seqs.append(seq)

    async def _insert_redemption(
        self, transaction: Transaction, seq: int, left: Left, was: RedemptionLeft, natural: Natural
    ) -> None:
        """Without its day: the ledger of what was honored offline is the other till's, and so are its limits."""
        basket = self._sealer.hash(natural.basket or f"rescued:{left.id}")
        values = (was.honor, was.basis, was.credit, was.first_asked_at, was.last_asked_at, was.value, was.lost)
        await transaction.fetch(_INSERT_REDEMPTION, [seq, basket, was.phase, *values])


class _Key(NamedTuple):
    scope: bytes
    item: bytes


@dataclass(slots=True)
class _Slice:
    """What is written in one transaction, for one dead till; `seqs` are the rows so far."""

    till: Till
    origin: str
    now_ms: int
    seqs: list[int] = field(default_factory=list)


def _fate(left: Left, fingerprint: bytes, same: Sequence[Sequence[Any]]) -> Fate:
    """What becomes of it beside what this till has under the same natural key by itself."""
    holder, is_current, status = same[0] if same else (b"", 0, "")
    if not is_current or (left.kind is Kind.REFUND and status == Status.DECLINED):  # nobody knew its sale then
        return "taken"
    if left.kind in UPSERTS:
        return "repeated" if holder == fingerprint and status in {Status.PENDING, Status.SUCCEEDED} else "taken"
    return "repeated" if holder == fingerprint else "conflicting"


def _settled_unsent(left: Left, now_ms: int) -> Left:
    """A redemption whose register went down with its till: never burned now, only asked about where it was sent."""
    was = left.redemption
    if was is None or was.phase != "posting":
        return left
    if left.maybe_sent == 0 and left.status is Status.PENDING:
        basis = "voided" if was.basis == "voided" else "not-sent"
        settled = replace(was, phase="settled", basis=basis)
        return replace(left, status=Status.DECLINED, verdict=NOT_SENT, settled_at=now_ms, redemption=settled)
    return replace(left, redemption=replace(was, phase="unknown"))
