"""Running asyncio programs until they are told to stop, on Linux and on Windows."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

# The database thread comes back for the interpreter after each row; at the default of 5 ms it waits for the busy event
# loop longer than for the disk.
SWITCH_INTERVAL_S = 0.0005
YOUNG_OBJECTS = 5000  # a request has some fifty, and there may be many requests at once


def run(main: Coroutine[Any, Any, int]) -> int:
    """Run to the end, on the fastest loop there is: uvloop or winloop where they are installed."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    fill_standard_descriptors()
    _leave_no_core()
    _allow_many_files()
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(main)


def collect_less() -> None:
    """Before anything is loaded: the garbage collector looks at young objects less often.

    Else it goes through all that is loaded, which stays, again and again: a seventh of the start.
    """
    gc.set_threshold(YOUNG_OBJECTS, 10, 10)


def spare_collections() -> None:
    """Once everything is started: let the garbage collector leave alone what stays for good.

    Else it goes through all modules and classes every few thousand sales, 25 ms in which every register waits, and
    through the requests under way at every commit. What it looks for is rare here: objects that refer to each other
    and to which nobody else does; at most so many lie about.
    """
    gc.collect()
    gc.freeze()


def fill_standard_descriptors() -> None:
    """Where somebody started us with some of them closed, files and the loop's own pipes would get their numbers.

    What is then written to standard error would end up in there, and libuv aborts as it closes one of them.
    """
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest free number
        if descriptor > 2:
            os.close(descriptor)
            return


def _leave_no_core() -> None:
    """A core would hold keys and customers' data, and who collects them notes the environment, which may hold a key.

    A limit of one byte: at 0 Linux writes no file, but still starts systemd-coredump or apport; at 1 neither. Windows'
    error reporting writes its own, and may send them away: it is not called, nor is a window shown that nobody closes.
    """
    if sys.platform == "win32":
        import msvcrt

        no_window = msvcrt.SEM_FAILCRITICALERRORS | msvcrt.SEM_NOOPENFILEERRORBOX
        msvcrt.SetErrorMode(msvcrt.SEM_NOGPFAULTERRORBOX | no_window)
    else:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_CORE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (1, most or 1))


def _allow_many_files() -> None:
    """A common soft limit of 1024 descriptors would let a thousand idle connections shut out a sale."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        if sys.platform == "win32":
            import winloop as fast  # type: ignore[import-not-found,unused-ignore]
        else:
            import uvloop as fast
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = fast.new_event_loop
    return factory


async def until_told_to_stop() -> None:
    """Return at Ctrl-C, SIGTERM, or Windows' Ctrl-Break; a second Ctrl-C interrupts as usual."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    if threading.current_thread() is not threading.main_thread():
        await stop.wait()
        return
    names = ("SIGINT", "SIGTERM", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}

    def told(*_: object) -> None:
        loop.call_soon_threadsafe(stop.set)

    for number in numbers:
        try:
            loop.add_signal_handler(number, told)
        except NotImplementedError:  # the Proactor loop has none
            signal.signal(number, told)
    try:
        await stop.wait()
    finally:
        for number, handler in before.items():
            try:
                loop.remove_signal_handler(number)
            except NotImplementedError:
                signal.signal(number, handler)
