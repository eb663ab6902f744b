"""The raw limit without a compiler: ``native/append.c`` in Python (os.fdatasync lets the GIL go).

``python -m benchmarks.peers.append FILE CLIENTS SECONDS RECORD_BYTES``; prints the same JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable

from benchmarks.stats import percentile


class GroupCommit:
    """Records gather while one sync runs; the next sync takes them all."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._changed = threading.Condition()
        self._gathered: list[bytes] = []
        self._group = 0
        self._on_disk = 0
        self._closed = False

    def append(self, record: bytes) -> None:
        """Return once the record is durable."""
        with self._changed:
            mine = self._group
            self._gathered.append(record)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._on_disk > mine)

    def close(self) -> None:
        """Let the writer end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def write_groups(self) -> None:
        """The writer: one write and one sync per group."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._gathered or self._closed)
                if not self._gathered:
                    return
                full, self._gathered = self._gathered, []
                mine = self._group
                self._group += 1
            os.write(self._descriptor, b"".join(full))
            os.fdatasync(self._descriptor)
            with self._changed:
                self._on_disk = mine + 1
                self._changed.notify_all()


def _append_until(stop_at: float, append: Callable[[bytes], None], record: bytes, samples: list[float]) -> None:
    while (began := time.monotonic()) < stop_at:
        append(record)
        samples.append(time.monotonic() - began)


def main() -> None:
    """Entry of the process."""
    path, clients, seconds, size = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    descriptor = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
    record = b"a" * size
    samples: list[float] = []
    began = time.monotonic()
    stop_at = began + seconds
    if clients == 1:

        def alone(one: bytes) -> None:
            os.write(descriptor, one)
            os.fdatasync(descriptor)

        _append_until(stop_at, alone, record, samples)
    else:
        groups = GroupCommit(descriptor)
        writer = threading.Thread(target=groups.write_groups)
        writer.start()
        tills = [
            threading.Thread(target=_append_until, args=(stop_at, groups.append, record, samples))
            for _ in range(clients)
        ]
        for till in tills:
            till.start()
        for till in tills:
            till.join()
        groups.close()
        writer.join()
    taken = time.monotonic() - began
    samples.sort()
    p50, p99 = percentile(samples, 50) * 1e3, percentile(samples, 99) * 1e3
    json.dump({"count": len(samples), "seconds": taken, "p50_ms": p50, "p99_ms": p99}, sys.stdout)


if __name__ == "__main__":
    main()
