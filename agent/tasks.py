"""The agent's own tasks: how they end, and the kind that looks after something for as long as the agent runs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from agent.clock import Clock


async def end(task: asyncio.Task[Any] | None) -> None:
    """Cancel a task, where there is one, and wait until it is over."""
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class Lookout:
    """One task that looks, then waits until its time has come or it is woken, and so on; idle, nothing is timed.

    `look` returns in how many seconds to look again (None: when woken). It answers for its own failures: what it
    raises ends the task. `timed` is called when the time has come, and has to wake; by default it does no more.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[float | None]],
        clock: Clock,
        *,
        name: str,
        timed: Callable[[], None] | None = None,
    ) -> None:
        self._look = look
        self._clock = clock
        self._name = name
        self._timed = timed or self.wake
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin with a look."""
        self._task = asyncio.create_task(self._run(), name=self._name)

    async def stop(self) -> None:
        """Look no more; a look under way is cut off."""
        await end(self._task)

    def wake(self) -> None:
        """Look again, at once or after the look that is under way."""
        self._woken.set()

    async def _run(self) -> None:
        while True:
            self._woken.clear()  # before looking, so that what comes meanwhile is not missed
            delay_s = await self._look()
            timer = None if delay_s is None else self._clock.call_later(delay_s, self._timed)
            try:
                await self._woken.wait()
            finally:
                if timer is not None:
                    timer.cancel()
