"""The composition root: builds every part, starts them in order, stops them in reverse, and nothing else.

Order: data directory (one agent each) → port → database (checked, migrated) → data key → outbox → everything else is
built → ready → relay → API. The port is taken before the database is opened, so that a misconfigured second agent
touches nothing. Until `ready` nothing is sent and nothing accepted: what ends a start before it leaves the version
before free to put its database back. Once `start` returns the agent serves, whether Flash can be reached or not.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent import __version__, logs
from agent.api import documents
from agent.api.guard import Guard
from agent.api.loopback import listen_on_loopback
from agent.api.server import Server
from agent.clock import Clock
from agent.config import Settings, wordings_of
from agent.coupons import Sightings
from agent.drill import Drill
from agent.errors import ConfigError, DataKeyError, Refusal
from agent.events import Events
from agent.flash.address import FlashAddress
from agent.flash.client import FlashClient
from agent.flashkeys import FlashKeys
from agent.health import Health
from agent.intake import Intake
from agent.keyswap import KeySwap
from agent.members.gate import Gate
from agent.members.members import Members
from agent.members.resealing import seals_of
from agent.outbox.completeness import KEPT, lacks
from agent.outbox.housekeeping import MAX_SKEW_S, Housekeeping
from agent.outbox.keyguard import KeyGuard
from agent.outbox.line import Line
from agent.outbox.relay import Relay, RelayOptions
from agent.outbox.resealing import OperationSeals
from agent.outbox.store import Store
from agent.outbox.till import Till, remember
from agent.recovery import Recovery
from agent.redeeming import Redeeming
from agent.rooms import ROOMS
from agent.rotation import Rotation
from agent.service import Service
from agent.storage import Database, DataDir, DataKeys, KeyFile, NoSealer, Sealer, Upgrade
from agent.storage.keyfile import CHECK_FACT
from agent.tokens import Scope, Tokens
from agent.unconfirmed import Unconfirmed

if TYPE_CHECKING:
    from agent.spool.spool import Spool


def upgrade_of(data_dir: Path, clock: Clock | None = None) -> Upgrade:
    """The upgrade of a data directory, as this version sees it."""
    place = DataDir(data_dir)
    return Upgrade(place.upgrades, place.database, rooms=ROOMS, kept=KEPT, program=__version__, clock=clock or Clock())


class Agent:
    """One running agent. `port` is where it listens, once started."""

    def __init__(self, settings: Settings, data_dir: Path, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or Clock()
        self._health = Health(self._clock)
        self._data_dir = DataDir(data_dir)
        self._key_file = KeyFile(self._data_dir.data_key, settings.keys.store)
        self._recovery = Recovery(settings.keys.recovery, self._data_dir.data_key)
        self._key_file.before_saving = self._recovery.keep
        self._flash_keys = FlashKeys(settings, self._key_file, data_dir)
        self._upgrade = upgrade_of(data_dir, self._clock)
        self._stack = contextlib.AsyncExitStack()
        self._log = logs.get()
        self.port = settings.api.port

    @property
    def data_dir(self) -> DataDir:
        """Where the agent keeps its things."""
        return self._data_dir

    async def start(self) -> None:
        """Start everything; raises ConfigError (exit code 2) or a storage error, with nothing left running."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop everything that was started, in reverse."""
        await self._stack.aclose()

    async def _start(self) -> None:
        settings, clock, health = self._settings, self._clock, self._health
        self._check_adapters()
        self._take_directory()
        sockets = self._take_port()
        tokens, (database, sealer, keys) = await self._open_directory()
        store = Store(database, sealer, clock)
        await store.start()
        self._stack.push_async_callback(store.stop)
        flash = self._flash_client()
        self._stack.push_async_callback(flash.close)
        line = Line(
            clock,
            max_in_flight=settings.relay.max_in_flight,
            start_delay_s=random.uniform(0, settings.relay.start_jitter_s),  # noqa: S311 - jitter
            hold_probe_s=settings.relay.hold_probe_s,
        )
        drill = Drill(clock, line, health)
        self._stack.callback(drill.close)
        flash.is_cut_off = lambda: drill.is_on
        locked = isinstance(sealer, NoSealer)
        guard = await self._key_guard(store, flash, line, sealer)
        relay = Relay(store, flash, line, clock, self._relay_options(), probe=guard.probe)
        wordings = wordings_of(settings)
        events = Events(
            store, line, health, clock, lambda operation: documents.operation_event(operation, wordings.default)
        )
        gate = Gate(
            line,
            clock,
            shares_key=lambda: flash.reads_with_write_key,
            is_cut_off=lambda: drill.is_on,
            is_verified=lambda: guard.verified,
            found_way=relay.wake,
            asked_to_wait=relay.remember_pause,
        )
        known_members = Members(
            settings,
            database,
            sealer,
            store,
            flash,
            gate=gate,
            clock=clock,
            busy=lambda: relay.cashiers_are_about,
            forget_copies=self._forget_copies,
        )
        sightings = known_members.sightings
        redeeming, unconfirmed = self._counter(
            relay, store=store, line=line, flash=flash, sightings=sightings, gate=gate
        )
        rotation = self._rotation(keys, sealer, database, relay)
        service = Service(
            settings=settings,
            clock=clock,
            health=health,
            database=database,
            store=store,
            intake=Intake(store, sealer, settings, sightings),
            relay=relay,
            line=line,
            flash=flash,
            key_guard=guard,
            drill=drill,
            wordings=wordings,
            events=events,
            redeeming=redeeming,
            unconfirmed=unconfirmed,
            members=known_members,
            tokens=tokens,
            rotation=rotation,
            flash_keys=self._flash_keys,
            key_swap=self._key_swap(store, flash, guard, line=line, gate=gate, sealer=sealer),
        )

        def line_changed() -> None:
            service.observe_line()
            events.touch()

        line.changed = line_changed
        health.changed = events.touch
        events.recount = service.count
        drill.ended = relay.wake
        tokens.revoked = events.end_of
        spool = self._spool(service, relay, flash) if settings.spool.folders and not locked else None
        await service.count()
        if not locked:  # a newer version that cannot open the rows has not got ready
            self._upgrade.ready()
            for part in (rotation, known_members, relay, unconfirmed, service.key_swap):
                await part.start()
                self._stack.push_async_callback(part.stop)
            self._stack.push_async_callback(redeeming.stop)
        self._show_upgrade()
        await self._serve(service, Guard(tokens, settings.api.allowed_origins, self.port), sockets)
        self._stack.push_async_callback(events.stop)
        self._stack.callback(redeeming.release_waiters)
        self._stack.callback(relay.release_waiters)  # before the API, or it waits for its registers' waits
        self._keep_house(database, flash)
        if spool is not None:
            self._stack.push_async_callback(spool.stop)
            await spool.start()
        self._announce()

    def _announce(self) -> None:
        try:
            self._stack.callback(self._data_dir.withdraw)  # first of all at a stop
            self._data_dir.announce(self.port)
        except OSError as error:  # a full disk: registers must hear of it from us, not find nobody
            self._log.warning("could not announce", error=error.strerror)
        self._log.info("started", port=self.port, till=self._settings.store.till_id)

    def _check_adapters(self) -> None:
        """Refuse unknown systems and options before anything is touched; raises ConfigError."""
        settings = self._settings
        if settings.adapters or settings.spool.folders:
            from agent.adapters import registry  # noqa: PLC0415 - hardly any till has them

            registry.check(settings.adapters, settings.spool.folders)
        for name, folder in settings.spool.folders.items():
            if folder.resolve().is_relative_to(self._data_dir.path.resolve()):
                mend = "The agent would take its own files for documents. Choose a folder outside."
                raise ConfigError(f"[spool.folders] {name} lies in the data directory. {mend}")

    def _take_directory(self) -> None:
        self._data_dir.take()
        self._stack.callback(self._data_dir.release)
        if not self._data_dir.is_restricted:
            self._log.warning("the data directory could not be closed to others", path=str(self._data_dir.path))

    def _relay_options(self) -> RelayOptions:
        relay = self._settings.relay
        return RelayOptions(relay.max_in_flight, relay.batch_size, relay.order_wait_h)

    async def _key_guard(self, store: Store, flash: FlashClient, line: Line, sealer: Sealer) -> KeyGuard:
        """Nothing is sent with a new key before Flash has shown this till's store under it."""
        locked = isinstance(sealer, NoSealer)
        key = None if locked else self._flash_keys.get("write")
        key_hash = sealer.hash(f"key:{key.get_secret_value()}") if key else None
        guard = KeyGuard(store, flash, self._health, key_hash=key_hash, store_id=self._settings.store.store_id)
        if not locked:
            await guard.start()
        if not guard.verified:
            line.hold_key(probe_now=True)
        return guard

    def _counter(
        self, relay: Relay, *, store: Store, line: Line, flash: FlashClient, sightings: Sightings, gate: Gate
    ) -> tuple[Redeeming, Unconfirmed]:
        """Redemptions: those that registers wait for, and what their waits' ends left open."""
        settings, clock = self._settings, self._clock
        redeeming = Redeeming(
            store.redemptions,
            relay=relay,
            line=line,
            flash=flash,
            clock=clock,
            settings=settings,
            sightings=sightings,
        )
        unconfirmed = Unconfirmed(
            redeeming,
            flash=flash,
            line=line,
            clock=clock,
            health=self._health,
            sightings=sightings,
            gate=gate,
            key_age_h=settings.coupons.key_age_h,
        )
        redeeming.left_open = unconfirmed.wake
        return redeeming, unconfirmed

    async def _open_directory(self) -> tuple[Tokens, tuple[Database, Sealer, DataKeys | None]]:
        try:
            own = {scope: self._data_dir.token(scope.value) for scope in (Scope.REGISTER, Scope.OPERATOR)}
            tokens = Tokens(self._data_dir.client_tokens, own, self._clock, self._health)
            return tokens, await self._open_storage()
        except OSError as error:
            raise ConfigError(self._data_dir.unusable(error)) from None

    async def _open_storage(self) -> tuple[Database, Sealer, DataKeys | None]:
        database = self._database()
        self._upgrade.before_opening()
        self._stack.push_async_callback(database.close)
        was_used = self._data_dir.data_key.exists() and not self._upgrade.made_room
        await database.open(was_used=was_used, lacks=lacks)
        await self._upgrade.migrate(database)
        await self._take_over_damaged(database)
        with contextlib.suppress(Refusal):  # a full disk, say: it is for a rescue alone
            store = self._settings.store
            await remember(database, Till(store.store_id or "", store.till_id))
        keys = await self._open_keys(database)
        if isinstance(keys, DataKeyError):
            return database, NoSealer(keys.detail), None
        return database, Sealer(keys), keys

    def _show_upgrade(self) -> None:
        put_back = self._upgrade.put_back
        self._health.set("upgrade-rolled-back", active=bool(put_back), detail=put_back)

    async def _tidy_upgrade(self) -> None:
        await asyncio.to_thread(self._upgrade.tidy)  # registers do not wait for large files to be removed
        self._show_upgrade()

    async def _forget_copies(self) -> None:
        await asyncio.to_thread(self._upgrade.forget)

    def _database(self) -> Database:
        return Database(self._data_dir.database, self._data_dir.quarantine, self._health)

    async def _take_over_damaged(self, database: Database) -> None:
        """Salvage what was set aside, now or before an interrupted start; the condition stays until it is removed.

        The newest first: it remembers which older ones were taken over into it, whose states are not to come back.
        """
        for folder in reversed(self._data_dir.quarantined()):
            from agent.outbox.salvage import salvage  # noqa: PLC0415 - hardly ever needed

            taken_over = await salvage(database, folder / database.path.name)
            if taken_over is not None:
                self._log.error("database was damaged", path=str(folder), count=taken_over)
        folders = ", ".join(map(str, self._data_dir.quarantined()))
        if folders:
            self._data_dir.forget_imports()
        self._health.set("database-quarantined", active=bool(folders), detail=f"It is in {folders}.")

    async def _open_keys(self, database: Database) -> DataKeys | DataKeyError:
        """The data keys, or why there are none: the agent then still answers, and says what is wrong."""
        rows = await database.fetch("SELECT value FROM fact WHERE name = ?", [CHECK_FACT])
        check_value = rows[0][0] if rows else None
        stored = await database.fetch("SELECT 1 FROM operation LIMIT 1")
        is_new = check_value is None and not stored and not self._data_dir.quarantined()
        try:
            keys = await asyncio.to_thread(self._key_file.load_or_create, check_value, may_create=is_new)
        except DataKeyError as error:
            self._health.set("data-key-unavailable", active=True, detail=error.detail)
            self._log.error("the data key is unavailable", error=error.detail)
            return error
        await self._keep_recovery(keys)
        if not self._key_file.is_as_asked:
            self._log.warning("the data key is not protected as asked", state=self._key_file.protected_by)
        self._flash_keys.load()
        if check_value is None:
            await database.fetch("INSERT INTO fact (name, value) VALUES (?, ?)", [CHECK_FACT, keys.check_value])
        return keys

    async def _keep_recovery(self, keys: DataKeys) -> None:
        try:
            await asyncio.to_thread(self._recovery.keep, keys)
        except OSError as error:  # a full disk, say: the till sells, and the next start tries again
            self._health.set("recovery-key-not-kept", active=True, detail=f"The reason: {error.strerror}.")

    def _rotation(self, keys: DataKeys | None, sealer: Sealer, database: Database, relay: Relay) -> Rotation:
        return Rotation(
            keys,
            sealer,
            database,
            [OperationSeals(database, sealer), *seals_of(database, sealer)],
            self._clock,
            save=self._key_file.save,
            needed_elsewhere=lambda: bool(self._data_dir.quarantined() or self._upgrade.copies),
            busy=lambda: relay.cashiers_are_about,
        )

    def _key_swap(
        self, store: Store, flash: FlashClient, guard: KeyGuard, *, line: Line, gate: Gate, sealer: Sealer
    ) -> KeySwap:
        return KeySwap(
            store,
            flash,
            self._flash_keys,
            guard,
            line=line,
            gate=gate,
            health=self._health,
            clock=self._clock,
            hash_of=sealer.hash,
            store_id=self._settings.store.store_id,
            pause_s=self._settings.relay.hold_probe_s,
        )

    def _flash_client(self) -> FlashClient:
        flash, store = self._settings.flash, self._settings.store
        address = FlashAddress(
            base_url=flash.base_url,
            till=store.till_id,
            attempt_timeout_s=flash.attempt_timeout_s,
            proxy=flash.proxy.get_secret_value() if flash.proxy else None,
            ca_file=str(flash.ca_file) if flash.ca_file else None,
            connections=self._settings.relay.max_in_flight,
        )
        return FlashClient(
            address, self._clock, write_key=self._flash_keys.get("write"), read_key=self._flash_keys.get("read")
        )

    async def _serve(self, service: Service, guard: Guard, sockets: Sequence[socket.socket]) -> None:
        api = self._settings.api
        server = Server(
            service,
            guard,
            sockets,
            open_metrics=api.open_metrics,
            max_body_bytes=api.max_body_bytes,
            max_connections=api.max_connections,
        )
        self._stack.push_async_callback(server.stop)
        await server.start()

    def _take_port(self) -> list[socket.socket]:
        sockets = listen_on_loopback(self._settings.api.port)
        for taken in sockets:
            self._stack.callback(taken.close)
        self.port = sockets[0].getsockname()[1]
        self._health.set("loopback-partial", active=len(sockets) < 2)
        return sockets

    def _spool(self, service: Service, relay: Relay, flash: FlashClient) -> "Spool":
        from agent.spool.spool import Spool  # noqa: PLC0415 - hardly any till has one

        def clock_is_right() -> bool:
            skew_s = flash.clock_skew_s
            return skew_s is not None and abs(skew_s) < MAX_SKEW_S

        spool = Spool(
            self._settings.spool,
            service.importing,
            self._health,
            self._clock,
            busy=lambda: relay.cashiers_are_about,
            clock_is_right=clock_is_right,
        )
        service.spooled = spool.states
        return spool

    def _keep_house(self, database: Database, flash: FlashClient) -> None:
        kept = self._settings.storage
        house = Housekeeping(
            database,
            self._clock,
            self._health,
            skew_s=lambda: flash.clock_skew_s,
            retention_days=kept.retention_days,
            tombstone_days=kept.tombstone_days,
            tidy=self._tidy_upgrade,
        )
        house.start()
        self._stack.push_async_callback(house.stop)
