"""The agent's process as Windows' service control manager sees it: start pending, running, stop pending, stopped.

`host` gives the process's first thread to the control manager at once, for it waits thirty seconds at most and a till
that boots is slow; what is heavy is imported in the service's own thread. While the work starts, it says every two
seconds that it has moved on, from its own event loop: however long a migration takes, the manager waits; a loop that
stands still is found out. RUNNING is said when the work says it is ready. A start or a run that fails ends with an
error, so that the recovery actions run; a stop that was asked for never does, or they would start the agent again.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import pywintypes  # type: ignore[import-not-found,import-untyped,unused-ignore]
import servicemanager  # type: ignore[import-not-found,import-untyped,unused-ignore]
import win32service  # type: ignore[import-not-found,import-untyped,unused-ignore]
import win32serviceutil  # type: ignore[import-not-found,import-untyped,unused-ignore]

from agent.errors import AgentError
from agent.servicemanager.account import NAME

_SAY_EVERY_S = 2.0
_HINT_MS = 30_000  # how long a start may stand still between two words
_STOP_HINT_MS = 30_000
_NOT_STARTED_BY_WINDOWS = 1063


class Hosted(win32serviceutil.ServiceFramework):  # type: ignore[misc] # pywin32 tells no types
    """One run of the service. The names are the framework's."""

    _svc_name_ = NAME
    work: ClassVar[Callable[["Hosted"], int]]

    def __init__(self, arguments: Any) -> None:
        super().__init__(arguments)
        self._state = win32service.SERVICE_START_PENDING
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop_asked = asyncio.Event()

    def SvcRun(self) -> None:  # noqa: N802
        """The whole life; an exception is what makes the framework report an error."""
        self._say(win32service.SERVICE_START_PENDING, _HINT_MS)
        code = type(self).work(self)
        if code and not self._stop_asked.is_set():
            raise RuntimeError("the agent ended with an error")  # the log has told why
        self._say(win32service.SERVICE_STOP_PENDING, _STOP_HINT_MS)

    def GetAcceptedControls(self) -> int:  # noqa: N802
        return int(win32service.SERVICE_ACCEPT_STOP | win32service.SERVICE_ACCEPT_PRESHUTDOWN)

    def SvcStop(self) -> None:  # noqa: N802
        self._say(win32service.SERVICE_STOP_PENDING, _STOP_HINT_MS)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop_asked.set)

    def SvcOtherEx(self, control: int, _event_type: int, _data: Any) -> None:  # noqa: N802
        if control == win32service.SERVICE_CONTROL_PRESHUTDOWN:
            self.SvcStop()

    def SvcInterrogate(self) -> None:  # noqa: N802
        self._say(self._state, _HINT_MS)

    @contextlib.asynccontextmanager
    async def starting(self) -> AsyncIterator[None]:
        """Around the start; the service runs once it is left without an exception."""
        self._loop = asyncio.get_running_loop()
        ticks = asyncio.create_task(self._move_on())
        try:
            yield
        finally:
            ticks.cancel()
        self._say(win32service.SERVICE_RUNNING)

    async def until_told_to_stop(self) -> None:
        """Return when the manager says so, or the machine shuts down."""
        await self._stop_asked.wait()

    async def _move_on(self) -> None:
        while True:
            await asyncio.sleep(_SAY_EVERY_S)
            self._say(win32service.SERVICE_START_PENDING, _HINT_MS)

    def _say(self, state: int, hint_ms: int = 0) -> None:
        self._state = state
        self.ReportServiceStatus(state, waitHint=hint_ms)


def host(work: Callable[[Hosted], int]) -> None:
    """Serve the control manager until it has been told that the service stopped; ends the process.

    `work` runs in the service's thread and returns an exit code. Raises AgentError where Windows did not start us.
    """
    Hosted.work = staticmethod(work)
    servicemanager.Initialize()
    servicemanager.PrepareToHostSingle(Hosted)
    try:
        servicemanager.StartServiceCtrlDispatcher()
    except pywintypes.error as error:
        if error.winerror != _NOT_STARTED_BY_WINDOWS:
            raise
        raise AgentError(
            "Only Windows itself starts this. Use flash-agent service start, or flash-agent run in a window."
        ) from None
    os._exit(0)  # STOPPED is said: whoever waits for it may replace our files at once
