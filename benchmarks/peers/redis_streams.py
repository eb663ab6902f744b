"""Redis Streams through redis-py: XADD with ``appendfsync always``; the answer comes after the fsync.

One process with a connection per client under asyncio (uvloop where there is one): measured against a thread
per client in one process, it is the faster of the two by far, so the agent is compared with it.
``python -m benchmarks.peers.redis_streams PORT CLIENTS SECONDS`` talks to a server; prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from redis.asyncio import Redis

from benchmarks.loops import run
from benchmarks.sales import order_id, sale
from benchmarks.stats import percentile

INSTALL_HINT = "apt-get install redis-server"


def server_command(executable: str, port: int, directory: str) -> list[str]:
    """A server on loopback that answers a write after its fsync; its files go into a directory of ours."""
    settings = {
        "--port": str(port),
        "--bind": "127.0.0.1",
        "--dir": directory,
        "--appendonly": "yes",
        "--appendfsync": "always",
        "--no-appendfsync-on-rewrite": "no",
        "--auto-aof-rewrite-percentage": "0",
        "--save": "",
    }
    return [executable, *(part for pair in settings.items() for part in pair)]


async def _client(number: int, connection: Redis, stop_at: float, samples: list[float]) -> None:
    sent = 0
    while True:
        sent += 1
        body = json.dumps(sale(order_id(f"c{number}", sent)))
        began = time.monotonic()
        if began >= stop_at:
            return
        await connection.xadd("sales", {"body": body})
        samples.append(time.monotonic() - began)


async def measure(port: int, clients: int, seconds: float) -> dict[str, object]:
    """Post for so many seconds."""
    connections = [Redis(host="127.0.0.1", port=port, single_connection_client=True) for _ in range(clients)]
    for connection in connections:
        await connection.ping()
    setting = await connections[0].config_get("appendfsync")
    samples: list[float] = []
    began = time.monotonic()
    await asyncio.gather(*(_client(number, one, began + seconds, samples) for number, one in enumerate(connections)))
    taken = time.monotonic() - began
    for connection in connections:
        await connection.aclose()
    samples.sort()
    return {
        "count": len(samples),
        "seconds": taken,
        "p50_ms": percentile(samples, 50) * 1e3,
        "p99_ms": percentile(samples, 99) * 1e3,
        "described": f"appendfsync={setting['appendfsync']}",
    }


if __name__ == "__main__":
    json.dump(run(measure(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))), sys.stdout)
