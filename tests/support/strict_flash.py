"""A strict stand-in for the Flash v2 API: an oracle for "each sale awarded exactly once".

In a test:        with StrictFlash(tmp_path / "flash.jsonl") as flash: flash.fault("lost-answer", every=3)
As a process:     python -m tests.support.strict_flash --port 0 --state FILE.jsonl --fault lost-answer:every=3
Its own control:  GET /_control (what it saw), POST /_control {"call": "fault", "args": {"name": "hang"}}
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

from tests.support.strict_flash_book import Row
from tests.support.strict_flash_controls import OTHER_TENANT_KEY, READ_KEY, WRITE_KEY, Seen
from tests.support.strict_flash_inspection import Inspection
from tests.support.strict_flash_state import Scripted
from tests.support.strict_flash_troubles import FAULTS, MODIFIERS, Trouble, shaped, spoil, usual_code
from tests.support.strict_flash_wire import BASE_PATH, Answer, Connection, Request, error

__all__ = ["OTHER_TENANT_KEY", "READ_KEY", "WRITE_KEY", "StrictFlash"]

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


class StrictFlash(Inspection):
    """The server: it takes a call, has it inspected, and answers."""

    def __init__(
        self, state: Path | str | None = None, *, port: int = 0, host: str = "127.0.0.1", **options: Any
    ) -> None:
        super().__init__(state, **options)
        self.host = host
        self.connections: set[Connection] = set()
        self._busy: set[tuple[str, str]] = set()
        self._taken: Counter[tuple[str, int]] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread: threading.Thread | None = None
        self._socket = self._bind(port)
        self.port = int(self._socket.getsockname()[1])

    @property
    def base_url(self) -> str:
        return f"http://{self.host}:{self.port}{BASE_PATH}"

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
