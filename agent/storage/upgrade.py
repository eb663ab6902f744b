"""The way from one version's schema to the next one's, and back where the next one never gets ready.

Before a database that is used is migrated, it is counted and copied (`upgrades/`, beside it); then all rooms are
migrated and counted again in one transaction. From then on, until this program is `ready`, nothing is accepted and
nothing sent: so the copy stays the truth, and whichever program starts next may put it back. The one from before does
so by itself. Once the new one has been ready there is no way back, and the one from before refuses to start.

Putting back is renames alone, which a full disk allows, each durable before the next:

    agent.db → upgrades/newer-SNAPSHOT     no database, and the upgrade has not ended: go on here
    agent.db-wal → …-wal                   so that no log meets the other database
    upgrades/SNAPSHOT → agent.db           no snapshot: it is done

Copies go KEPT_DAYS after the upgrade ended, and at once when a member is to be forgotten.
"""

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from agent.clock import Clock
from agent.errors import ConfigError, Refusal, StorageUnavailableError
from agent.storage import migrations
from agent.storage import upgrade_record as records
from agent.storage.copying import copy_of, figures_of_copy, look_at, needed_bytes
from agent.storage.database import Database
from agent.storage.durable import remove_patiently, replace_patiently, sync_folder
from agent.storage.figures import Figures, differences, figures_of
from agent.storage.mark import Mark
from agent.storage.migrations import Rooms
from agent.storage.upgrade_record import Record, Version

KEPT_DAYS = 7
_MIB = 1024 * 1024
_NEWER = "newer-"
_FILES = ("", "-wal", "-journal", "-shm")


class Upgrade:
    """The upgrade of one data directory, as this program sees it; used by the agent that has the directory.

    In this order: `before_opening`, `migrate`, `ready`. `kept`: the SELECTs whose answers a migration may not change.
    """

    def __init__(
        self, folder: Path, database: Path, *, rooms: Rooms, kept: Mapping[str, str], program: str, clock: Clock
    ) -> None:
        self._folder = folder
        self._database = database
        self._clock = clock
        self._rooms = rooms
        self._kept = kept
        self._own = Version(program, migrations.newest(rooms))
        self._file = records.path_in(folder)
        self._record: Record | None = None
        self.made_room = False  # there is no database, and that is no damage

    # ---- on the way up -------------------------------------------------------------------------------------------

    def before_opening(self) -> None:
        """Where an upgrade has not come to its end, put back what was there before; raises ConfigError or OSError.

        Unless the database is as this program knows it: then it goes on with it.
        """
        record = self._record = records.read(self._file)
        if record is None or record.phase != "begun" or record.former is None:
            return
        snapshot = self._snapshot(record)
        found = look_at(self._database)
        if found == self._own.schema and found != record.former.schema:
            return
        if record.anew and found != record.former.schema:
            self._set_aside(f"{self._clock.now():%Y%m%dT%H%M%SZ}.db", (*_FILES, "-mark"))
            self.made_room = True
            self._end(record)
            return
        if snapshot is None:  # it was put back, and could not be said; or somebody took the copy away
            if found == record.former.schema:
                self._end(record)
            return
        if found == record.former.schema:  # the migration never came to its end
            remove_patiently(snapshot)
            sync_folder(self._folder)
        else:
            self._check_copy(record, snapshot)
            self._put_back(snapshot)
        self._end(record)

    def _check_copy(self, record: Record, snapshot: Path) -> None:
        """The copy is what it was, and nothing was accepted since: neither should ever be otherwise."""
        highest = record.figures.get("highest number", [[None]])[0][0]
        why = ""
        if record.former is None or look_at(snapshot, is_copy=True) != record.former.schema:
            why = f"the copy from before, {snapshot}, is damaged"
        elif highest is not None and Mark(self._database.with_name(self._database.name + "-mark")).read() > highest:
            why = "something was accepted since"
        if why:
            raise ConfigError(
                f"The upgrade to version {record.to.program} did not end, and {why}. Install that version again, or "
                "send the data directory to support; nothing was changed."
            )

    def _put_back(self, snapshot: Path) -> None:
        self._set_aside(snapshot.name, _FILES)
        replace_patiently(snapshot, self._database)
        sync_folder(self._database.parent)
        sync_folder(self._folder)

    def _set_aside(self, name: str, suffixes: Sequence[str]) -> None:
        """Move the database away, then what belongs to it, each durable before the next."""
        for suffix in suffixes:
            file = self._database.with_name(self._database.name + suffix)
            if file.exists():
                replace_patiently(file, self._folder / f"{_NEWER}{name}{suffix}")
                sync_folder(self._folder)
                sync_folder(self._database.parent)

    def _end(self, record: Record) -> None:
        """It was put back. Said as well as can be: without room for that, that the copy has gone says as much."""
        self._say(replace(record, phase="put-back", snapshot=None, anew=False, at=self._now()))

    async def migrate(self, database: Database) -> None:
        """Bring the database up to this program's schema; raises ConfigError, and then nothing was changed."""
        have = await database.visit(migrations.stored)
        if migrations.is_newer(have, self._own.schema):
            raise ConfigError(self._refusal(have))
        if have == self._own.schema:
            return
        if not have:  # a new one: nothing in it is to be kept
            self._begin_anew()
            await database.visit(lambda inner: migrations.run(inner, self._rooms, self._kept))
            return
        try:
            before = await self._begin(database, have)
            await database.visit(lambda inner: migrations.run(inner, self._rooms, self._kept, before))
        except (ConfigError, Refusal, OSError) as error:
            raise ConfigError(f"{self._failure(error)} Nothing was changed; {self._former} starts as before.") from None

    def _begin_anew(self) -> None:
        """Where the version before had a database, which was set aside now, it goes back to a new one of its own."""
        last = self._record.last_ready if self._record else None
        if last is not None and migrations.is_newer(self._own.schema, last.schema):
            with contextlib.suppress(OSError):  # on a full disk there is none
                self._write(Record("begun", self._own, self._now(), last, anew=True))

    async def _begin(self, database: Database, have: dict[str, int]) -> Figures:
        """Count and copy; what was counted. Both are on the disk when it returns."""
        folder = self._folder
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)
        self._remove_copies()
        needed, free = await database.visit(needed_bytes), database.free_bytes()
        if free < needed:
            raise ConfigError(
                f"It needs {needed // _MIB + 1} MiB free on the disk of {folder.parent}, and {free // _MIB} MiB are "
                "free. Free space and start again"
            )
        before = await database.visit(lambda inner: figures_of(inner, self._kept))
        snapshot = folder / f"{self._clock.now():%Y%m%dT%H%M%SZ}.db"
        await database.visit(lambda inner: copy_of(inner, snapshot))
        if differences(before, figures_of_copy(snapshot, self._kept), ()):
            raise ConfigError("The copy of the database is not what was copied: the disk may be failing")
        last = self._record.last_ready if self._record else None
        former = Version(last.program if last else "", have)
        self._write(Record("begun", self._own, self._now(), former, snapshot.name, before))
        return before

    def ready(self) -> None:
        """This program listens; from the next moment on it accepts and sends. Raises ConfigError where the word cannot
        be written that an upgrade has come to its end.
        """
        record = self._record
        if record is not None and record.phase == "begun":
            try:
                self._write(replace(record, phase="ready", to=self._own, anew=False, at=self._now()))
            except OSError as error:
                raise ConfigError(f"{self._failure(error)} Nothing is lost; {self._former} starts as before.") from None
        elif record is None or (record.phase == "ready" and record.to != self._own):
            snapshot = record.snapshot if record else None
            self._say(Record("ready", self._own, record.at if snapshot and record else self._now(), snapshot=snapshot))

    # ---- what others want to know --------------------------------------------------------------------------------

    @property
    def put_back(self) -> str:
        """Of an upgrade that was put back: which version, and when; empty where there was none."""
        record = self._record
        if record is None or record.phase != "put-back":
            return ""
        return f"It was version {record.to.program}, at {record.at}; version {self._own.program} runs."

    def check(self) -> tuple[bool, str]:
        """Whether this program can start, as far as the record knows, and what it would do; for who has no lock."""
        record = self._record = records.read(self._file)
        can = f"Version {self._own.program} can start"
        if record is None:
            return True, f"{can}; nothing is known of a version before."
        last = record.last_ready
        if migrations.is_newer(record.to.schema, self._own.schema):
            if record.phase == "ready":
                return False, self._refusal(record.to.schema)
            if record.phase == "begun":
                return True, f"{can}: it puts back what was there before version {record.to.program}, which did not."
        if last is not None and last.schema != self._own.schema:
            return True, f"{can}: it upgrades the database, of which it keeps a copy."
        return True, f"{can}."

    @property
    def copies(self) -> list[Path]:
        """The databases that lie in the folder, with their logs."""
        with contextlib.suppress(FileNotFoundError):
            return sorted(file for file in self._folder.iterdir() if ".db" in file.name)
        return []

    # ---- copies go -----------------------------------------------------------------------------------------------

    def tidy(self) -> None:
        """Remove copies whose time is over, and those that no record names; not while the upgrade is under way."""
        record = self._record
        if record is None or record.phase == "begun" or not (self.copies or record.phase == "put-back"):
            return
        age = self._clock.now() - datetime.fromisoformat(record.at)
        if timedelta(days=-1) < age < timedelta(days=KEPT_DAYS):  # one from the future has no age
            return
        self.forget()
        if record.phase == "put-back":
            self._say(Record("ready", record.last_ready or self._own, record.at))

    def forget(self) -> None:
        """Remove all copies now; raises StorageUnavailableError. To be called once this program is ready."""
        record = self._record
        try:
            self._remove_copies()
        except OSError as error:
            raise StorageUnavailableError(
                f"Copies of the database in {self._folder} cannot be removed: {error.strerror}.",
                stored=True,
                retry_after_s=30,
            ) from None
        if record is not None and record.snapshot is not None:
            self._say(replace(record, snapshot=None))

    def _remove_copies(self) -> None:
        for file in self.copies:
            remove_patiently(file)
        if self._folder.exists():
            sync_folder(self._folder)

    # ---- words and files -----------------------------------------------------------------------------------------

    def _snapshot(self, record: Record) -> Path | None:
        if record.snapshot is None or not (self._folder / record.snapshot).exists():
            return None
        return self._folder / record.snapshot

    def _write(self, record: Record) -> None:
        records.write(self._file, record)
        self._record = record

    def _say(self, record: Record) -> None:
        self._record = record
        with contextlib.suppress(OSError):
            records.write(self._file, record)

    @property
    def _former(self) -> str:
        record = self._record
        known = record.former if record and record.phase == "begun" else record.last_ready if record else None
        return f"version {known.program}" if known and known.program else "the version before"

    def _refusal(self, have: Mapping[str, int]) -> str:
        record = self._record
        to = f"version {record.to.program}, or a newer one," if record and record.to.schema == have else "that version"
        schema = ", ".join(f"{room} {number}" for room, number in sorted(have.items()))
        return (
            f"The database was written by a newer version of the agent (its schema: {schema}), and version "
            f"{self._own.program} cannot read it. Install {to} again; nothing was changed."
        )

    def _failure(self, error: Exception) -> str:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return f"The database cannot be upgraded for version {self._own.program}. {(why or 'It failed').rstrip('.')}."

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="seconds")
