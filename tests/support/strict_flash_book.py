"""What lasts of Flash: tenants, the ledger of committed effects, remembered answers, and what was sent under which key.

Everything lasting is an event: it is applied to memory by `_apply` and appended to the state file, one JSON
line per committed request, flushed before the answer leaves. Loading the file applies the same events again.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from tests.support.strict_flash_wire import Request

Row = dict[str, Any]
Result = tuple[int, Any]


@dataclass
class Tenant:
    members: dict[str, Row] = field(default_factory=dict)
    stores: dict[str, Row] = field(default_factory=dict)
    orders: dict[str, Row] = field(default_factory=dict)
    refunds: dict[tuple[str, str], Row] = field(default_factory=dict)
    coupons: dict[str, Row] = field(default_factory=dict)
    catalog: dict[str, dict[str, Row]] = field(default_factory=dict)
    index: dict[tuple[str, str], Row] = field(default_factory=dict)

    def member(self, **known: str | None) -> Row | None:
        """The first that resolves of memberId, externalId, email (in that order)."""
        if (found := self.members.get(known.get("memberId") or "")) is not None:
            return found
        for name in ("externalId", "email"):
            if (found := self.index.get((name, _folded(name, known.get(name))))) is not None:
                return found
        return None


def _folded(name: str, value: str | None) -> str:
    return (value or "").strip().casefold() if name == "email" else value or ""


class Book:
    """Nothing in here answers: `State` does, and writes down what came of it."""

    def __init__(self, path: Path | None) -> None:
        self.tenants: dict[str, Tenant] = {}
        self.effects: list[Row] = []
        self.awards: Counter[str] = Counter()
        self.violations: list[str] = []
        self.answers: dict[tuple[str, str], Result] = {}
        self.sent: dict[tuple[str, str], str] = {}  # (tenant, key): fingerprint
        self.keys_by_natural: dict[str, list[str]] = {}
        self._fresh: list[Row] = []
        self._last = datetime.now(UTC)
        self._file: TextIO | None = None
        if path is not None:
            self._load(path)
            self._file = path.open("a", encoding="utf-8")

    # --- the file

    def _load(self, path: Path) -> None:
        raw = path.read_bytes() if path.exists() else b""
        whole = raw[: raw.rfind(b"\n") + 1]
        if whole != raw:  # the last line was torn by a kill: its request was never answered
            path.write_bytes(whole)
        for line in whole.splitlines():
            self._replay(json.loads(line))

    def _replay(self, line: Row) -> None:
        for effect in [*line.get("effects", ()), *line.get("seed", ())]:
            self._apply(effect, ledger="effects" in line)
        if "violation" in line:
            self.violations.append(line["violation"])
        if "sent" in line:
            self._note(*line["sent"])
        if "answer" in line:
            tenant, key, status, body = line["answer"]
            self.answers[tenant, key] = status, body

    def _append(self, **line: Any) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    # --- what is known of the sender

    def violate(self, text: str) -> None:
        self.violations.append(text)
        self._append(violation=text)

    def note(self, tenant: str, key: str, fingerprint: str, naturals: list[str]) -> None:
        if (tenant, key) not in self.sent:
            self._note(tenant, key, fingerprint, naturals)
            self._append(sent=[tenant, key, fingerprint, naturals])

    def _note(self, tenant: str, key: str, fingerprint: str, naturals: list[str]) -> None:
        self.sent[tenant, key] = fingerprint
        for each in naturals:
            self.keys_by_natural.setdefault(each, []).append(key)

    def remember(self, tenant: str, key: str, status: int, body: Any) -> None:
        self.answers[tenant, key] = status, body
        self._append(answer=[tenant, key, status, body])

    # --- effects

    def tenant(self, name: str) -> Tenant:
        return self.tenants.setdefault(name, Tenant())

    def now(self) -> str:
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        return self._last.isoformat(timespec="microseconds").replace("+00:00", "Z")

    def seed(self, kind: str, tenant: str, row: Row) -> None:
        effect = {"kind": kind, "tenant": tenant, "row": {**row, "updatedAt": self.now()}, "points": 0}
        self._apply(effect, ledger=False)
        self._append(seed=[effect])

    def _emit(  # noqa: PLR0917
        self, request: Request, tenant: str, kind: str, name: str, row: Row, points: int = 0
    ) -> None:
        effect = {"n": len(self.effects) + 1, "kind": kind, "natural": name, "points": points}
        effect |= {"key": request.key, "request": request.number, "tenant": tenant, "row": row}
        self._apply(effect, ledger=True)
        self._fresh.append(effect)

    def _apply(self, effect: Row, *, ledger: bool) -> None:
        tenant, row, kind = self.tenant(effect["tenant"]), effect["row"], effect["kind"]
        if ledger:
            self.effects.append(effect)
        match kind:
            case "award" | "not-a-member":
                tenant.orders[row["externalOrderId"]] = dict(row)
                self.awards[row["externalOrderId"]] += kind == "award"
            case "refund":
                tenant.refunds[row["order"], row["refundId"]] = row
                order = tenant.orders[row["order"]]
                order["refunded"] = str(Decimal(order["refunded"]) + Decimal(row["amount"]))
                order["clawed"] += row["clawedBack"]
                order["updatedAt"] = row["updatedAt"]
            case "order":
                tenant.orders[row["externalOrderId"]] = dict(row)
            case "lost":
                tenant.orders.pop(row["externalOrderId"], None)
            case "enroll" | "member":
                held = tenant.members.setdefault(row["id"], {"points": 0})
                held.update(row)
                tenant.index |= {(n, _folded(n, row[n])): held for n in ("externalId", "email") if row.get(n)}
            case "redeem":
                tenant.coupons[row["id"]]["used"] += 1
            case "coupon":
                tenant.coupons[row["id"]] = dict(row)
            case "store":
                tenant.stores[row["id"]] = {**tenant.stores.get(row["id"], {}), **row}
            case "catalog":
                tenant.catalog.setdefault(row["entity"], {}).update(row["rows"])
        if effect["points"] and (member := tenant.members.get(row["memberId"])):
            member["points"] += effect["points"]
            member["updatedAt"] = row["updatedAt"]

    # --- what a test changes behind everybody's back

    def drop_order(self, order_id: str, tenant: str = "t1") -> None:
        """Flash has lost the order: its list does not show it, and it could be placed again."""
        effect = {"kind": "lost", "tenant": tenant, "row": {"externalOrderId": order_id}, "points": 0}
        self._apply(effect, ledger=False)
        self._append(seed=[effect])

    def set_order(self, order_id: str, tenant: str = "t1", **fields: Any) -> None:
        """Change an order, or make one that came another way; fields as kept here, money as texts."""
        blank = {"externalOrderId": order_id, "totalAmount": "10", "awarded": 0, "memberId": None, "storeId": None}
        known = self.tenant(tenant).orders.get(order_id, {**blank, "refunded": "0", "clawed": 0, "result": {}})
        effect = {"kind": "order", "tenant": tenant, "points": 0}
        effect["row"] = {**known, **fields, "updatedAt": self.now()}
        self._apply(effect, ledger=False)
        self._append(seed=[effect])
