"""Durable queues that are libraries: one process, a thread per client, each put durable before it returns.

``python -m benchmarks.peers.libraries NAME CLIENTS SECONDS DIR``; prints one JSON object with the rate, the
latencies and the SQLite pragmas that were really in force.
NAME: persist-queue (SQLiteAckQueue) · huey (SqliteHuey)
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.sales import order_id, sale
from benchmarks.stats import percentile

Put = Callable[[str], object]
_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


def _pragmas(connection: sqlite3.Connection) -> str:
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    return f"journal_mode={journal}, synchronous={_SYNCHRONOUS[synchronous]}"


def persist_queue(directory: Path) -> tuple[Callable[[], Put], str]:
    """SQLiteAckQueue as documented for threads; set to FULL, whatever SQLite's default is."""
    import persistqueue

    queue = persistqueue.SQLiteAckQueue(str(directory / "persist-queue"), multithreading=True, auto_commit=True)
    connection: Any = queue._putter  # noqa: SLF001 - the pragma in force is per connection and there is no other way in
    before = _pragmas(connection)
    connection.execute("PRAGMA synchronous=FULL")
    described = f"{_pragmas(connection)} (as shipped: {before})"
    return lambda: queue.put, described


def huey(directory: Path) -> tuple[Callable[[], Put], str]:
    """SqliteHuey with fsync=True; a task is durable when its call returns. Serialized by its own lock."""
    from huey import SqliteHuey

    shipped = SqliteHuey(filename=str(directory / "shipped.db"))
    before = _pragmas(shipped.storage.conn)
    shipped.storage.close()
    queue = SqliteHuey(filename=str(directory / "huey.db"), fsync=True, timeout=30)

    @queue.task()  # type: ignore[untyped-decorator]
    def send(_body: str) -> None:
        """Never run here."""

    described = f"{_pragmas(queue.storage.conn)} (as shipped: {before})"
    return lambda: send, described


_LIBRARIES = {"persist-queue": persist_queue, "huey": huey}


def _client(number: int, connect: Callable[[], Put], stop_at: float, samples: list[float]) -> None:
    put = connect()
    sent = 0
    while True:
        sent += 1
        body = json.dumps(sale(order_id(f"c{number}", sent)))
        began = time.monotonic()
        if began >= stop_at:
            return
        put(body)
        samples.append(time.monotonic() - began)


def main() -> None:
    """Entry of the process."""
    name, clients, seconds, directory = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
    connect, described = _LIBRARIES[name](directory)
    samples: list[float] = []
    began = time.monotonic()
    threads = [
        threading.Thread(target=_client, args=(number, connect, began + seconds, samples)) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.monotonic() - began
    samples.sort()
    result = {
        "count": len(samples),
        "seconds": taken,
        "p50_ms": percentile(samples, 50) * 1e3,
        "p99_ms": percentile(samples, 99) * 1e3,
        "described": described,
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
