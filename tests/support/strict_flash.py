"""A strict stand-in for the Flash v2 API: an oracle for "each sale awarded exactly once".

In a test:        with StrictFlash(tmp_path / "flash.jsonl") as flash: flash.fault("lost-answer", every=3)
As a process:     python -m tests.support.strict_flash --port 0 --state FILE.jsonl --fault lost-answer:every=3
Its own control:  GET /_control (what it saw), POST /_control {"call": "fault", "args": {"name": "hang"}}
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import os
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self

from tests.support.strict_flash_state import Row, Scripted, State
from tests.support.strict_flash_wire import (
    BASE_PATH,
    BATCHES,
    FAULTS,
    MODIFIERS,
    NO_BODY,
    REDIRECTED,
    ROUTES,
    Answer,
    Connection,
    Request,
    Trouble,
    body_faults,
    canonical,
    error,
    head_faults,
    parse_json,
    shaped,
    spoil,
    usual_code,
)

WRITE_KEY = "fl_live_write_0123456789"
READ_KEY = "fl_live_read_0123456789"
OTHER_TENANT_KEY = "fl_live_other_0123456789"
CONTROL = "/_control"
CONTROLS = frozenset(
    [
        "fault",
        "clear",
        "script",
        "poison",
        "cure",
        "add_key",
        "revoke",
        "deny",
        "allow",
        "add_member",
        "add_coupon",
        "add_store",
        "forget_keys",
        "set",
        "down",
    ]
)
DEFINITIVE = (200, 201, 207, 400, 404, 409, 422)
SEVERAL = 3  # this often the same 5xx under a key, and its sender may take it for a stored one


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


@dataclass
class Window:
    announced: float
    ends: float
    connection: object


class StrictFlash:
    def __init__(
        self,
        state: Path | str | None = None,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        members: Iterable[Row] = (),
        natural_keys: bool = True,
        in_flight_limit: int = 8,
    ) -> None:
        self.host = host
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
        self.known_as = ""  # host:port that the client was given, where a proxy stands between
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
        self.connections: set[Connection] = set()
        self._windows: dict[str, Window] = {}
        self._settled: set[tuple[str, str]] = set(self.state.answers)
        self._sent_singly: dict[tuple[str, str], set[str]] = {}  # keys by tenant and natural key
        self._server_errors: Counter[tuple[str, str]] = Counter()  # by tenant and key
        self._busy: set[tuple[str, str]] = set()
        self._taken: Counter[tuple[str, int]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._socket = self._bind(port)
        self.port = int(self._socket.getsockname()[1])
        self.add_key(WRITE_KEY, "t1")
        self.add_key(READ_KEY, "t1", scope="read")
        self.add_key(OTHER_TENANT_KEY, "t2")
        self.add_store("st_1")
        self.add_store("st_2", tenant="t2")
        for member in members:
            self.add_member(**member)

    # --- what a test reads

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}{BASE_PATH}"

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

    def down(self, seconds: float) -> None:
        """Refuse connections for a while (for the process form; a test calls stop() and start())."""

        def run() -> None:
            self.stop()
            time.sleep(seconds)
            self.start()

        threading.Timer(0.05, run).start()

    def control(self, call: str, args: Row) -> None:
        if call not in CONTROLS:
            raise ValueError(f"no such call: {call}")
        if call == "deny":
            self.deny(args["token"], *args["routes"])
        else:
            getattr(self, call)(**args)

    # --- one request

    def arrived(self, request: Request, connection: Connection) -> bool:
        if request.path == CONTROL:
            return True
        with self.lock:
            self.counters["requests"] += 1
            request.number, request.at = self.counters["requests"], time.monotonic()
            connection.counted = True
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            self.changed.notify_all()
            if self.in_flight > self.in_flight_limit:
                self._violate(request, f"{self.in_flight} requests in flight")
            return not any(f.name == "drop-before-read" and f.fires(request) for f in self.faults)

    def left(self, connection: Connection) -> None:
        with self.lock:
            self.in_flight -= connection.counted
            connection.counted = False
            self.changed.notify_all()

    def received(self, request: Request, connection: Connection) -> None:
        if request.path == CONTROL:
            self._spawn(connection.deliver(request, self._control(request)))
            return
        with self.lock:
            seen = Seen(request, (self._tenant(request), request.key))
            self.requests.append(seen)
            try:
                self._inspect(request, connection)
            except Exception as fault:
                self._violate(request, f"not understood by the oracle: {fault!r}")
                request.refusal = error(500, "ORACLE")
            if not (request.key and seen.owner in self._busy):
                seen.troubles = self._choose(request)
                self._busy |= {seen.owner} if seen.latency(after=False) else set()
                self.changed.notify_all()
                self._spawn(self._serve(seen, connection))
                return
        self._spawn(self._finish(seen, connection, error(409, "IDEMPOTENCY_IN_FLIGHT")))

    async def _serve(self, seen: Seen, connection: Connection) -> None:
        if before := seen.latency(after=False):  # under way: it will commit whether or not its client stays
            await asyncio.sleep(before)
            self._busy.discard(seen.owner)
        with self.lock:
            try:
                answer = self._answer(seen.request, seen.troubles)
            except Exception as fault:
                self._violate(seen.request, f"not understood by the oracle: {fault!r}")
                answer = error(500, "ORACLE")
        if after := seen.latency(after=True):
            await asyncio.sleep(after)
        await self._finish(seen, connection, answer)

    async def _finish(self, seen: Seen, connection: Connection, answer: Answer) -> None:
        with self.changed:
            self._account(seen, connection, answer)
            self.changed.notify_all()
        await connection.deliver(seen.request, answer)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _account(self, seen: Seen, connection: Connection, answer: Answer) -> None:
        gone = connection.transport.is_closing()
        seen.status, seen.delivery = answer.status, "lost" if gone else answer.delivery
        self.counters[f"{seen.request.method} {answer.status}"] += 1
        delivered = not gone and answer.delivery in ("whole", "close")
        self._server_errors[seen.owner] += delivered and answer.status >= 500
        if delivered and answer.status in DEFINITIVE and not _in_flight(answer):
            self._settled.add(seen.owner)
            if seen.request.route == "GET /members/{id}/coupons" and answer.status == 200:
                self._shown_active(seen)
        if not gone and (after := answer.headers.get("Retry-After")):
            now = time.monotonic()
            clock = time.time() + self.clock_skew
            pause = float(after) if after.isdigit() else parsedate_to_datetime(after).timestamp() - clock
            window = self._windows.get(seen.request.token)
            if window is None or now >= window.ends:
                window = self._windows[seen.request.token] = Window(now, now, connection)
            window.ends = max(window.ends, now + pause)  # announced when it was first: refusals renew no grace

    def _shown_active(self, seen: Seen) -> None:
        """A coupon that is listed as active after a POST was not burned by it: its key is as good as answered."""
        tenant = self._tenant(seen.request)
        for coupon in self.state.tenant(tenant).coupons.values():
            if coupon.get("memberId") == seen.request.args[0] and coupon["used"] < coupon["uses"]:
                keys = self.state.keys_by_natural.get(f"coupon:{coupon['id']}", ())
                self._settled |= {(tenant, key) for key in keys}

    # --- what the client did wrong

    def _violate(self, request: Request, text: str) -> None:
        self.state.violate(f"#{request.number} {request.method} {request.path}: {text}")

    def _tenant(self, request: Request) -> str:
        access = self.access.get(request.token)
        return access.tenant if access else ""

    def _inspect(self, request: Request, connection: Connection) -> None:
        if request.path.startswith(REDIRECTED):
            self._violate(request, "a redirect followed")
        for text in head_faults(request, self.known_as or f"{self.host}:{self.port}"):
            self._violate(request, text)
        window = self._windows.get(request.token)
        if window and request.at < window.ends - 0.02:
            elsewhere = window.connection is not connection or not self.strict_connection
            under_way = elsewhere and request.at < window.announced + self.grace
            if not under_way:
                self._violate(request, f"called {window.ends - request.at:.2f} s before the end of a Retry-After")
        payload = request.body.hex()
        if request.write and request.route and request.route != NO_BODY:
            try:
                request.json = parse_json(request.body)
                payload = payload if self.byte_exact else canonical(request.json)
                for text, fatal in body_faults(request):
                    if not request.is_empty_try:
                        self._violate(request, text)
                    request.refusal = error(422, "VALIDATION", text) if fatal else request.refusal
            except (ValueError, RecursionError) as fault:
                self._violate(request, f"body refused: {fault}")
                request.refusal = error(400, "VALIDATION", "malformed JSON")
        if request.write and request.key and request.token in self.access:
            self._inspect_key(
                request, hashlib.sha256(f"{request.method} {request.path} {payload}".encode()).hexdigest()
            )

    def _inspect_key(self, request: Request, fingerprint: str) -> None:
        tenant = self._tenant(request)
        if self.state.sent.get((tenant, request.key), fingerprint) != fingerprint:
            self._violate(request, "Idempotency-Key used for another payload or path")
            request.refusal = error(409, "IDEMPOTENCY_CONFLICT")
            return
        if request.route == NO_BODY:
            others = set(self.state.keys_by_natural.get(request.naturals[0], ())) - {request.key}
            if others and (self.strict_redeem or any((tenant, key) not in self._settled for key in others)):
                self._violate(request, "a second POST for a redemption under a different key")
        elif len(request.naturals) == 1 and request.route not in BATCHES:
            keys = self._sent_singly.setdefault((tenant, request.naturals[0]), set())
            if any(not self._may_be_left((tenant, key)) for key in keys - {request.key}):
                self._violate(request, f"sent under a second key while the first had no answer: {request.naturals[0]}")
            keys.add(request.key)
        self.state.note(tenant, request.key, fingerprint, request.naturals)

    def _may_be_left(self, owner: tuple[str, str]) -> bool:
        """Whether an operation may go on under another key than this one: after Flash's word, or its stored 5xx."""
        return owner in self._settled or self._server_errors[owner] >= SEVERAL

    # --- the answer

    def _choose(self, request: Request) -> list[Trouble]:
        found = [fault for fault in self.faults if fault.name in MODIFIERS and fault.fires(request)]
        others = (f for f in self.faults if f.name not in (*MODIFIERS, "drop-before-read"))
        return [*found, *islice((fault for fault in others if fault.fires(request)), 1)]

    def _answer(self, request: Request, chosen: list[Trouble]) -> Answer:
        main = next((fault for fault in chosen if fault.name not in MODIFIERS), None)
        real = self._real(request) if main is None or main.commit else Answer(200, {"data": {}})
        answer = shaped(real, request, None, echo=self.echo_ids)
        if main:
            answer = spoil(main, request, real, echo=self.echo_ids, port=self.port, skew=self.clock_skew)
            if main.options.get("stored") and request.key:
                self.state.remember(self._tenant(request), request.key, answer.status, answer.body)
        for fault in chosen:
            if fault.name == "slow-body" and answer.delivery == "whole":
                answer = replace(answer, delivery="slow", interval=fault.options.get("interval", 1.0))
        return answer

    def _real(self, request: Request) -> Answer:
        access = self.access.get(request.token)
        if access is None:
            return error(401, "UNAUTHORIZED")
        if request.route in access.denied or (request.write and access.scope == "read"):
            return error(403, "FORBIDDEN")
        if self.rate_limit and (left := self._over_the_limit(request)):
            return replace(error(429, "RATE_LIMITED"), headers={"Retry-After": str(left)})
        if not request.route or request.refusal:
            return request.refusal or error(404, "NOT_FOUND", "no such call")
        if not request.write:
            return self.state.read(request, access.tenant)
        delivery, scripted = self._scripted(request)
        real = Answer(200) if delivery == "drop" else self.state.perform(request, access.tenant, scripted)
        return replace(real, delivery="whole" if delivery == "whole" else "lost")

    def _over_the_limit(self, request: Request) -> int:
        """Whole seconds, rounded up, until the window ends in which this key has used up its calls; 0: it has not."""
        window = int(request.at / self.rate_window_s)
        self._taken[request.token, window] += 1
        if self._taken[request.token, window] <= self.rate_limit:
            return 0
        return max(1, math.ceil((window + 1) * self.rate_window_s - time.monotonic()))

    def _scripted(self, request: Request) -> tuple[str, dict[str, Scripted]]:
        delivery, found = "whole", {}
        for name in request.naturals:
            kind, _, order_id = name.partition(":")
            if kind != "order":
                continue
            told = self.scripts[order_id].pop(0) if self.scripts.get(order_id) else None
            if told in ("drop", "lost"):
                delivery = told
            elif isinstance(told, dict):
                found[order_id] = Scripted(**{"body": error(told["status"], usual_code(told["status"])).body, **told})
            elif isinstance(told, int):
                found[order_id] = Scripted(told, error(told, usual_code(told)).body)
            elif told is None and (status := self.poisoned.get(order_id)):
                found[order_id] = Scripted(status, error(status, usual_code(status)).body, remembered=status < 500)
        return delivery, found

    def _control(self, request: Request) -> Answer:
        if request.method == "GET":
            full = {"all_effects": self.effects, "all_awards": self.awards} if "full" in request.query else {}
            return Answer(200, self.snapshot() | full)
        try:
            calls = json.loads(request.body)
            for each in calls if isinstance(calls, list) else [calls]:
                self.control(each["call"], each.get("args", {}))
        except (ValueError, TypeError, KeyError, AttributeError) as fault:
            return error(400, "CONTROL", repr(fault))
        return Answer(200, {"ok": True})

    # --- up and down

    def _bind(self, port: int) -> socket.socket:
        """Hold the port without listening: it refuses connections, and nobody else can take it."""
        bound = socket.socket()
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((self.host, port))
        return bound

    def start(self) -> Self:
        if self._thread is None:
            ready = threading.Event()
            self._thread = threading.Thread(target=asyncio.run, args=(self._run(ready),), name="flash", daemon=True)
            self._thread.start()
            assert ready.wait(10)
        return self

    def stop(self) -> None:
        """The server is down: connections are reset, calls under way are forgotten, the port refuses."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._quit.set)
            self._thread.join()
            self._thread = None
            self._socket = self._bind(self.port)

    def close(self) -> None:
        self.stop()
        self._socket.close()
        self.state.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _run(self, ready: threading.Event) -> None:
        self._loop, self._quit = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(lambda: Connection(self), sock=self._socket, backlog=512)
        ready.set()
        await self._quit.wait()
        with contextlib.suppress(NotImplementedError):
            self._loop.remove_reader(self._socket)  # accept no more, and let the last ones become connections
        for task in list(self._tasks):
            task.cancel()
        for _ in range(5):
            for connection in list(self.connections):
                connection.transport.abort()
            await asyncio.sleep(0)
        server.close()
        self._busy.clear()


def _in_flight(answer: Answer) -> bool:
    return answer.status == 409 and answer.body == error(409, "IDEMPOTENCY_IN_FLIGHT").body


def main() -> None:
    parser = argparse.ArgumentParser(prog="strict_flash", description="A strict stand-in for the Flash v2 API.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME[:K=V,…]", help=", ".join(FAULTS))
    parser.add_argument("--members", default="[]", metavar="JSON", help='such as [{"externalId": "C1"}]')
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--no-natural-keys", action="store_true", help="deduplicate by Idempotency-Key alone")
    given = parser.parse_args()
    flash = StrictFlash(
        given.state,
        port=given.port,
        members=json.loads(given.members),
        natural_keys=not given.no_natural_keys,
        in_flight_limit=given.in_flight,
    )
    for text in given.fault:
        name, _, options = text.partition(":")
        flash.fault(name, **{k: _value(v) for k, _, v in (pair.partition("=") for pair in options.split(",") if pair)})
    with flash, contextlib.suppress(KeyboardInterrupt):
        sys.stdout.write(json.dumps({"port": flash.port}) + "\n")
        sys.stdout.flush()
        threading.Event().wait()


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
