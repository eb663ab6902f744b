"""Data keys change while the agent sells: a new one seals from now on; what older ones sealed is sealed anew behind.

The new key is on the disk, with its directory, before anything is sealed with it, and the database knows of it: a
data.key that is put back from before is found to be too old. Older keys stay in the file beside it for as long as
anything may need them. So a kill at any moment loses nothing: what is there opens, and the next start goes on where
rows are left. An older key leaves the file at a start, before anything is accepted, when no row
and no database that was set aside needs it: only then is it certain that nothing sealed with it is still on its way.

The keyed hashes have a key of their own that stays. Idle, nothing is timed.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from agent import logs, tasks
from agent.clock import Clock
from agent.errors import ConflictError, DataKeyError, Refusal, StorageUnavailableError
from agent.storage import Database, DataKeys, Sealer
from agent.storage.keyfile import NEWEST_FACT

PAUSE_S = 0.05  # between slices: registers go first
ASIDE_S = 0.2
ASIDE_LIMIT_S = 10.0  # a busy till's rows have their turn too
AGAIN_S = 15.0


class Seals(Protocol):
    """Sealed things of one kind, as the rooms below show them."""

    async def used(self) -> set[int]:
        """The ids of all keys that something is sealed with."""
        ...

    async def reseal(self, after: int) -> tuple[int | None, int]:
        """Seal a slice anew; up to which row number that is done (None: to the end), and how many rows it was."""
        ...


class KeyState(msgspec.Struct, frozen=True):
    """Which key seals, which older ones are kept, and whether rows are being sealed anew now."""

    current: int
    older: tuple[int, ...]
    resealing: bool


async def remember_newest(database: Database, keys: DataKeys) -> None:
    """Let the database know its newest key before that seals anything; raises what the database raises."""
    newest = str(max(keys.sealing)).encode()
    await database.fetch("INSERT OR REPLACE INTO fact (name, value) VALUES (?, ?)", [NEWEST_FACT, newest])


class Rotation:
    """The one who changes keys.

    `save` writes them durably, or raises OSError; `needed_elsewhere` says whether a database that was set aside may
    need older ones.
    """

    def __init__(
        self,
        keys: DataKeys | None,
        sealer: Sealer,
        database: Database,
        seals: Sequence[Seals],
        clock: Clock,
        *,
        save: Callable[[DataKeys], None],
        needed_elsewhere: Callable[[], bool],
        busy: Callable[[], bool],
    ) -> None:
        self._keys = keys
        self._sealer = sealer
        self._database = database
        self._seals = seals
        self._clock = clock
        self._save = save
        self._needed_elsewhere = needed_elsewhere
        self._busy = busy
        self._changing: asyncio.Task[KeyState] | None = None
        self._task: asyncio.Task[None] | None = None
        self._log = logs.get()

    @property
    def state(self) -> KeyState | None:
        """How it stands; None without a key."""
        if self._keys is None:
            return None
        return KeyState(self._keys.current, tuple(sorted(self._keys.older)), self._is_under_way)

    @property
    def _is_under_way(self) -> bool:
        return any(task is not None and not task.done() for task in (self._changing, self._task))

    async def start(self) -> None:
        """Before anything is accepted: let go of keys that nothing needs, go on where a former run was interrupted."""
        if self._keys is None or not self._keys.older:
            return
        try:
            used = set[int]().union(*[await seals.used() for seals in self._seals])
        except Refusal as error:
            self._log.warning("older data keys stay", code=error.code)
            return
        if (unused := self._keys.older - used) and not self._needed_elsewhere():
            kept = self._keys.without(unused)
            try:
                await asyncio.to_thread(self._save, kept)
            except OSError as error:
                self._log.warning("older data keys stay", error=error.strerror)
            else:
                self._keys = kept
                self._log.info("older data keys were removed", count=len(unused))
        if used - {self._keys.current}:
            self._task = asyncio.create_task(self._reseal(), name="resealing")

    async def stop(self) -> None:
        """Leave the rest to the next start."""
        if self._changing is not None:
            await asyncio.wait([self._changing])
        await tasks.end(self._task)

    async def rotate(self, by: str) -> KeyState:
        """Make a new key and seal with it from now on; returns once it is on the disk, the rest follows behind."""
        if self._keys is None:
            raise DataKeyError("There is no data key to follow. Put data.key back first.", retry_after_s=30)
        if self._is_under_way:
            raise ConflictError(
                "Rows are still being sealed with the newest key; rotate again when that is over.",
                code="rotation-under-way",
            )
        self._changing = asyncio.create_task(self._change(self._keys.renewed(), by), name="data-key")
        return await asyncio.shield(self._changing)  # whoever asked may hang up; half a change there is not

    async def _change(self, renewed: DataKeys, by: str) -> KeyState:
        try:
            await asyncio.to_thread(self._save, renewed)
        except OSError as error:
            raise StorageUnavailableError(
                f"The new data key cannot be written ({error.strerror}); the old one stays.", retry_after_s=30
            ) from None
        await remember_newest(self._database, renewed)
        self._keys = renewed
        self._sealer.adopt(renewed)
        self._log.info("the data key was changed", by=by)
        self._task = asyncio.create_task(self._reseal(), name="resealing")
        return KeyState(renewed.current, tuple(sorted(renewed.older)), resealing=True)

    async def _reseal(self) -> None:
        while True:
            try:
                count = await self._sweep()
            except Refusal as error:
                self._log.warning("sealing anew waits for the store", code=error.code)
                await self._clock.sleep(AGAIN_S)
            except Exception:  # noqa: BLE001 - the next start goes on, and a stop in order is none of its business
                self._log.exception("sealing anew failed")
                return
            else:
                self._log.info("rows were sealed anew", count=count)
                return

    async def _sweep(self) -> int:
        """All rows once; those that come meanwhile have the new key already. What older keys sealed is overwritten."""
        total = 0
        for seals in self._seals:
            after: int | None = 0
            while after is not None:
                await self._let_pass()
                after, count = await seals.reseal(after)
                total += count
        await self._database.checkpoint(truncate=True)
        return total

    async def _let_pass(self) -> None:
        await self._clock.sleep(PAUSE_S)
        aside_until = self._clock.monotonic() + ASIDE_LIMIT_S
        while self._busy() and self._clock.monotonic() < aside_until:
            await self._clock.sleep(ASIDE_S)
