"""An agent whose days can be skipped: `python -m tests.support.clocked_agent run --data-dir D --port P`.

The same agent as `flash-agent run`, with a clock handed in. A line on its input is a number of seconds by which all of
the clock's readings jump on at once, timers and sleeps included: it is as if they had passed. An empty input ends it.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from agent import config, logs
from agent.app import Agent
from agent.cli.process import run
from agent.clock import Clock


class SkippingClock(Clock):
    """Real time, and what was skipped of it."""

    def __init__(self, skipped_s: float = 0.0) -> None:
        super().__init__()
        self._skipped_s = skipped_s
        self._timers: set[_Timer] = set()

    def skip(self, seconds: float) -> None:
        self._skipped_s += seconds
        for timer in list(self._timers):
            timer.arm()

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self._skipped_s)

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped_s

    def steady_ms(self) -> int:
        return super().steady_ms() + int(self._skipped_s * 1000)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> "_Timer":  # type: ignore[override]
        return _Timer(self, self._timers, self.monotonic() + delay_s, call)

    async def sleep(self, delay_s: float) -> None:
        over = asyncio.Event()
        timer = self.call_later(delay_s, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()


class _Timer:
    """As much of asyncio's TimerHandle as is used."""

    def __init__(self, clock: SkippingClock, timers: "set[_Timer]", at: float, call: Callable[[], None]) -> None:
        self._clock, self._timers, self._at, self._call = clock, timers, at, call
        self._handle: asyncio.TimerHandle | None = None
        timers.add(self)
        self.arm()

    def arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        left_s = max(0.0, self._at - self._clock.monotonic())
        self._handle = asyncio.get_running_loop().call_later(left_s, self._fire)

    def cancel(self) -> None:
        self._timers.discard(self)
        if self._handle is not None:
            self._handle.cancel()

    def _fire(self) -> None:
        self._timers.discard(self)
        self._call()


def launch(
    skipped_s: float = 0.0,
) -> Callable[[Sequence[str], Mapping[str, str], IO[bytes]], "subprocess.Popen[bytes]"]:
    """For AgentProcess: started with so much skipped already."""

    def start(arguments: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "tests.support.clocked_agent", *arguments, "--skipped", str(skipped_s)]
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=log)

    return start


async def _serve(data_dir: Path, port: int, clock: SkippingClock) -> int:
    agent = Agent(config.load(None, {"api": {"port": port}}), data_dir, clock)
    await agent.start()
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    try:
        print(f"flash-agent listens on http://127.0.0.1:{agent.port}", file=sys.stderr, flush=True)

        def read() -> None:
            for line in sys.stdin:
                loop.call_soon_threadsafe(clock.skip, float(line))
            loop.call_soon_threadsafe(over.set)

        reading = loop.run_in_executor(None, read)
        await over.wait()
        await reading
    finally:
        await agent.stop()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["run"])
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--skipped", type=float, default=0.0)
    given = parser.parse_args()
    logs.set_up("warning")
    return run(_serve(given.data_dir, given.port, SkippingClock(given.skipped)))


if __name__ == "__main__":
    sys.exit(main())
