"""Reads what a dead till's outbox still holds, out of a copy of its data directory."""

import secrets
from collections.abc import Callable
from pathlib import Path

from agent import __version__
from agent.clock import Clock, rfc3339, to_ms
from agent.datakeys.recovery import path_beside, reveal
from agent.errors import AgentError, DataKeyError
from agent.health import Health
from agent.outbox.completeness import KEPT, lacks
from agent.outbox.left import Hashes, Left, unsettled
from agent.outbox.rows import Rows
from agent.outbox.salvage import salvage
from agent.outbox.till import Till, recall
from agent.rescue import natural
from agent.rescue.travelling import FORMAT, VERSION, Rescue
from agent.rooms import ROOMS
from agent.storage import Database, DataDir, DataKeys, Sealer, Upgrade
from agent.storage.keyfile import CHECK_FACT, read_keys
from agent.storage.migrations import is_newer, migrate, newest, stored

MAX_NAMED = 20


class Keys:
    """The ways to a dead till's data keys, tried in turn: `data.key`, with a credential or not; the recovery file."""

    def __init__(self, data_dir: DataDir, *, credential: Path | None, identity: str | None) -> None:
        self._data_key = data_dir.data_key
        self._credential = credential
        self._identity = identity
        self.opened_by = ""

    def open(self, check_value: bytes | None) -> DataKeys:
        """Those that sealed the database; raises DataKeyError saying what each way came to."""
        faults: list[str] = []
        for name, way in self._ways():
            try:
                keys = way()
            except AgentError as fault:
                faults.append(str(fault))
                continue
            if check_value is None or secrets.compare_digest(keys.check_value, check_value):
                self.opened_by = name
                return keys
            faults.append(f"{name} is not the key that sealed this database.")
        if self._identity is None and path_beside(self._data_key).exists():
            faults.append("There is a data.key.recovery: give the identity that opens it with --identity FILE.")
        raise DataKeyError(" ".join(faults))

    def _ways(self) -> list[tuple[str, Callable[[], DataKeys]]]:
        ways: list[tuple[str, Callable[[], DataKeys]]] = [
            (self._data_key.name, lambda: read_keys(self._data_key, self._credential))
        ]
        if (identity := self._identity) is not None:
            recovery = path_beside(self._data_key)
            ways.append((recovery.name, lambda: reveal(recovery, identity)))
        return ways


async def read(copy: DataDir, keys: Keys, named: Till | None) -> Rescue:
    """What is left; `named` is the till where its operator says it. Raises AgentErrors that say what is missing."""
    clock = Clock()
    database = Database(copy.database, copy.quarantine, Health(clock))
    try:
        Upgrade(  # a till may die in an upgrade; the database from before it then counts
            copy.upgrades, copy.database, rooms=ROOMS, kept=KEPT, program=__version__, clock=clock
        ).before_opening()
        missing = await _open(database, copy)
        rows = await database.fetch("SELECT value FROM fact WHERE name = ?", [CHECK_FACT])
        opened = keys.open(rows[0][0] if rows else None)
        till = named or await recall(database)
        if till is None:
            raise AgentError("This disk does not say which till it is of; name it: --till-id NAME and --store-id ID.")
        return await _read(database, opened, till, missing, made=rfc3339(to_ms(clock.now())) or "")
    finally:
        await database.close()


async def _open(database: Database, copy: DataDir) -> list[str]:
    """Open as a start does, damage and all; returns what a person must know."""
    await database.open(was_used=True, lacks=lacks)
    if is_newer(await database.visit(stored), newest(ROOMS)):
        raise AgentError("This disk was written by a newer version of the agent: rescue it with that version.")
    for room, folder in ROOMS.items():
        await migrate(database, room, folder)
    missing = []
    for folder in reversed(copy.quarantined()):
        count = await salvage(database, folder / copy.database.name)
        if count is not None:
            reason = folder / "reason.txt"
            why = reason.read_text("utf-8") if reason.exists() else "it was not said why"
            missing.append(f"A database was damaged ({why}); {count} of its operations could be read.")
    return missing


async def _read(database: Database, keys: DataKeys, till: Till, missing: list[str], *, made: str) -> Rescue:
    sealer = Sealer(keys)
    found: list[Left] = []
    unreadable: list[str] = []
    renamed = 0
    async for each in unsettled(database, Rows(sealer)):
        if isinstance(each, str):
            unreadable.append(each)
        elif not _is_sound(each[0]):
            unreadable.append(each[0].id)
        else:
            left, hashes = each
            found.append(left)
            renamed += not _is_known_by(left, hashes, till, sealer)
    if unreadable:
        ids = ", ".join(unreadable[:MAX_NAMED]) + (", …" if len(unreadable) > MAX_NAMED else "")
        missing.append(f"Operations whose content cannot be read any more: {len(unreadable)} ({ids}).")
    if renamed:
        missing.append(
            f"Operations of a time when this till had another name: {renamed}. They are delivered all the same, but a "
            "repeat of one is recognised by Flash alone."
        )
    return Rescue(FORMAT, VERSION, made, __version__, till, keys.check_value.hex(), found, missing)


def _is_sound(left: Left) -> bool:
    """Whether another till will take it."""
    try:
        natural.check(left)
        natural.natural_of(left, natural.till_of(left, Till("", "")))
    except natural.UNSOUND:
        return False
    return True


def _is_known_by(left: Left, hashes: Hashes, till: Till, sealer: Sealer) -> bool:
    """Whether the natural key that another till will make of it is the one that this till had."""
    if left.content.rescued_from:
        return True  # of a till before this one
    named = natural.natural_of(left, till)
    return sealer.hash(named.scope) == hashes.scope and (sealer.hash(named.item) if named.item else b"") == hashes.item
