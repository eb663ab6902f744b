"""Statements between BEGIN and COMMIT, one after another on the way there and back, or all within one visit; and groups
of rows, each a statement that commits by itself.

Handed out and run by `Database`, which sees to it that there is one at a time.
"""

import contextlib
import sqlite3
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from agent.storage.connection import Connection, Row

T = TypeVar("T")


class Transaction:
    """Statements between BEGIN and COMMIT; handed out by `Database.transaction`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return all its rows."""
        return await self._connection.fetch(sql, parameters)


class Batches(Protocol):
    """Groups of rows that are put together when the connection is free for them. Called in the connection's thread."""

    def take(self) -> tuple[str, Sequence[Any]] | None:
        """The next INSERT and its parameters; None: nothing to write now."""
        ...

    def wrote(self, count: int) -> None:
        """It was committed, with so many rows; triggers' rows do not count. Ask `Database.gone` before saying yes."""
        ...


class AtOnce(Transaction):
    """A transaction within one visit of the connection's thread: no statement is a way there and back."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._at_once = connection

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        return self._at_once.execute(sql, parameters).fetchall()


def run_through(connection: sqlite3.Connection, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never has to wait between BEGIN and COMMIT; whatever it raises rolls back and goes on."""
    with contextlib.closing(work):
        connection.execute("BEGIN IMMEDIATE")
        try:
            try:
                work.send(None)
            except StopIteration as ended:
                answer: T = ended.value
            else:
                raise RuntimeError("a transaction waited for something other than its statements")
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
    return answer
