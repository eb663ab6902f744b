"""Run a burst: the load generator against a server, or a subject that brings its own clients."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from benchmarks.bench import Bench
from benchmarks.processes import REPOSITORY, environment, python, run_json
from benchmarks.sales import SALE_BYTES
from benchmarks.servers import Server

_SPARE_S = 30.0


@dataclass(frozen=True, slots=True)
class Burst:
    """What came out of one burst; latencies in ms, the trace as (sent at and latency in seconds, status)."""

    count: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_share: float = 0.0
    described: str = ""
    trace: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def rate_per_s(self) -> float:
        """Durable sales (or answers) per second."""
        return self.count / self.seconds if self.seconds else 0.0


def _burst(answer: Mapping[str, object]) -> Burst:
    wanted = {name: answer[name] for name in ("count", "seconds", "p50_ms", "p99_ms")}
    optional = {name: answer[name] for name in ("cpu_share", "described", "trace") if name in answer}
    return Burst(**wanted, **optional)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Posting:
    """What to post: for so long or so many; ``pace_ms`` pauses after each answer, ``trace`` keeps samples."""

    clients: int = 1
    seconds: float = 0.0
    count: int = 0
    warm_up_s: float = 0.0
    pace_ms: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    trace: bool = False
    prefix: str = ""

    @property
    def limit_s(self) -> float:
        """When the generator must have ended."""
        return self.seconds + self.warm_up_s + self.count / 500 + _SPARE_S

    def command(self, bench: Bench, server: Server) -> list[str]:
        """The generator's command line."""
        arguments = [
            *("--port", str(server.port), "--clients", str(self.clients)),
            *("--prefix", self.prefix or bench.unique(), "--pace-ms", str(self.pace_ms)),
            *("--seconds", str(self.seconds), "--count", str(self.count), "--warm-up", str(self.warm_up_s)),
            *(["--trace"] if self.trace else []),
        ]
        for name, value in {**server.headers, **self.headers}.items():
            arguments += ["--header", f"{name}: {value}"]
        return python("benchmarks.load", *arguments)


def post(bench: Bench, server: Server, posting: Posting) -> Burst:
    """Post sales over keep-alive connections from another process; any answer that is not 2xx is an error."""
    with posting_begun(bench, server, posting) as finish:
        return finish(early=False)


class Finish(Protocol):
    """Wait for a burst (or end it early) and tell what came of it."""

    def __call__(self, *, early: bool) -> Burst: ...


@contextmanager
def posting_begun(bench: Bench, server: Server, posting: Posting) -> Iterator[Finish]:
    """Post in the background."""
    process = subprocess.Popen(
        posting.command(bench, server),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=REPOSITORY,
        env=environment(),
    )

    def finish(*, early: bool) -> Burst:
        if early:
            process.terminate()
        try:
            out, problems = process.communicate(timeout=_SPARE_S if early else posting.limit_s)
        except subprocess.TimeoutExpired as error:
            raise server.child.failure("the load generator did not end; the server said:") from error
        if process.returncode != 0:
            reason = problems.decode(errors="replace").strip().splitlines()[-1:]
            raise server.child.failure(f"the load generator failed ({reason}); the server said:")
        answer = json.loads(out)
        refused = {status: n for status, n in answer["statuses"].items() if not status.startswith("2")}
        if refused:
            raise server.child.failure(f"answers other than 2xx: {refused}; the server said:")
        return _burst(answer)

    try:
        yield finish
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def raw_append(bench: Bench, directory: Path, *, clients: int, seconds: float, slow: bool = False) -> Burst:
    """Append and fdatasync, alone or in groups."""
    arguments = [str(directory / "raw.log"), str(clients), str(seconds), str(SALE_BYTES)]
    if bench.tools.append is not None:
        command = [str(bench.tools.append), *arguments]
    else:
        command = python("benchmarks.peers.append", *arguments)
    extra = bench.tools.slow_environment() if slow else None
    return _burst(run_json(command, limit_s=seconds + _SPARE_S, extra_environment=extra))


def library(name: str, directory: Path, *, clients: int, seconds: float) -> Burst:
    """A queue that is a library, threads in one process."""
    command = python("benchmarks.peers.libraries", name, str(clients), str(seconds), str(directory))
    return _burst(run_json(command, limit_s=seconds + _SPARE_S))


def redis(port: int, *, clients: int, seconds: float) -> Burst:
    """Redis Streams through its Python client."""
    command = python("benchmarks.peers.redis_streams", str(port), str(clients), str(seconds))
    return _burst(run_json(command, limit_s=seconds + _SPARE_S))


def get_json(server: Server, path: str) -> dict[str, object]:
    """A small question to a server, outside of any measurement."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        connection.request("GET", path, headers=server.headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise server.child.failure(f"GET {path} gave {answer.status}: {body[:300]!r}")
        parsed = json.loads(body)
        assert isinstance(parsed, dict)
        return parsed
    finally:
        connection.close()
