"""An event loop whose time jumps to the next timer, and processes in it that can die between any two steps.

Stock asyncio, but for the selector: where nothing is ready it does not wait, it sets the time forward. Everything that
an agent schedules carries the agent's Life in its context; when a life ends, what it had scheduled never runs, no task
of it is resumed and no clean-up of it is called, as after kill -9. What belongs to no life is the world: registers,
the network, Flash.
"""

import asyncio
import contextlib
import contextvars
import selectors
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

LIFE: contextvars.ContextVar["Life | None"] = contextvars.ContextVar("life", default=None)
STARTED_AT = 1000.0


class StuckError(Exception):
    """Nothing is scheduled any more, and somebody still waits."""


class Life:
    """One process. `steps` counts what it scheduled; when they are `dies_at`, `die` is called between two of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_over = False
        self.steps = 0
        self.dies_at: int | None = None
        self.die: Callable[[], None] = lambda: None
        self.tasks: list[asyncio.Task[Any]] = []
        self.databases: list[sqlite3.Connection] = []
        self.context = contextvars.Context()
        self.context.run(LIFE.set, self)

    def bury(self) -> None:
        """Close what the dead left behind, so that nothing of it is said when it is collected."""
        asyncio.set_event_loop(None)  # else a clean-up that asks for a loop is made one, which nobody closes
        for task in self.tasks:
            task._log_destroy_pending = False
            with contextlib.suppress(Exception):  # no clean-up counts any more
                task.get_coro().close()
        self.tasks.clear()


class _NeverWaits(selectors.BaseSelector):
    """Nothing comes from outside: a wait is time that passes."""

    def __init__(self) -> None:
        self.loop: VirtualLoop | None = None
        self._keys: dict[Any, selectors.SelectorKey] = {}

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._keys[fileobj] = selectors.SelectorKey(fileobj, 0, events, data)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert self.loop is not None
        if timeout is None:
            raise StuckError
        self.loop.now += max(0.0, timeout)
        return []

    def get_map(self) -> Any:
        return self._keys

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys[fileobj]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Virtual time; `now` are its seconds."""

    def __init__(self) -> None:
        self.now = STARTED_AT
        selector = _NeverWaits()
        super().__init__(selector)
        selector.loop = self
        self.set_task_factory(_task)

    def time(self) -> float:
        return self.now

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        handle = super().call_soon(callback, *args, context=context)
        life = handle._context.get(LIFE)
        if life is not None:
            if life.is_over:
                handle.cancel()
            else:
                life.steps += 1
                if life.steps == life.dies_at:
                    self._ready.appendleft(asyncio.Handle(life.die, (), self, contextvars.Context()))
        return handle

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        handle = super().call_at(when, callback, *args, context=context)
        life = handle._context.get(LIFE)
        if life is not None and life.is_over:
            handle.cancel()
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Any = None) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, _executor: Any, call: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """A thread would make each run another one: the call is a step of its own."""
        future: asyncio.Future[Any] = self.create_future()

        def do() -> None:
            try:
                answer, error = call(*args), None
            except Exception as raised:
                answer, error = None, raised
            self.call_soon(resolve, future, answer, error)

        self.call_soon(do)
        return future

    def end(self, life: Life) -> None:
        """From now on nothing of this life runs."""
        life.is_over = True
        for handle in [*self._ready, *self._scheduled]:
            if handle._context.get(LIFE) is life:
                handle.cancel()


def _task(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
    task = asyncio.Task(coro, loop=loop, **options)
    context = options.get("context")
    life = LIFE.get() if context is None else context.get(LIFE)
    if life is not None:
        life.tasks.append(task)
    return task


def resolve(future: asyncio.Future[Any], answer: Any, error: Exception | None) -> None:
    """What came of a call, to whoever still waits for it."""
    if future.done():
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
