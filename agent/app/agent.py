"""The composition root: builds every part, starts them in order, stops them in reverse, and nothing else.

Order: data directory (one agent each) → port → database (checked, migrated) → data key → outbox → everything else is
built → ready → relay → API. The port is taken before the database is opened, so that a misconfigured second agent
touches nothing. Until `ready` nothing is sent and nothing accepted: what ends a start before it leaves the version
before free to put its database back. Once `start` returns the agent serves, whether Flash can be reached or not.

What is opened stands in `opening.py`, what each part is given in `wiring.py`.
"""

import contextlib
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agent import logs
from agent.api.guard import Guard
from agent.api.loopback import listen_on_loopback
from agent.api.server import Server
from agent.app import opening
from agent.app.opening import Opened, Opening
from agent.app.wiring import Wiring, flash_client
from agent.clock import Clock
from agent.config import Settings
from agent.errors import ConfigError
from agent.flash.client import FlashClient
from agent.health import Health
from agent.outbox.housekeeping import MAX_SKEW_S, Housekeeping
from agent.outbox.store import Store
from agent.service.parts import Parts
from agent.service.service import Service
from agent.storage import Database, DataDir, Upgrade

if TYPE_CHECKING:
    from agent.spool.spool import Spool


def upgrade_of(data_dir: Path) -> Upgrade:
    """The upgrade of a data directory, as this version sees it."""
    return opening.upgrade_of(DataDir(data_dir), Clock())


class Agent:
    """One running agent. `port` is where it listens, once started."""

    def __init__(self, settings: Settings, data_dir: Path, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or Clock()
        self._health = Health(self._clock)
        self._data_dir = DataDir(data_dir)
        self._opening = Opening(settings, self._data_dir, self._clock, self._health)
        self._upgrade = self._opening.upgrade
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
        self._check_adapters()
        self._take_directory()
        sockets = self._take_port()
        opened = await self._opening.open(self._stack, self._database)
        parts = await self._build(opened)
        service = Service(self._settings, self._clock, self._health, parts)
        self._introduce(parts, service)
        spool = None if opened.is_locked else self._spool(parts, service)
        await service.count()
        if not opened.is_locked:  # a newer version that cannot open the rows has not got ready
            self._upgrade.ready()
            await self._begin(parts)
        self._opening.show_upgrade()
        await self._serve(service, Guard(parts.tokens, self._settings.api.allowed_origins, self.port), sockets)
        self._answer_first_at_a_stop(parts)
        self._keep_house(parts)
        if spool is not None:
            self._stack.push_async_callback(spool.stop)
            await spool.start()
        self._announce()

    # ---- before anything is touched --------------------------------------------------------------------------------

    def _check_adapters(self) -> None:
        """Refuse unknown systems and options; raises ConfigError."""
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

    def _take_port(self) -> list[socket.socket]:
        sockets = listen_on_loopback(self._settings.api.port)
        for taken in sockets:
            self._stack.callback(taken.close)
        self.port = sockets[0].getsockname()[1]
        self._health.set("loopback-partial", active=len(sockets) < 2)
        return sockets

    # ---- building --------------------------------------------------------------------------------------------------

    def _database(self) -> Database:
        return Database(self._data_dir.database, self._data_dir.quarantine, self._health)

    def _flash_client(self) -> FlashClient:
        return flash_client(self._settings, self._clock, self._opening.flash_keys)

    async def _build(self, opened: Opened) -> Parts:
        store = Store(opened.database, opened.sealer, self._clock)
        await store.start()
        self._stack.push_async_callback(store.stop)
        flash = self._flash_client()
        self._stack.push_async_callback(flash.close)
        wiring = Wiring(
            self._settings,
            self._clock,
            self._health,
            opening=self._opening,
            opened=opened,
            store=store,
            flash=flash,
        )
        parts = await wiring.parts()
        self._stack.callback(parts.drill.close)
        return parts

    def _introduce(self, parts: Parts, service: Service) -> None:
        """Who tells whom, against the order in which they were built."""

        def line_changed() -> None:
            service.observe_line()
            parts.events.touch()

        parts.line.changed = line_changed
        self._health.changed = parts.events.touch
        parts.events.recount = service.count
        parts.drill.ended = parts.relay.wake
        parts.tokens.revoked = parts.events.end_of
        parts.key_swap.swapped = service.keys_changed

    def _spool(self, parts: Parts, service: Service) -> "Spool | None":
        if not self._settings.spool.folders:
            return None
        from agent.spool.spool import Spool  # noqa: PLC0415 - hardly any till has one

        def clock_is_right() -> bool:
            skew_s = parts.flash.clock_skew_s
            return skew_s is not None and abs(skew_s) < MAX_SKEW_S

        spool = Spool(
            self._settings.spool,
            service.importing,
            self._health,
            self._clock,
            busy=lambda: parts.relay.cashiers_are_about,
            clock_is_right=clock_is_right,
        )
        service.spooled = spool.states
        return spool

    # ---- from now on it is sent and served -------------------------------------------------------------------------

    async def _begin(self, parts: Parts) -> None:
        for part in (parts.rotation, parts.members, parts.relay, parts.unconfirmed, parts.key_swap):
            await part.start()
            self._stack.push_async_callback(part.stop)
        self._stack.push_async_callback(parts.redeeming.stop)

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

    def _answer_first_at_a_stop(self, parts: Parts) -> None:
        """Before the API stops, or it would wait for its registers' waits."""
        self._stack.push_async_callback(parts.events.stop)
        self._stack.callback(parts.redeeming.release_waiters)
        self._stack.callback(parts.relay.release_waiters)

    def _keep_house(self, parts: Parts) -> None:
        kept = self._settings.storage
        house = Housekeeping(
            parts.database,
            self._clock,
            self._health,
            skew_s=lambda: parts.flash.clock_skew_s,
            retention_days=kept.retention_days,
            tombstone_days=kept.tombstone_days,
            tidy=self._opening.tidy_upgrade,
        )
        house.start()
        self._stack.push_async_callback(house.stop)

    def _announce(self) -> None:
        try:
            self._stack.callback(self._data_dir.withdraw)  # first of all at a stop
            self._data_dir.announce(self.port, _began_s())
        except OSError as error:  # a full disk: registers must hear of it from us, not find nobody
            self._log.warning("could not announce", error=error.strerror)
        self._log.info("started", port=self.port, till=self._settings.store.till_id)


def _began_s() -> float | None:
    """When this process began, as Windows notes it; None elsewhere, where the commands do not ask."""
    if sys.platform == "win32":
        import psutil  # noqa: PLC0415 - there alone

        with contextlib.suppress(psutil.Error):
            return psutil.Process().create_time()
    return None
