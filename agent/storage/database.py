"""The one connection: durable, exclusive, and reopened rather than trusted after an I/O error.

Invariants: WAL with `synchronous=FULL`, so a statement that returned is on disk; one connection, one statement or
transaction at a time (a lock, in the order of asking); outside `transaction()` every statement commits by itself.

Failure: a commit that failed is not a "no", its rows may be back after a reopen. After any I/O error the connection is
closed and the next caller opens a new one; `on_reopen` tells the owner to reconcile. A full disk rolls back cleanly and
needs no reopen. Callers see StorageUnavailableError or StorageFullError, never sqlite3's own.

What can be read is on the disk: whatever an opening finds in the log is synced before anybody is told of it.

Cancelling a caller does not stop its statement, which runs in the connection's thread. A single statement then commits;
a transaction is rolled back, unless its COMMIT was already on the way.
"""

import asyncio
import contextlib
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from agent.errors import ConfigError, StorageFullError, StorageUnavailableError
from agent.health import Health
from agent.storage.connection import Connection, Row
from agent.storage.durable import write_again
from agent.storage.mark import Mark
from agent.storage.quarantine import Quarantine
from agent.storage.transactions import AtOnce, Batches, Transaction, run_through

T = TypeVar("T")
IntegrityError = sqlite3.IntegrityError

_BUSY_TIMEOUT_S = 2.0
_RETRY_AFTER_S = 5
_NEARLY_FULL_BYTES = 1024 * 1024
_PAGE_BYTES = 4096
LOG_BYTES = 8 * 1024 * 1024  # SQLite cuts the log back to it whenever it begins it anew
_PRAGMAS = (
    ("locking_mode=EXCLUSIVE", "exclusive"),  # before journal_mode: then there is no -shm file to go wrong
    ("journal_mode=WAL", "wal"),
    ("synchronous=FULL", None),
    ("secure_delete=ON", 1),
    ("wal_autocheckpoint=0", 0),  # housekeeping checkpoints, off the register's path
    (f"journal_size_limit={LOG_BYTES}", LOG_BYTES),
    ("temp_store=MEMORY", None),
)
_PARAMETERS_A_ROW = 8  # a multi-row statement has at least as many for each
_CACHED_STATEMENTS = 256
_INSERTS_A_VISIT = 8
_READING = ("SELECT", "PRAGMA", "WITH")
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}

Lacks = Callable[[Transaction, int], Awaitable[str]]


class Database:
    """One SQLite file. `connection` is the way to it: a simulation has one without a thread."""

    def __init__(
        self, path: Path, quarantine: Path, health: Health, *, connection: type[Connection] = Connection
    ) -> None:
        self.path = path
        self._connection_type = connection
        self._quarantine = Quarantine(quarantine)
        self.mark = Mark(path.with_name(path.name + "-mark"))
        self._health = health
        self._connection: Connection | None = None
        self._lock = asyncio.Lock()
        self._waiting = 0  # for the lock
        self._closed = False
        self._log = path.with_name(path.name + "-wal")
        self._path_text, self._log_text = str(self.path), str(self._log)
        self._identity = (0, 0)
        self._log_identity: tuple[int, int] | None = None  # there from the first write on
        self._gone = False
        self.wrote: Callable[[], None] = lambda: None
        self.on_reopen: Callable[[], None] = lambda: None

    async def open(self, *, was_used: bool = False, lacks: Lacks | None = None) -> None:
        """Open, checking the file first; a damaged one is set aside, never reset in silence.

        `was_used`: there has been a database here, so that one that is gone or empty is damage too. `lacks` says what
        is missing from one that ends before its mark.
        """
        moved = self._quarantine.finish(self.path)
        if was_used and not moved and not _size(self.path):
            self._begin_without_file()
        try:
            self._connection = await self._connect()
            damage = await self._damage(lacks)
            if not damage:
                await self._sync(self._connection)
        except sqlite3.DatabaseError as error:
            if _code(error) not in _CORRUPT:
                await self._disconnect()
                raise ConfigError(self._cannot_open(error)) from None
            damage = str(error)
        except UnicodeDecodeError:  # SQLite's own message quotes what it cannot read
            damage = "The schema is damaged."
        if damage:
            folder = self._quarantine.begin(self.path, damage)
            await self._disconnect()
            self._quarantine.move(self.path, folder)
            self.mark.read()  # it went with its database
            self._connection = await self._connect()

    def _begin_without_file(self) -> None:
        """Let its log be read, which may hold everything: SQLite deletes that of an empty database."""
        if self.wal_bytes() > 0:
            self.path.write_bytes(bytes(_PAGE_BYTES))
        else:
            self.path.touch()
            self._quarantine.move(self.path, self._quarantine.begin(self.path, "It was gone."))

    async def close(self) -> None:
        """Finish what is running and close; SQLite checkpoints on the way out."""
        async with self._turn():
            self._closed = True
            self.mark.close()
            await self._disconnect()

    async def fetch(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run one statement, which commits by itself, and return all its rows."""
        rows = await self._in_turn(lambda connection: connection.fetch(sql, parameters))
        if not sql.lstrip().startswith(_READING):
            stored = sql.startswith("INSERT") or len(parameters) > _PARAMETERS_A_ROW
            self._written(stored=stored)
        return rows

    async def visit(self, call: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function of the sqlite3 connection in its turn, in the connection's thread; for this room alone."""
        return await self._in_turn(lambda connection: connection.visit(call))

    async def fetch_text(self, sql: str, parameters: Sequence[Any], then: str) -> str:
        """Run a SELECT of one text, and then a writing statement with the same parameters, in one visit.

        Row by row the connection's thread would wait for the interpreter as often as there are rows.
        """

        def call(connection: sqlite3.Connection) -> str:
            (text,) = connection.execute(sql, parameters).fetchone()
            connection.execute(then, parameters)
            return str(text)

        text = await self._in_turn(lambda connection: connection.visit(call))
        self._written(stored=False)
        return text

    async def insert(self, batches: Batches) -> None:
        """Write what `batches` gives, one INSERT and commit after another, until it gives nothing.

        The next one is put together in the connection's thread once the last one is on disk: the disk never waits for
        a busy event loop. Ends early where somebody else wants the connection, and now and then for housekeeping.

        Whether the files are still there is asked in the event loop, `gone`: each system call in the thread lets go of
        the interpreter, and a busy loop gives it back after the switch interval, which is longer than the commit.
        """
        count = await self._in_turn(lambda connection: connection.visit(lambda inner: self._insert(inner, batches)))
        if self.gone() is None:
            self._written(stored=count > 0)

    def gone(self) -> StorageUnavailableError | None:
        """After a commit: why it does not count, where the files are not those that were opened."""
        return None if self._file_is_there() else self._file_is_gone()

    def _insert(self, connection: sqlite3.Connection, batches: Batches) -> int:
        total = 0
        for _ in range(_INSERTS_A_VISIT):
            statement = batches.take()
            if statement is None:
                break
            count = connection.execute(*statement).rowcount
            total += count
            batches.wrote(count)
            if self._waiting:
                break
        return total

    async def _in_turn(self, call: Callable[[Connection], Awaitable[T]]) -> T:
        """One call of the connection, when it is this caller's turn."""
        async with self._turn():
            connection = await self._ready()
            try:
                return await call(connection)
            except sqlite3.Error as error:
                raise await self._translate(error) from error

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Several statements, one commit. Anything raised inside rolls back and goes on to the caller."""
        async with self._turn():
            connection = await self._ready()
            try:
                await connection.fetch("BEGIN IMMEDIATE")
                yield Transaction(connection)
                await connection.fetch("COMMIT")
            except BaseException as error:
                with contextlib.suppress(sqlite3.Error, ValueError):
                    await connection.fetch("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise await self._translate(error) from error
                raise
        gone = self.gone()
        if gone is not None:
            raise gone
        self._written(stored=False)

    async def transact(self, work: Callable[[Transaction], Coroutine[Any, Any, T]]) -> T:
        """As `transaction`, all of it in one visit of the connection's thread, where each statement would be one.

        `work` awaits its statements and nothing else, and may be called in that thread. Who is cancelled does not stop
        it.
        """
        async with self._turn():
            connection = await self._ready()
            try:
                answer = await connection.visit(lambda inner: run_through(inner, work(AtOnce(inner))))
            except sqlite3.Error as error:
                raise await self._translate(error) from error
        gone = self.gone()
        if gone is not None:
            raise gone
        self._written(stored=False)
        return answer

    def _file_is_there(self) -> bool:
        """What goes into files that were deleted under us is gone at the next start: never say yes to it.

        So is what goes into the log of a file that was emptied.
        """
        try:
            found, log = os.stat(self._path_text), os.stat(self._log_text)  # noqa: PTH116 - a third of Path's time
        except OSError:
            return False
        identity = (log.st_dev, log.st_ino)
        self._log_identity = self._log_identity or identity
        whole = found.st_size > 0 and self._log_identity == identity
        return whole and (found.st_dev, found.st_ino) == self._identity

    def _file_is_gone(self) -> StorageUnavailableError:
        detail = f"The database file {self.path} or its log was deleted, emptied or replaced while the agent ran."
        self._gone = True
        self._health.set("storage-unavailable", active=True, detail=detail)
        return StorageUnavailableError("The database file is gone.", stored=True, retry_after_s=_RETRY_AFTER_S)

    def _written(self, *, stored: bool) -> None:
        """A commit succeeded; where something new was stored, there is space again."""
        self._health.set(
            "storage-unavailable", active=self._gone, detail="The database file is gone; restart the agent."
        )
        if stored:
            self._health.set("storage-full", active=False)
        self.wrote()

    async def run_script(self, script: str) -> None:
        """Run a migration: statements that bring their own BEGIN and COMMIT."""
        async with self._turn():
            connection = await self._ready()
            try:
                await connection.run_script(script)
            except sqlite3.Error as error:
                with contextlib.suppress(sqlite3.Error):
                    await connection.fetch("ROLLBACK")
                raise await self._translate(error) from error

    async def checkpoint(self, *, truncate: bool = False) -> None:
        """Copy the WAL into the database file; with `truncate` the WAL is emptied, deleted content with it."""
        await self.fetch(f"PRAGMA wal_checkpoint({'TRUNCATE' if truncate else 'PASSIVE'})")

    def wal_bytes(self) -> int:
        """The size of the write-ahead log on disk; above LOG_BYTES it wants a checkpoint.

        After one SQLite begins the log anew without shrinking it, but for what is above LOG_BYTES. So a log that is
        longer has grown so long since the last one.
        """
        return _size(self._log)

    def free_bytes(self) -> int:
        """Free space on the database's disk."""
        return shutil.disk_usage(self.path.parent).free

    async def _connect(self) -> Connection:
        connection = await self._connection_type.open(
            self.path, timeout_s=_BUSY_TIMEOUT_S, cached_statements=_CACHED_STATEMENTS
        )
        try:
            for pragma, expected in _PRAGMAS:
                rows = await connection.fetch(f"PRAGMA {pragma}")
                if expected is not None and (not rows or rows[0][0] != expected):
                    raise sqlite3.OperationalError(f"PRAGMA {pragma} was not taken: {rows}")
            ((level,),) = await connection.fetch("PRAGMA synchronous")
            if level != 2:
                raise sqlite3.OperationalError(f"PRAGMA synchronous is {level}, not FULL")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                await connection.close()
            raise
        found = self.path.stat()
        self._identity, self._log_identity = (found.st_dev, found.st_ino), None
        return connection

    async def _sync(self, connection: Connection) -> None:
        """Put on the disk what was found in the log.

        A commit may be there that nobody synced: its agent was killed between the two, or the sync failed. A register
        that sends it again is told yes without another write. The log is synced and copied, for after a failed sync the
        system takes its pages for written; where a full disk ends the copying, it is written again where it stands.
        Unless it was this sync that failed: some file systems look for space no sooner.
        """
        try:
            await connection.fetch("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.OperationalError as error:
            unsynced = not self._is_full(error) or error.sqlite_errorcode == sqlite3.SQLITE_IOERR_FSYNC
            if unsynced or not await asyncio.to_thread(write_again, self._log):
                raise

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                await connection.close()

    async def _damage(self, lacks: Lacks | None) -> str:
        connection = await self._ready()
        # Not `quick_check`: an index that lacks a row hides it from whoever sends or settles it.
        rows = await connection.fetch("PRAGMA integrity_check(1)")
        if rows != [("ok",)]:
            return str(rows[0][0])
        mark = self.mark.read()
        return await lacks(Transaction(connection), mark) if lacks is not None and mark else ""

    async def _ready(self) -> Connection:
        if self._connection is not None:
            return self._connection
        if self._closed:
            raise StorageUnavailableError("The agent is shutting down.", retry_after_s=_RETRY_AFTER_S)
        try:
            self._connection = await self._connect()
            await self._sync(self._connection)
            self.on_reopen()
        except sqlite3.Error as error:
            await self._disconnect()
            raise await self._translate(error) from error
        return self._connection

    async def _translate(self, error: sqlite3.Error) -> StorageFullError | StorageUnavailableError | sqlite3.Error:
        """What a caller may see instead of sqlite3's error; drops a connection that cannot be trusted any more."""
        code = _code(error)
        if isinstance(error, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError):
            return error
        if code != sqlite3.SQLITE_FULL:
            await self._disconnect()
        if self._is_full(error):
            self._health.set("storage-full", active=True)
            return StorageFullError(
                "The disk is full: nothing can be stored until there is space.", stored=True, retry_after_s=30
            )
        self._health.set("storage-unavailable", active=True, detail=f"SQLite says: {error}.")
        return StorageUnavailableError("The database cannot be used now.", stored=True, retry_after_s=_RETRY_AFTER_S)

    def _is_full(self, error: sqlite3.Error) -> bool:
        code = _code(error)
        return code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and self._no_space())

    def _no_space(self) -> bool:
        try:
            return self.free_bytes() < _NEARLY_FULL_BYTES
        except OSError:
            return False

    def _cannot_open(self, error: sqlite3.DatabaseError) -> str:
        if _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return f"The database {self.path} is locked by another program. End that program and start again."
        return f"The database {self.path} cannot be opened: {error}. Check the disk and the directory's permissions."


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _code(error: sqlite3.Error) -> int:  # 0 for an error of our own
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
