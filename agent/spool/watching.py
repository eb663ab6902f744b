"""Tells that something happened in a folder, so that nobody need look all the time.

The library collects what the operating system tells and looks into its collection in steps; so the steps are long,
and there is a thread for it. It may miss events (network shares tell of none, a full queue loses some) and may not
be able to watch at all: whoever uses it looks now and then all the same.
"""

import asyncio
import contextlib
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from agent import logs

SHORTEST_STEP_MS, LONGEST_STEP_MS = 50, 1000


def _library() -> ModuleType:
    """`watchfiles` without its part that restarts processes: that takes `multiprocessing`, which no till needs and the
    packaged program does not carry.
    """
    part = ModuleType("watchfiles.run")
    part.__dict__.update(run_process=None, arun_process=None)
    sys.modules.setdefault(part.__name__, part)
    import watchfiles  # noqa: PLC0415 - once that stands there

    return watchfiles


watchfiles = _library()


class Watch:
    """Watches at most one set of folders at a time. `happened` is called on the event loop."""

    def __init__(self, settle_s: float, happened: Callable[[], None]) -> None:
        self._step_ms = int(min(LONGEST_STEP_MS, max(SHORTEST_STEP_MS, settle_s * 500)))
        self._happened = happened
        self._identity: tuple[int, ...] = ()
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._told = False
        self._log = logs.get()

    def see(self, folders: Sequence[Path], identity: tuple[int, ...]) -> bool:
        """Watch these folders; whether they are others than before, as a folder is that was made or mounted anew.

        Where watching had ended it is tried again.
        """
        if self._thread is not None and self._thread.is_alive() and identity == self._identity:
            return False
        self._over.set()  # of a former one, which ends within a step
        others, self._identity, self._over = identity != self._identity, identity, threading.Event()
        arguments = (folders, self._over, asyncio.get_running_loop())
        self._thread = threading.Thread(target=self._run, args=arguments, name="spool-watch", daemon=True)
        self._thread.start()
        return others

    def end(self) -> None:
        """Tell it to stop."""
        self._over.set()

    async def stop(self) -> None:
        """Stop, and wait until it has: a step at the most."""
        self.end()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _run(self, folders: Sequence[Path], over: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        try:
            changes = watchfiles.watch(
                *folders,
                watch_filter=None,
                debounce=self._step_ms,
                step=self._step_ms,
                stop_event=over,
                rust_timeout=0,
                raise_interrupt=False,
                force_polling=False,
                recursive=False,
                ignore_permission_denied=False,  # or it would watch nothing, and say nothing
            )
            for _ in changes:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(self._happened)
        except Exception:  # noqa: BLE001 - then the folder is looked at now and then
            if not self._told:
                self._log.exception("a spool folder cannot be watched; it is looked at now and then")
            self._told = True
