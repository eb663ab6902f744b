"""SQLite without its thread: each call is a step of its own in virtual time, in the order of asking.

The file, the statements and the pragmas are the real ones. A caller that is cancelled does not stop its call, as with
the thread. What a killed process leaves is what its files held when it died (`Files`).
"""

import asyncio
import contextlib
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from agent.storage.connection import Connection, Row
from tests.simulation.loop import LIFE, Life, resolve

T = TypeVar("T")
_SUFFIXES = ("", "-wal", "-mark")


class SimulatedConnection(Connection):
    """A connection whose thread is the event loop's own."""

    chance = random.Random(0)  # of the run; a disk's moods

    def __init__(self, database: sqlite3.Connection, life: Life | None) -> None:
        self._database = database
        self._life = life
        self._calls: deque[tuple[Callable[[sqlite3.Connection], Any], asyncio.Future[Any]]] = deque()
        self._busy = False
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, path: Path, *, timeout_s: float, cached_statements: int) -> "SimulatedConnection":
        database = sqlite3.connect(path, timeout_s, isolation_level=None, cached_statements=cached_statements)
        life = LIFE.get()
        if life is not None:
            life.databases.append(database)
        return cls(database, life)

    async def visit(self, call: Callable[[sqlite3.Connection], T]) -> T:
        if self._life is not None and self._life.is_over:
            raise sqlite3.ProgrammingError("this process is dead")
        future: asyncio.Future[T] = self._loop.create_future()
        self._calls.append((call, future))
        if not self._busy:
            self._busy = True
            self._next()
        return await future

    def _next(self) -> None:
        if self.chance.random() < 0.7:
            self._loop.call_soon(self._run)
        else:
            self._loop.call_later(self.chance.random() * 0.004, self._run)

    def _run(self) -> None:
        call, future = self._calls.popleft()
        try:
            answer, error = call(self._database), None
        except Exception as raised:
            answer, error = None, raised
        resolve(future, answer, error)
        if self._calls:
            self._next()
        else:
            self._busy = False

    async def fetch(self, sql: str, parameters: Iterable[Any] = ()) -> list[Row]:
        return await self.visit(lambda database: database.execute(sql, parameters).fetchall())

    async def run_script(self, script: str) -> None:
        await self.visit(lambda database: database.executescript(script))

    async def close(self) -> None:
        await self.visit(lambda database: database.close())


class Files:
    """A database and its log as they are on the disk at one moment."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content = {}
        for suffix in _SUFFIXES:
            with contextlib.suppress(FileNotFoundError):
                self._content[suffix] = path.with_name(path.name + suffix).read_bytes()

    def put_back(self) -> None:
        """Undo whatever has happened to them since."""
        for suffix in _SUFFIXES:
            file = self._path.with_name(self._path.name + suffix)
            if suffix in self._content:
                file.write_bytes(self._content[suffix])
            else:
                file.unlink(missing_ok=True)
