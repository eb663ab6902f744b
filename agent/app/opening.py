"""Opens a till's data directory: tokens, then the database (put back, checked, migrated, salvaged), then the data keys.

Without data keys the agent still answers and says what is wrong: it is locked then, and neither accepts nor sends.
Called by the composition root, which has taken the directory and the port before.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

from agent import __version__, logs
from agent.clock import Clock
from agent.config import Settings
from agent.datakeys.recovery import Recovery
from agent.datakeys.rotation import remember_newest
from agent.errors import ConfigError, DataKeyError, Refusal, StorageFullError
from agent.flashkeys import FlashKeys
from agent.health import Health
from agent.outbox.completeness import KEPT, lacks
from agent.outbox.till import Till, remember
from agent.rooms import ROOMS
from agent.storage import Database, DataDir, DataKeys, KeyFile, NoSealer, Sealer, Upgrade
from agent.storage.keyfile import CHECK_FACT, NEWEST_FACT
from agent.tokens import Scope, Tokens


class Opened(NamedTuple):
    """What a directory holds, open; `keys` is None where it is locked."""

    tokens: Tokens
    database: Database
    sealer: Sealer
    keys: DataKeys | None

    @property
    def is_locked(self) -> bool:
        """Whether nothing that is sealed can be read or written."""
        return self.keys is None


def upgrade_of(place: DataDir, clock: Clock) -> Upgrade:
    """The upgrade of a data directory, as this version sees it."""
    return Upgrade(place.upgrades, place.database, rooms=ROOMS, kept=KEPT, program=__version__, clock=clock)


class Opening:
    """Opens one directory, once."""

    def __init__(self, settings: Settings, place: DataDir, clock: Clock, health: Health) -> None:
        self._till = Till(settings.store.store_id or "", settings.store.till_id)
        self._place = place
        self._clock = clock
        self._health = health
        self._recovery = Recovery(settings.keys.recovery, place.data_key)
        self._log = logs.get()
        self.key_file = KeyFile(place.data_key, settings.keys.store)
        self.key_file.before_saving = self._recovery.keep
        self.flash_keys = FlashKeys(settings, self.key_file, place.path)
        self.upgrade = upgrade_of(place, clock)

    async def open(self, stack: contextlib.AsyncExitStack, new_database: Callable[[], Database]) -> Opened:
        """All of it; `stack` closes it. Raises ConfigError where the directory cannot be used, or a storage error."""
        try:
            own = {scope: self._place.token(scope.value) for scope in (Scope.REGISTER, Scope.OPERATOR)}
            tokens = Tokens(self._place.client_tokens, own, self._clock, self._health)
            database = new_database()
            self.upgrade.before_opening()
            stack.push_async_callback(database.close)
            await self._open_database(database)
            keys = await self._open_keys(database)
        except OSError as error:
            raise ConfigError(self._place.unusable(error)) from None
        if isinstance(keys, DataKeyError):
            return Opened(tokens, database, NoSealer(keys.detail), None)
        return Opened(tokens, database, Sealer(keys), keys)

    async def _open_database(self, database: Database) -> None:
        was_used = self._place.data_key.exists() and not self.upgrade.made_room
        await database.open(was_used=was_used, lacks=lacks)
        await self.upgrade.migrate(database)
        await self._take_over_damaged(database)
        with contextlib.suppress(Refusal):  # a full disk, say: it is for a rescue alone
            await remember(database, self._till)

    async def _take_over_damaged(self, database: Database) -> None:
        """Salvage what was set aside, now or before an interrupted start; the condition stays until it is removed.

        The newest first: it remembers which older ones were taken over into it, whose states are not to come back.
        """
        for folder in reversed(self._place.quarantined()):
            from agent.outbox.salvage import salvage  # noqa: PLC0415 - hardly ever needed

            taken_over = await salvage(database, folder / database.path.name)
            if taken_over is not None:
                self._log.error("database was damaged", path=str(folder), count=taken_over)
        folders = ", ".join(map(str, self._place.quarantined()))
        if folders:
            self._place.forget_imports()
        self._health.set("database-quarantined", active=bool(folders), detail=f"It is in {folders}.")

    async def _open_keys(self, database: Database) -> DataKeys | DataKeyError:
        """The data keys, or why there are none."""
        rows = await database.fetch("SELECT name, value FROM fact WHERE name IN (?, ?)", [CHECK_FACT, NEWEST_FACT])
        facts: dict[str, bytes] = dict(rows)
        check_value, known = facts.get(CHECK_FACT), facts.get(NEWEST_FACT, b"")
        newest = int(known) if known.isdigit() else 1
        stored = await database.fetch("SELECT 1 FROM operation LIMIT 1")
        is_new = check_value is None and not stored and not self._place.quarantined()
        try:
            keys = await asyncio.to_thread(self.key_file.load_or_create, check_value, may_create=is_new, newest=newest)
        except DataKeyError as error:
            self._health.set("data-key-unavailable", active=True, detail=error.detail)
            self._log.error("the data key is unavailable", error=error.detail)
            return error
        await self._keep_recovery(keys)
        if not self.key_file.is_as_asked:
            self._log.warning("the data key is not protected as asked", state=self.key_file.protected_by)
        self.flash_keys.load()
        if check_value is None:
            await database.fetch("INSERT INTO fact (name, value) VALUES (?, ?)", [CHECK_FACT, keys.check_value])
        if max(keys.sealing) > newest:  # changed, and killed before the database knew
            with contextlib.suppress(StorageFullError):  # the next start tries again
                await remember_newest(database, keys)
        return keys

    async def _keep_recovery(self, keys: DataKeys) -> None:
        try:
            await asyncio.to_thread(self._recovery.keep, keys)
        except OSError as error:  # a full disk, say: the till sells, and the next start tries again
            self._health.set("recovery-key-not-kept", active=True, detail=f"The reason: {error.strerror}.")

    # ---- copies from before an upgrade -----------------------------------------------------------------------------

    def show_upgrade(self) -> None:
        """Raise or clear the condition that an upgrade was put back."""
        put_back = self.upgrade.put_back
        self._health.set("upgrade-rolled-back", active=bool(put_back), detail=put_back)

    async def tidy_upgrade(self) -> None:
        """Remove copies that are old enough, in a thread: registers do not wait for large files to be removed."""
        await asyncio.to_thread(self.upgrade.tidy)
        self.show_upgrade()

    async def forget_copies(self) -> None:
        """Remove them all: a member is to be forgotten."""
        await asyncio.to_thread(self.upgrade.forget)

    def needs_older_keys(self) -> bool:
        """Whether a database that lies elsewhere in the directory may need data keys that this one does not."""
        return bool(self._place.quarantined() or self.upgrade.copies)
