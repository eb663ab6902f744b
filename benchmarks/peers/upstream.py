"""A stand-in for Flash v2 that costs little: raw asyncio, a fixed latency, counts what arrives.

Answers ``POST /orders``, ``POST /orders/batch`` (207, per item), ``GET /stores`` and, with an empty list, any
other GET. ``GET /_bench/seen/PREFIX`` tells what it has seen of the orders whose id starts so.
``python -m benchmarks.peers.upstream --port P [--latency-ms 5] [--members N]``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field

from benchmarks.loops import run
from benchmarks.peers import members
from benchmarks.sales import STORE_ID

BASE_PATH = "/api/v2"
_SEEN_PATH = "/_bench/seen/"
_REASONS = {200: "OK", 207: "Multi-Status", 404: "Not Found"}
_STORE = {"id": STORE_ID, "externalId": STORE_ID, "name": "Benchmark"}


@dataclass
class Seen:
    """What has arrived; times are monotonic seconds, one clock for all processes on Linux.

    ``members`` is how many can be asked about, ``began_at`` when the first POST arrived, ``arrivals`` when each order
    was first answered.
    """

    members: int = 0
    requests: int = 0
    batches: int = 0
    most_at_once: int = 0
    under_way: int = 0
    began_at: float = 0.0
    arrivals: dict[str, float] = field(default_factory=dict)

    def received(self, method: str) -> None:
        """Count a request whose answer is due after the latency."""
        self.requests += 1
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        if method == "POST" and not self.began_at:
            self.began_at = time.monotonic()

    def note(self, order: object) -> dict[str, object]:
        """Count an order and answer it."""
        name = str(order.get("externalOrderId")) if isinstance(order, dict) else ""
        self.arrivals.setdefault(name, time.monotonic())
        return {"awarded": 42, "balance": 1820, "memberId": "mem_5d3b1c9a", "externalOrderId": name}

    def report(self, prefix: str) -> dict[str, object]:
        """Counts of the orders whose id starts with a prefix."""
        times = [at for name, at in self.arrivals.items() if name.startswith(prefix)]
        return {
            "orders": len(times),
            "began_at": self.began_at,
            "first_at": min(times, default=0.0),
            "last_at": max(times, default=0.0),
            "requests": self.requests,
            "batches": self.batches,
            "most_at_once": self.most_at_once,
        }


def answer(seen: Seen, method: str, target: str, body: bytes) -> tuple[int, object]:
    """The status and the document for one request."""
    path = target.split("?", 1)[0].removeprefix(BASE_PATH)
    if method == "POST" and path == "/orders":
        return 200, {"data": seen.note(json.loads(body))}
    if method == "POST" and path == "/orders/batch":
        seen.batches += 1
        items = [{"status": 200, "data": seen.note(order)} for order in json.loads(body)["orders"]]
        return 207, {"data": items}
    if path == "/stores":
        return 200, {"data": [_STORE], "total": 1}
    if path.startswith("/members") and seen.members:
        found = members.answer(target.removeprefix(BASE_PATH), seen.members)
        return (404, {"error": {"code": "NOT_FOUND"}}) if found is None else (200, found)
    return 200, {"data": [], "total": 0}


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests on it are answered in turn."""

    def __init__(self, seen: Seen, latency_s: float) -> None:
        self.seen = seen
        self.latency_s = latency_s
        self.received = bytearray()
        self.busy = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.received += data
        if not self.busy:
            self.take()

    def take(self) -> None:
        """Start on the next request if it is here in full."""
        head_end = self.received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = self.received[:head_end].decode("latin-1")
        first, *lines = head.split("\r\n")
        headers = dict(line.lower().split(":", 1) for line in lines)
        length = int(headers.get("content-length", "0"))
        if len(self.received) < head_end + 4 + length:
            return
        body = bytes(self.received[head_end + 4 : head_end + 4 + length])
        del self.received[: head_end + 4 + length]
        method, target, _ = first.split(" ", 2)
        if target.startswith(_SEEN_PATH):
            self.reply(200, self.seen.report(target.removeprefix(_SEEN_PATH)))
            return
        self.busy = True
        self.seen.received(method)
        asyncio.get_running_loop().call_later(self.latency_s, self.finish, method, target, body)

    def finish(self, method: str, target: str, body: bytes) -> None:
        """Answer after the latency, then look for the next request."""
        self.busy = False
        self.seen.under_way -= 1
        self.reply(*answer(self.seen, method, target, body))

    def reply(self, status: int, document: object) -> None:
        """Write an answer."""
        if self.transport.is_closing():
            return
        body = json.dumps(document).encode()
        head = (
            f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.take()


async def serve(options: argparse.Namespace) -> None:
    """Serve until killed."""
    seen = Seen(members=options.members)
    latency_s = options.latency_ms / 1e3
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(seen, latency_s), "127.0.0.1", options.port)
    await server.serve_forever()


def main() -> None:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="benchmarks.peers.upstream", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--latency-ms", type=float, default=5.0)
    parser.add_argument("--members", type=int, default=0, help="so many members can be asked about")
    run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
