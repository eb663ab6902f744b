"""Keeps the database small: checkpoints, retention, tombstones. Runs beside the writer and never holds it for long.

The write-ahead log is copied into the database when it is longer than LOG_BYTES, or soon after the writing stops; then
it is emptied, so that deleted content is gone from the disk. Its size counts, for rows differ: a sale takes about ten
KiB of it, a page of members a MiB. Settled operations lose their content after the retention time and their tombstone
later, and only while Flash's clock says that the till's is right: a clock that woke up years ahead would forget what
was settled this morning. Failures are never touched. Of the log of changes the newest entries are kept. Nothing is
timed while nothing is written.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from agent import logs, tasks
from agent.clock import Clock, to_ms
from agent.errors import Refusal
from agent.health import Health
from agent.storage import LOG_BYTES, Database

IDLE_S = 2.0
PRUNE_EVERY_S = 6 * 3600.0
PRUNE_ROWS = 500
KEPT_CHANGES = 20_000  # a reader of events that was away for longer lists the operations instead
LOW_DISK_BYTES = 256 * 1024 * 1024
MAX_SKEW_S = 86_400.0
_DAY_MS = 86_400_000
_FIRST_VERSION_MS = to_ms(datetime(2026, 11, 1, tzinfo=UTC))  # nothing was settled before: that was a dead clock's date

_STRIP = """
UPDATE operation SET content = NULL, outcome = NULL, outcome_key_id = NULL, subjects = '[]'
WHERE seq IN (
  SELECT seq FROM operation
  WHERE content IS NOT NULL AND settled_at IS NOT NULL AND settled_at < ? AND status <> 'failed'
    AND seq NOT IN (SELECT seq FROM redemption WHERE credit = 'open')
  ORDER BY settled_at LIMIT ?
)
RETURNING seq
"""
# What a wrong clock dated is kept from now on as long as anything else.
_DATE_ANEW = """
UPDATE operation SET settled_at = ?1
WHERE seq IN (
  SELECT seq FROM operation
  WHERE content IS NOT NULL AND settled_at IS NOT NULL AND status <> 'failed'
    AND (settled_at < ?2 OR settled_at > ?3)
  LIMIT ?4
)
RETURNING seq
"""
_FORGET_KEYS = "DELETE FROM request_key WHERE seq IN (SELECT value FROM json_each(?))"
# The newest row stays: where the table ends is compared with the mark, and a number must not be given again.
_REMOVE = """
DELETE FROM operation
WHERE seq IN (
  SELECT seq FROM operation
  WHERE content IS NULL AND settled_at < ? AND seq NOT IN (SELECT seq FROM redemption WHERE credit = 'open')
    AND seq < (SELECT max(seq) FROM operation)
  ORDER BY settled_at LIMIT ?
)
RETURNING seq
"""
# The newest is always kept: its number must not be given again.
_FORGET_CHANGES = """
DELETE FROM change
WHERE n IN (SELECT n FROM change WHERE n <= (SELECT max(n) FROM change) - ? ORDER BY n LIMIT ?)
RETURNING n
"""
_DATE_VOIDS_ANEW = "UPDATE voided_basket SET voided_at = ?1 WHERE voided_at < ?2 OR voided_at > ?3"
_FORGET_VOIDS = "DELETE FROM voided_basket WHERE voided_at < ?"


async def _nothing() -> None:
    """There is nothing beside the database."""


class Housekeeping:
    """One task; `written()` tells it that there is something to do."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        health: Health,
        *,
        skew_s: Callable[[], float | None],
        retention_days: int,
        tombstone_days: int,
        tidy: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self._database = database
        self._clock = clock
        self._health = health
        self._tidy_elsewhere = tidy  # what has nothing to do with rows, as often
        self._skew_s = skew_s  # Flash's time less the till's; None: not known yet
        self._retention_ms = retention_days * _DAY_MS
        self._tombstone_ms = max(tombstone_days, retention_days) * _DAY_MS
        self._written = asyncio.Event()
        self._oversize = asyncio.Event()
        self._pruned_at = float("-inf")
        self._trimmed_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._log = logs.get()

    def start(self) -> None:
        """Begin, with a look at what a former run left."""
        self._database.wrote = self.written
        self._written.set()
        self._task = asyncio.create_task(self._run(), name="housekeeping")

    async def stop(self) -> None:
        await tasks.end(self._task)

    def written(self) -> None:
        """Something was written: look after it."""
        self._written.set()
        if self._database.wal_bytes() > LOG_BYTES:
            self._oversize.set()

    async def _run(self) -> None:
        while True:
            await self._written.wait()
            try:
                await self._tidy()
            except Refusal as error:
                self._log.warning("housekeeping waits for the store", code=error.code)
                await self._clock.sleep(IDLE_S)
            except Exception:  # noqa: BLE001 - without checkpoints the log grows without bound
                self._log.exception("housekeeping failed")
                await self._clock.sleep(IDLE_S)

    async def _tidy(self) -> None:
        """Checkpoint by size while writing goes on, and once more when it stops."""
        while self._written.is_set():
            self._written.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._oversize.wait()
            await self._shorten()
        self.check_disk()
        if self._clock.monotonic() - self._trimmed_at > PRUNE_EVERY_S:
            await self.trim()
            try:
                await self._tidy_elsewhere()
            except (Refusal, OSError):  # files that somebody holds keep nothing else from going
                self._log.warning("housekeeping could not tidy beside the database")
            self._trimmed_at = self._clock.monotonic()
        skew_s = self._skew_s()
        clock_is_right = skew_s is not None and abs(skew_s) < MAX_SKEW_S
        if clock_is_right and self._clock.monotonic() - self._pruned_at > PRUNE_EVERY_S:
            await self.prune()
            self._pruned_at = self._clock.monotonic()
        await self._database.checkpoint(truncate=True)
        self._oversize.clear()

    async def _shorten(self) -> None:
        """Checkpoint if the log is too long; what is written meanwhile is in it, or begins the log anew."""
        if self._oversize.is_set():
            await self._database.checkpoint()
            self._oversize.clear()

    def check_disk(self) -> None:
        """Raise or clear the condition of a disk that is nearly full; one that is full is said by who cannot write."""
        free = self._database.free_bytes()
        self._health.set("disk-low", active=free < LOW_DISK_BYTES, detail=f"{free // 1024 // 1024} MiB are free.")

    async def prune(self) -> None:
        """Strip what is past its retention and remove what is past its tombstone, a few rows at a time."""
        now = to_ms(self._clock.now())
        dated = PRUNE_ROWS
        while dated == PRUNE_ROWS:
            dated = len(await self._database.fetch(_DATE_ANEW, [now, _FIRST_VERSION_MS, now + _DAY_MS, PRUNE_ROWS]))
            await self._shorten()
        stripped = PRUNE_ROWS
        while stripped == PRUNE_ROWS:
            stripped = len(await self._database.fetch(_STRIP, [now - self._retention_ms, PRUNE_ROWS]))
            await self._shorten()
        await self._database.fetch(_DATE_VOIDS_ANEW, [now, _FIRST_VERSION_MS, now + _DAY_MS])
        await self._database.fetch(_FORGET_VOIDS, [now - self._tombstone_ms])
        while True:
            async with self._database.transaction() as transaction:
                removed = await transaction.fetch(_REMOVE, [now - self._tombstone_ms, PRUNE_ROWS])
                await transaction.fetch(_FORGET_KEYS, [str([seq for (seq,) in removed])])
            await self._shorten()
            if len(removed) < PRUNE_ROWS:
                break

    async def trim(self) -> None:
        """Forget all but the newest changes, a few at a time."""
        while len(await self._database.fetch(_FORGET_CHANGES, [KEPT_CHANGES, PRUNE_ROWS])) == PRUNE_ROWS:
            await self._shorten()
