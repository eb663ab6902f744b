"""The load generator: a process of its own that posts unique sales over keep-alive connections.

A raw asyncio protocol with requests rendered in advance costs a small part of what the servers under test
spend per request; its own share of a core is reported, and a share near 1 means that it was the bottleneck.
Closed loop: each connection sends its next sale when the last one is answered. SIGTERM ends a burst early.
Prints one JSON object (see :class:`Result`).
Run by ``drive.py``; fails (exit 1) when a server stays silent for ``--patience`` seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import signal
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import cast

from benchmarks.loops import run
from benchmarks.sales import order_id, request_around_id
from benchmarks.stats import percentile

Sample = tuple[float, float, str]
_NO_LIMIT = 1 << 60


@dataclass
class Result:
    """What a burst saw; latencies in milliseconds, ``trace`` as (sent at and latency, seconds; status)."""

    count: int = 0
    seconds: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    cpu_share: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    trace: list[Sample] = field(default_factory=list)


class Burst:
    """State shared by all connections: what to send next, when to stop, what was seen."""

    def __init__(self, options: argparse.Namespace) -> None:
        headers = dict(line.split(": ", 1) for line in options.header)
        self.parts = request_around_id(options.path, options.port, headers)
        self.prefix: str = options.prefix
        self.limit: int = options.count or _NO_LIMIT
        self.keep_until: float = float("inf")
        self.sent = 0
        self.pace_s: float = options.pace_ms / 1e3
        self.samples: list[tuple[float, float, bytes]] = []
        self.last_answer_at = time.monotonic()

    def next_request(self) -> bytes | None:
        """The next sale to post, or None when this burst is over."""
        if self.sent >= self.limit or time.monotonic() >= self.keep_until:
            return None
        self.sent += 1
        return order_id(self.prefix, self.sent).encode().join(self.parts)

    def answered(self, sent_at: float, status: bytes) -> None:
        """Note one answer."""
        now = time.monotonic()
        self.last_answer_at = now
        self.samples.append((sent_at, now - sent_at, status))

    def stop(self) -> None:
        """End early: what is under way is still waited for."""
        self.keep_until = 0.0


class Till(asyncio.Protocol):
    """One keep-alive connection with one request under way."""

    def __init__(self, burst: Burst, done: asyncio.Future[None]) -> None:
        self.burst = burst
        self.done = done
        self.received = b""
        self.sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.send()

    def send(self) -> None:
        request = self.burst.next_request()
        if request is None:
            self.transport.close()
            self._finish(None)
            return
        self.sent_at = time.monotonic()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        received = self.received = self.received + data if self.received else data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        at = received.find(b"Content-Length: ", 0, head_end)
        length = int(received[at + 16 : received.index(b"\r", at)]) if at >= 0 else 0
        if len(received) < head_end + 4 + length:
            return
        self.received = b""
        self.burst.answered(self.sent_at, received[9:12])
        if self.burst.pace_s:
            asyncio.get_running_loop().call_later(self.burst.pace_s, self.send)
        else:
            self.send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._finish(exc or ConnectionError("the server closed a connection under way"))

    def _finish(self, exc: Exception | None) -> None:
        if self.done.done():
            return
        if exc is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(exc)


def _watch(burst: Burst, patience_s: float, silent: asyncio.Future[None]) -> None:
    """Look again when the patience would be over; give up when nothing has come since."""
    left_s = burst.last_answer_at + patience_s - time.monotonic()
    if silent.done():
        return
    if left_s > 0:
        asyncio.get_running_loop().call_later(left_s, _watch, burst, patience_s, silent)
    else:
        silent.set_exception(TimeoutError(f"no answer for {patience_s:g} s"))


async def post(options: argparse.Namespace) -> Result:
    """Warm up, then post for the asked time or count."""
    loop = asyncio.get_running_loop()
    burst = Burst(options)
    began = time.monotonic()
    warm_until = began + options.warm_up
    if options.seconds:
        burst.keep_until = warm_until + options.seconds
    loop.add_signal_handler(signal.SIGTERM, burst.stop)
    tills = [Till(burst, loop.create_future()) for _ in range(options.clients)]
    for till in tills:
        await loop.create_connection(lambda till=till: till, "127.0.0.1", options.port)  # type: ignore[misc]
    silent = loop.create_future()
    _watch(burst, options.patience, silent)
    everyone = asyncio.gather(*(till.done for till in tills))
    await asyncio.wait([silent, everyone], return_when=asyncio.FIRST_COMPLETED)
    if silent.done():
        silent.result()
    silent.cancel()
    await everyone
    return _summary(burst, warm_until, trace=options.trace)


def _summary(burst: Burst, warm_until: float, *, trace: bool) -> Result:
    kept = [sample for sample in burst.samples if sample[0] >= warm_until]
    ended = max((sent_at + latency for sent_at, latency, _ in kept), default=0.0)
    ascending = sorted(latency for _, latency, _ in kept)
    statuses = Counter(status.decode() for _, _, status in burst.samples)
    return Result(
        count=len(kept),
        seconds=ended - min((sent_at for sent_at, _, _ in kept), default=0.0),
        p50_ms=percentile(ascending, 50) * 1e3,
        p99_ms=percentile(ascending, 99) * 1e3,
        statuses=dict(statuses),
        trace=[(sent_at, latency, status.decode()) for sent_at, latency, status in kept] if trace else [],
    )


def main() -> None:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="benchmarks.load", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/v1/sales")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0, help="post for so long after the warm-up")
    parser.add_argument("--count", type=int, default=0, help="post so many sales")
    parser.add_argument("--warm-up", type=float, default=0.0, help="seconds that do not count")
    parser.add_argument("--pace-ms", type=float, default=0.0, help="pause after each answer")
    parser.add_argument("--patience", type=float, default=15.0, help="seconds of silence before giving up")
    parser.add_argument("--prefix", required=True, help="keeps the ids of one burst apart")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE")
    parser.add_argument("--trace", action="store_true", help="report every request")
    options = parser.parse_args()
    gc.disable()
    began, cpu_began = time.monotonic(), time.process_time()
    result = run(post(options))
    result.cpu_share = (time.process_time() - cpu_began) / (time.monotonic() - began)
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
