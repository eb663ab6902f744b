"""What this till sent against what Flash has: two streams of facts about orders in, every difference out. Pure.

The till's side are operations as `GET /v1/operations` shows them, newest first; Flash's are rows as
`GET /v1/flash-orders` shows them. What a stream brings twice counts once; of a row the latest reading counts.

Held in memory: the till's own orders since then with Flash's row of each, and the ids of the store's other orders. Of
other stores nothing is held.

A yes that was settled after a reading of the feed began is not looked for in that reading. So there is no race between
the two sides as long as the operations of whatever differs are read again afterwards (`doubtful`, `replace`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agent.reconcile.differences import Code, Difference
from agent.reconcile.facts import Facts, Sent, There, decimal, money, of_refunds, of_sale, total_of

Row = Mapping[str, Any]
_READ_AGAIN = frozenset({Code.MISSING, Code.REFUND_MISSING})


class Ledger:
    """Both sides. `since`: from when on what was accepted here must be there, as the local API spells times.

    With `everything` the rows of the store's other orders are kept, not their ids alone.
    """

    def __init__(self, store_id: str | None, since: str, *, everything: bool = False) -> None:
        self._store_id = store_id
        self._since = since
        self._everything = everything
        self._here: dict[str, Facts] = {}
        self._there: dict[str, There] = {}
        self._last_read_at = ""
        self._readings = 0
        self.others: dict[str, Row | None] = {}  # of this store's id, and not known here
        self.passed_over: set[str] = set()  # this till's, without contents
        self.rows = self.unread = self.unsaid = self.stripped = 0

    # ---- the till's side

    def sent(self, operation: Mapping[str, Any]) -> None:
        """Take one of the till's operations accepted since then."""
        if operation["kind"] not in {"sale", "refund"}:
            return
        order_id = operation["upstreamOrderId"]
        if order_id is None:
            self.stripped += 1
        else:
            self._here.setdefault(order_id, Facts()).add(operation)

    def replace(self, order_id: str, operations: Iterable[Mapping[str, Any]]) -> None:
        """Take all of an order's operations, read again: of all times, newest first."""
        facts = Facts()
        for operation in operations:
            if operation["upstreamOrderId"] == order_id:
                facts.add(operation)
            elif operation["upstreamOrderId"] is None:
                facts.stripped = True
        self._here[order_id] = facts

    # ---- Flash's side

    def begin_reading(self, read_at: str) -> None:
        """A reading of the feed begins, by the till's clock; the first one counts rows."""
        self._last_read_at = read_at
        self._readings += 1

    def changed(self, row: Row) -> None:
        """Take one row of Flash's feed."""
        self.rows += self._readings == 1
        order_id = row["upstreamOrderId"]
        if row["here"] == "kept":
            amount, refunded = decimal(row["totalAmount"]), decimal(row["refunded"])
            self._there[order_id] = There(amount, refunded, row["awarded"], row["updatedAt"], self._last_read_at)
        elif row["here"] == "stripped":
            self.passed_over.add(order_id)
        elif row["storeId"] is None:
            self.unsaid += self._readings == 1
        elif row["storeId"] == self._store_id:
            self.others[order_id] = row if self._everything else None

    # ---- the comparison

    @property
    def counts(self) -> dict[str, int]:
        """How much was compared."""
        facts = [each for each in self._here.values() if each.newest >= self._since]
        return {
            "sales": sum(each.sale is not None for each in facts),
            "refunds": sum(len(each.refunds) for each in facts),
            "flashRows": self.rows,
            "matched": len(self._there),
            "others": len(self.others),
            "withoutStore": self.unsaid,
            "outOfReach": max(self.stripped, len(self.passed_over)),
            "unread": self.unread,
            **{f"{status}NotInFlash": self._waiting(status) for status in ("pending", "failed")},
        }

    def _waiting(self, status: str) -> int:
        return sum(
            1
            for order_id, facts in self._here.items()
            if facts.sale is not None and facts.sale.status == status and order_id not in self._there
        )

    def earlier(self) -> list[str]:
        """Orders in Flash's feed that this till has from before, in part at least: all of theirs is to be looked up."""
        return [order_id for order_id in self._there if self._is_partial(self._here.get(order_id))]

    @staticmethod
    def _is_partial(facts: Facts | None) -> bool:
        return facts is None or facts.sale is None

    def doubtful(self) -> list[str]:
        """Orders that differ as far as was read."""
        return list(dict.fromkeys(difference.order_id for difference in self.differences()))

    def feed_again_from(self) -> str | None:
        """From when on the feed is to be read again, for what may only have been overlooked in it; None: nothing."""
        ids = {each.order_id for each in self.differences() if each.code in _READ_AGAIN}
        return min((self._here[order_id].landed(self._last_read_at) for order_id in ids), default=None)

    def differences(self) -> list[Difference]:
        """Every difference, those that a person must look at first, then by order."""
        found = [each for order_id, facts in self._here.items() for each in self._of(order_id, facts)]
        return sorted(found, key=lambda each: (not each.look, each.code, each.order_id))

    def _of(self, order_id: str, facts: Facts) -> Iterator[Difference]:
        there = self._there.get(order_id)
        if there is None:
            yield from self._absent(order_id, facts)
        else:
            if facts.sale is not None:
                yield from of_sale(order_id, facts, facts.sale, there)
            if there.refunded is not None and not facts.stripped:
                yield from of_refunds(order_id, facts, there)

    def _absent(self, order_id: str, facts: Facts) -> Iterator[Difference]:
        """What Flash confirmed since then, and its feed does not show."""
        sale = facts.sale
        due = [each for each in facts.refunds if self._must_show(each)]
        if sale is not None and self._must_show(sale):
            detail = "" if sale.is_member else "no member's"
            yield Difference(Code.MISSING, order_id, money(sale.amount), None, sale.id, None, detail)
        elif due:
            total = None if any(each.amount is None for each in due) else total_of(due)
            yield Difference(Code.REFUND_MISSING, order_id, money(total), None, due[0].id, None, "no such order")

    def _must_show(self, sent: Sent) -> bool:
        return sent.accepted_at >= self._since and sent.is_due(self._last_read_at)
