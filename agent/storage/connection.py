"""aiosqlite's connection: SQLite in a thread of its own, calls made there one after another, in the order of asking.

Statements and scripts are aiosqlite's own. A `visit` is a function of the sqlite3 connection that is called in that
same thread, in its turn: it can decide what to write when its turn comes, and do several things before it goes back.
Each way to the event loop and into the thread again is a wait for the interpreter, which a busy loop makes long.

Cancelling a caller does not stop a call that has begun.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

T = TypeVar("T")
Row = tuple[Any, ...]


class Connection:
    """One connection. `close` it, or its thread and file stay open."""

    def __init__(self, inner: aiosqlite.Connection) -> None:
        self._inner = inner

    @classmethod
    async def open(cls, path: Path, *, timeout_s: float, cached_statements: int) -> "Connection":
        """Connect, each statement committing by itself; raises sqlite3's errors."""

        async def connect() -> aiosqlite.Connection:
            return await aiosqlite.connect(
                path, timeout=timeout_s, isolation_level=None, cached_statements=cached_statements
            )

        opening = asyncio.ensure_future(connect())
        try:
            return cls(await asyncio.shield(opening))
        except asyncio.CancelledError:  # aiosqlite would leave a thread that answers to a loop that has gone
            with contextlib.suppress(sqlite3.Error):
                await (await opening).close()
            raise

    async def fetch(self, sql: str, parameters: Iterable[Any] = ()) -> list[Row]:
        """One statement and all its rows."""
        rows: Any = await self._inner.execute_fetchall(sql, parameters)  # typed as sqlite3.Row, which we do not set
        found: list[Row] = rows
        return found

    async def visit(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function of the sqlite3 connection in the thread; returns or raises what it does.

        The one use of names that aiosqlite keeps to itself, all of whose own methods go this way: it offers no function
        of the connection, and a group a statement costs two more waits for the interpreter. A test holds what they
        mean, pyproject.toml the versions that have them.
        """
        inner = self._inner
        answer: T = await inner._execute(call, inner._conn)  # type: ignore[no-untyped-call]  # noqa: SLF001
        return answer

    async def run_script(self, script: str) -> None:
        """Statements that bring their own BEGIN and COMMIT."""
        await self._inner.executescript(script)

    async def close(self) -> None:
        """Close after the calls that were asked for before."""
        await self._inner.close()
