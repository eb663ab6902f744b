"""Feels the pulse of an agent: `python -m tests.support.pulse PORT` asks for /healthz and sells, every 20 ms each.

A process of its own with one connection, so that what it measures is the agent and not the campaign, which is busy
being 32 registers and a Flash. The token of the register is the first line of its input, whose end ends it. In the end
it writes a line of JSON, see Beats.
"""

import http.client
import json
import select
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

EVERY_S = 0.02
LIMIT_S = 30.0


@dataclass(slots=True)
class Beats:
    """Milliseconds that each took, sorted; `sold` are the operations that were acknowledged."""

    health_ms: list[float] = field(default_factory=list)
    sale_ms: list[float] = field(default_factory=list)
    sold: list[dict[str, Any]] = field(default_factory=list)


def main(port: int) -> None:
    token = sys.stdin.readline().strip()
    beats = Beats()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)

    def call(method: str, path: str, body: str | None = None) -> tuple[float, Any]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"} if body else {}
        begun = time.perf_counter()
        try:
            connection.request(method, path, body, headers)
            answer = json.loads(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            connection.close()
            return LIMIT_S * 1000, {}
        return (time.perf_counter() - begun) * 1000, answer

    number = 0
    while not select.select([sys.stdin], [], [], EVERY_S)[0]:
        beats.health_ms.append(call("GET", "/healthz")[0])
        sale = {"externalOrderId": f"pulse-{number}", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 1}
        took_ms, answer = call("POST", "/v1/sales", json.dumps(sale))
        beats.sale_ms.append(took_ms)
        beats.sold += [answer] if "id" in answer else []
        number += 1
    print(json.dumps([sorted(beats.health_ms), sorted(beats.sale_ms), beats.sold]), flush=True)


class Pulse:
    """The process; `stop` ends it."""

    def __init__(self, port: int, token: str) -> None:
        command = [sys.executable, "-m", "tests.support.pulse", str(port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(f"{token}\n")
        self._process.stdin.flush()

    def stop(self) -> Beats:
        said, _ = self._process.communicate(timeout=60)
        return Beats(*json.loads(said))


def share(latencies: list[float], part: float) -> float:
    """The latency within which that part of them, which are sorted, was answered."""
    return latencies[min(len(latencies) - 1, int(len(latencies) * part))] if latencies else float("inf")


if __name__ == "__main__":
    main(int(sys.argv[1]))
