"""What a test reads of the strict Flash, and what it sets in it before or while the agent calls."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.support.strict_flash_book import Row
from tests.support.strict_flash_state import State
from tests.support.strict_flash_troubles import FAULTS, Trouble
from tests.support.strict_flash_wire import ROUTES, Request

WRITE_KEY = "fl_live_write_0123456789"
READ_KEY = "fl_live_read_0123456789"
OTHER_TENANT_KEY = "fl_live_other_0123456789"


@dataclass
class Access:
    tenant: str
    scope: str = "write"
    denied: set[str] = field(default_factory=set)  # routes such as "POST /orders"


@dataclass
class Seen:
    """One request, for tests that ask what was sent, when, and how it was answered."""

    request: Request  # its time is request.at (monotonic)
    owner: tuple[str, str]  # tenant, Idempotency-Key
    status: int | None = None
    delivery: str = "lost"
    troubles: list[Trouble] = field(default_factory=list)

    def latency(self, *, after: bool) -> float:
        slow = [t.options for t in self.troubles if t.name == "latency"]
        return float(sum(o["ms"] for o in slow if bool(o.get("after")) is after)) / 1000


class Controls:
    """What a test reads of the oracle and sets in it. Its server is `StrictFlash`."""

    def __init__(
        self,
        state: Path | str | None,
        *,
        members: Iterable[Row] = (),
        natural_keys: bool = True,
        in_flight_limit: int = 8,
    ) -> None:
        self.in_flight_limit = in_flight_limit
        self.strict_redeem = True  # False: another key for a coupon is fine once the earlier one was answered
        self.byte_exact = False  # True: a retry under the same key must repeat its body byte for byte
        self.echo_ids = False  # True: the items of a 207 name their externalOrderId or externalId
        self.grace = 0.05  # calls already on the way, on other connections, when a Retry-After was announced
        self.strict_connection = True  # False: on the same connection too; a client's next call may be past its checks
        self.rate_limit = (
            0  # calls a key may make in each window; beyond it 429 with a Retry-After; 0: as many as it likes
        )
        self.rate_window_s = 60.0
        self.clock_skew = 0.0  # seconds added to the Date header
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.state = State(Path(state) if state else None, natural_keys=natural_keys)
        self.faults: list[Trouble] = []
        self.access: dict[str, Access] = {}
        self.scripts: dict[str, list[Any]] = {}
        self.poisoned: dict[str, int] = {}
        self.counters: Counter[str] = Counter()
        self.requests: deque[Seen] = deque(maxlen=200_000)
        self.in_flight = self.max_in_flight = 0
        self.add_key(WRITE_KEY, "t1")
        self.add_key(READ_KEY, "t1", scope="read")
        self.add_key(OTHER_TENANT_KEY, "t2")
        self.add_store("st_1")
        self.add_store("st_2", tenant="t2")
        for member in members:
            self.add_member(**member)

    # --- what a test reads

    @property
    def violations(self) -> list[str]:
        return self.state.violations

    @property
    def effects(self) -> list[Row]:
        return self.state.effects

    @property
    def awards(self) -> Counter[str]:
        return self.state.awards

    def doubles(self) -> dict[str, int]:
        """Orders, refunds and redemptions that took effect more than once."""
        once = ("award", "not-a-member", "refund", "redeem")
        counts = Counter(e["natural"] for e in list(self.effects) if e["kind"] in once)
        return {name: count for name, count in counts.items() if count > self._uses(name)}

    def _uses(self, name: str) -> int:
        coupon_id = name.removeprefix("coupon:")
        held = [t.coupons[coupon_id] for t in self.state.tenants.values() if coupon_id in t.coupons]
        return sum(int(coupon["uses"]) for coupon in held) if coupon_id != name else 1

    def wait_for(self, predicate: Callable[[Self], Any], seconds: float = 10.0) -> bool:
        """Wait until `predicate(flash)` holds; it is looked at whenever a request comes or goes."""
        with self.changed:
            return bool(self.changed.wait_for(lambda: predicate(self), seconds))

    def snapshot(self) -> Row:
        with self.lock:
            return {
                "counters": dict(self.counters),
                "violations": list(self.violations),
                "effects": len(self.effects),
                "awards": len(self.awards),
                "doubles": self.doubles(),
                "in_flight": self.in_flight,
                "max_in_flight": self.max_in_flight,
                "faults": [{"name": f.name, "fired": f.fired, "times": f.times} for f in self.faults],
            }

    # --- what a test sets

    def fault(
        self,
        name: str,
        *,
        times: int | None = None,
        every: int = 1,
        method: str | None = None,
        path: str | None = None,
        commit: bool | None = None,
        **options: Any,
    ) -> Trouble:
        if name == "lost-answer":
            method = method or "POST"
        if (needed := {"status": "status", "latency": "ms"}.get(name, "")) and needed not in options:
            raise TypeError(f"{name} needs {needed}")
        made = Trouble(name, times, every, method, path, FAULTS[name] if commit is None else commit, options)
        with self.lock:
            self.faults.append(made)
        return made

    def clear(self, name: str | None = None) -> None:
        with self.lock:
            self.faults = [fault for fault in self.faults if name not in (None, fault.name)]

    def script(self, order_id: str, answers: list[Any]) -> None:
        """Answers for one sale's next sends: a status, "ok", "drop", "lost", or the fields of `Scripted`."""
        with self.lock:
            self.scripts.setdefault(order_id, []).extend(answers)

    def poison(self, order_id: str, status: int = 422) -> None:
        with self.lock:
            self.poisoned[order_id] = status

    def cure(self, order_id: str) -> None:
        with self.lock:
            self.poisoned.pop(order_id, None)

    def add_key(self, token: str, tenant: str, scope: str = "write") -> None:
        self.access[token] = Access(tenant, scope)

    def revoke(self, token: str) -> None:
        self.access.pop(token, None)

    def deny(self, token: str, *routes: str) -> None:
        if unknown := set(routes) - set(ROUTES):
            raise ValueError(f"no such routes: {unknown}")
        self.access[token].denied |= set(routes)

    def allow(self, token: str) -> None:
        self.access[token].denied.clear()

    def add_member(self, tenant: str = "t1", **row: Any) -> str:
        with self.lock:
            known = self.state.tenant(tenant)
            names = {name: row.get(name) for name in ("externalId", "email")} | {"memberId": row.get("id")}
            if found := known.member(**names):
                return str(found["id"])
            row.setdefault("id", f"mem_{tenant}_{len(known.members) + 1}")
            self.state.seed("member", tenant, {"points": 0, **row})
            return str(row["id"])

    def add_coupon(self, coupon_id: str, member_id: str | None = None, *, uses: int = 1, tenant: str = "t1") -> None:
        with self.lock:
            if coupon_id not in self.state.tenant(tenant).coupons:
                self.state.seed("coupon", tenant, {"id": coupon_id, "memberId": member_id, "uses": uses, "used": 0})

    def add_store(self, store_id: str, *, tenant: str = "t1") -> None:
        with self.lock:
            if store_id not in self.state.tenant(tenant).stores:
                self.state.seed("store", tenant, {"id": store_id, "name": store_id, "externalId": f"ERP-{store_id}"})

    def forget_keys(self) -> None:
        """Flash has forgotten every Idempotency-Key; only natural keys are left."""
        with self.lock:
            self.state.answers.clear()

    def set(self, **settings: Any) -> None:
        for name, value in settings.items():
            owner = self.state if hasattr(self.state, name) else self
            if not isinstance(getattr(owner, name), bool | int | float):
                raise TypeError(f"{name} is no setting")
            setattr(owner, name, value)
