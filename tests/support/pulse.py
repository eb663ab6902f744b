"""Feels the pulse of an agent: `python -m tests.support.pulse PORT` asks for /healthz every 20 ms until its input ends.

A process of its own, so that what it measures is the agent's event loop and not the campaign's. Writes a line of JSON
in the end: the latencies in milliseconds, sorted.
"""

import http.client
import json
import select
import subprocess
import sys
import time

EVERY_S = 0.02
LIMIT_S = 30.0


def main(port: int) -> None:
    latencies: list[float] = []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        begun = time.perf_counter()
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection.close()
            latencies.append(LIMIT_S * 1000)
            continue
        latencies.append((time.perf_counter() - begun) * 1000)
    print(json.dumps(sorted(latencies)), flush=True)


class Pulse:
    """The process; `stop` ends it and returns the latencies in milliseconds, sorted."""

    def __init__(self, port: int) -> None:
        command = [sys.executable, "-m", "tests.support.pulse", str(port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self) -> list[float]:
        said, _ = self._process.communicate(timeout=60)
        found: list[float] = json.loads(said)
        return found


def share(latencies: list[float], part: float) -> float:
    """The latency within which that part of them was answered."""
    return latencies[min(len(latencies) - 1, int(len(latencies) * part))] if latencies else float("inf")


if __name__ == "__main__":
    main(int(sys.argv[1]))
