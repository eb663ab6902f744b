"""A sqlite3 connection in a thread of its own: calls are made there one after another, in the order of asking.

A call is any function of the connection, so that it can decide what to write when its turn comes, and do several things
in one visit: each way back to the event loop and into the thread again is a wait for the interpreter, which a busy loop
makes long.

Cancelling a caller does not stop a call that has begun.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
Row = tuple[Any, ...]


class Connection:
    """One connection. `close` it, or its thread and file stay open."""

    def __init__(self, thread: ThreadPoolExecutor, connection: sqlite3.Connection) -> None:
        self._thread = thread
        self._connection = connection

    @classmethod
    async def open(cls, connect: Callable[[], sqlite3.Connection]) -> "Connection":
        """Connect in a new thread; raises what `connect` raises."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")
        try:
            return cls(thread, await asyncio.get_running_loop().run_in_executor(thread, connect))
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def run(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """Make a call in the thread; returns or raises what it does."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, self._connection)

    async def fetch(self, sql: str, parameters: Iterable[Any] = ()) -> list[Row]:
        """One statement and all its rows."""
        return await self.run(lambda connection: connection.execute(sql, tuple(parameters)).fetchall())

    async def run_script(self, script: str) -> None:
        """Statements that bring their own BEGIN and COMMIT."""
        await self.run(lambda connection: connection.executescript(script))

    async def close(self) -> None:
        """Close after the calls that were asked for before."""
        try:
            await self.run(lambda connection: connection.close())
        finally:
            self._thread.shutdown(wait=False)
