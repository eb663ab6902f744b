"""The slow way into the table of operations: look at what is there, then replay, refuse or insert, in one transaction.

For what depends on history (refunds, upserts), and for what was passed over when it was written with others. Called by
the acceptor in the connection's thread; raises the refusals of what contradicts what is there.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from agent.clock import Clock, to_ms
from agent.delivery import ORDER_UNKNOWN, Kind
from agent.errors import ConflictError
from agent.outbox.arrival import COLUMNS, Arrival
from agent.outbox.catalog_rows import CatalogRows
from agent.outbox.operation import Accepted, Content, Draft, KnownOrder, Operation
from agent.outbox.rows import READ, Rows
from agent.outbox.state import UNSETTLED, UPSERTS, Status
from agent.storage import Row, Sealer, Transaction
from agent.storage.statements import placeholders

# What the trigger would ask is said here: the generation, and whether it must wait.
_INSERT_ONE = f"INSERT INTO operation (seq, generation, blocked, {COLUMNS}) VALUES ({placeholders(16)}) RETURNING seq"  # noqa: S608
_GENERATION = "SELECT COALESCE(max(generation), 0) + 1 FROM operation WHERE scope = ? AND item = ?"
MUST_WAIT = """
SELECT EXISTS (
    SELECT 1
    FROM dependence
    CROSS JOIN operation AS earlier INDEXED BY operation_key ON earlier.scope = ?2
    WHERE dependence.kind = ?1 AND dependence.shared = 'scope'
      AND earlier.kind = dependence.predecessor AND earlier.status IN ('pending', 'failed')
  )
  OR EXISTS (
    SELECT 1
    FROM json_each(?3) AS mine
    CROSS JOIN dependence ON dependence.kind = ?1 AND dependence.shared = 'member'
    CROSS JOIN subject ON subject.hash = mine.value AND subject.kind = dependence.predecessor
  )
"""

_CURRENT = f"SELECT {READ}, scope, item, fingerprint FROM operation WHERE scope = ? AND item = ? AND current = 1"  # noqa: S608
_BY_REQUEST_KEY = (
    f"SELECT {READ}, scope, item, fingerprint FROM operation "  # noqa: S608
    "WHERE seq = (SELECT seq FROM request_key WHERE hash = ?)"
)
_ORDER_HISTORY = f"SELECT {READ} FROM operation WHERE scope = ? AND kind IN ('sale', 'refund') AND current = 1"  # noqa: S608


class SlowWay:
    """`take_number` gives the number of a row that is about to be written."""

    def __init__(
        self, sealer: Sealer, clock: Clock, rows: Rows, catalog_rows: CatalogRows, take_number: Callable[[], int]
    ) -> None:
        self._sealer = sealer
        self._clock = clock
        self._rows = rows
        self._catalog_rows = catalog_rows
        self._take_number = take_number

    async def look_then_write(self, transaction: Transaction, arrival: Arrival) -> Accepted:
        """The operation, or the one that it repeats; raises ConflictError. Called in the connection's thread."""
        draft, row, older = arrival.draft, arrival.row, None
        scope, item, fingerprint, request_key = row[2], row[3], row[4], row[10]
        if (known := await self._by_request_key(transaction, arrival)) is not None:
            return known
        for found in await transaction.fetch(_CURRENT, [scope, item]):
            if await self._has_come_too_early(transaction, scope, draft, found):
                await transaction.fetch("UPDATE operation SET current = 0 WHERE seq = ?", [found[0]])
                continue
            if await self._repeats(transaction, draft, same=draft.fingerprint is None or found[-1] == fingerprint):
                if request_key is not None:
                    await transaction.fetch("INSERT INTO request_key VALUES (?, ?)", [request_key, found[0]])
                return self._replay(found, draft)
            if draft.kind not in UPSERTS:
                raise ConflictError(
                    "This was accepted before with another amount; the first one stands.",
                    code=draft.conflict_code,
                    operation_id=found[1],
                )
            older = self._rows.operation(found)
            await self._supersede(transaction, older, by_rows=draft.by_rows)
        content, row = await self._fixed(transaction, arrival, older)
        seq = self._take_number()
        if draft.rows:
            await self._catalog_rows.take(transaction, seq, draft.rows)
            await self._catalog_rows.supersede(transaction, scope, to_ms(self._clock.now()))
        ((generation,),) = await transaction.fetch(_GENERATION, [scope, item])
        ((blocked,),) = await transaction.fetch(MUST_WAIT, [draft.kind.value, scope, row[5]])
        if not await transaction.fetch(_INSERT_ONE, [seq, generation, blocked, *row]):
            raise RuntimeError("the trigger passed over a row that the writer had looked at")  # never a false yes
        return Accepted(arrival.operation(content, seq, generation, blocked=bool(blocked)), replayed=False)

    def _replay(self, found: Row, draft: Draft) -> Accepted:
        operation = self._rows.operation(found)
        differs: list[str] = []
        if operation.content is not None and not draft.by_rows:
            first, again = {**draft.defaults, **operation.content.request}, {**draft.defaults, **draft.content.request}
            names = {**first, **again}
            if draft.fingerprint is None:
                names.pop("amount", None)  # a refund of the rest: its amount was fixed here
            differs = [name for name in names if _compared(name, first.get(name)) != _compared(name, again.get(name))]
        return Accepted(operation, replayed=True, differs=differs)

    async def _fixed(
        self, transaction: Transaction, arrival: Arrival, older: Operation | None
    ) -> tuple[Content, tuple[Any, ...]]:
        """What a draft asks for, and its row, once what was before it is known."""
        draft, row = arrival.draft, arrival.row
        content, fingerprint = draft.content, row[4]
        if draft.decide is not None:
            content, decided = draft.decide(await self._known_order(transaction, row[2]))
            fingerprint = self._sealer.hash(decided)
        elif draft.inherit is not None and older is not None and older.content and older.status in UNSETTLED:
            content = draft.inherit(older.content.request)
        if content is draft.content:
            return content, row
        sealed = self._sealer.seal(content.to_bytes(), arrival.operation_id, "content")
        return content, (*row[:4], fingerprint, *row[5:-2], *sealed)

    async def _by_request_key(self, transaction: Transaction, arrival: Arrival) -> Accepted | None:
        """What the register's own key leads to; raises ConflictError where that is another request."""
        draft, row = arrival.draft, arrival.row
        scope, item, fingerprint, request_key = row[2], row[3], row[4], row[10]
        if request_key is None:
            return None
        for found in await transaction.fetch(_BY_REQUEST_KEY, [request_key]):
            same = (scope, item) == (found[-3], found[-2])
            if not same or (draft.fingerprint is not None and found[-1] != fingerprint):
                raise ConflictError(
                    "This Idempotency-Key was used for another request; the first one stands.",
                    code="idempotency-conflict",
                    operation_id=found[1],
                )
            return self._replay(found, draft)
        return None

    async def _repeats(self, transaction: Transaction, draft: Draft, *, same: bool) -> bool:
        """Whether a draft adds nothing to the operation that holds its key: the same, or rows that are there."""
        if not draft.by_rows:
            return same
        return len(await self._catalog_rows.sound(draft.rows, transaction)) == len(draft.rows)

    async def _has_come_too_early(self, transaction: Transaction, scope: bytes, draft: Draft, found: Row) -> bool:
        """Whether a refund was declined because nobody knew its sale, which is known here now: then it begins anew."""
        if draft.kind is not Kind.REFUND:
            return False
        earlier = self._rows.operation(found)
        if earlier.status is not Status.DECLINED or earlier.verdict.code != ORDER_UNKNOWN:
            return False
        return (await self._known_order(transaction, scope)).total is not None

    async def _supersede(self, transaction: Transaction, older: Operation, *, by_rows: bool) -> None:
        """A newer upsert takes the natural key; a failed older one is given up for it.

        One that brings some rows of a catalog is none for those that it does not bring: `CatalogRows.supersede`.
        """
        await transaction.fetch("UPDATE operation SET current = 0 WHERE seq = ?", [older.seq])
        if older.status is Status.FAILED and not by_rows:
            await self._rows.discard(transaction, [older], "agent", "superseded", to_ms(self._clock.now()))

    async def _known_order(self, transaction: Transaction, scope: bytes) -> KnownOrder:
        total: Decimal | None = None
        refunded: list[Decimal | None] = []
        for row in await transaction.fetch(_ORDER_HISTORY, [scope]):
            operation = self._rows.operation(row)
            request = operation.content.request if operation.content else {}
            if operation.kind is Kind.SALE and operation.content:
                total = Decimal(request["totalAmount"])
            elif operation.kind is Kind.REFUND and operation.status is not Status.DECLINED:
                refunded.append(Decimal(request["amount"]) if "amount" in request else None)
        return KnownOrder(total, refunded)


def _compared(name: str, value: Any) -> Any:
    """A field as it is compared: an e-mail address, also a customer's, whatever its case."""
    if name == "email" and isinstance(value, str):
        return value.casefold()
    return {key: _compared(key, own) for key, own in value.items()} if name == "customer" and value else value
