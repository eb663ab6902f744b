"""`forget`: a member asks this till to forget them, and no trace is left on the disk when the answer is given.

Gone are the snapshot and its keys, the sightings, the content of settled operations that name the member (the keys that
were given, and those that the snapshot knows). Operations that are not settled are still sent, then lose their content.
The member at Flash is untouched. Deleted pages are overwritten (secure_delete), the write-ahead log is emptied, all
before the answer; copies of the database from before an upgrade are removed. Damaged databases that were set aside hold
sealed copies; the answer says so.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from agent import logs
from agent.members.lookup import Lookup
from agent.members.snapshot import Key, subjects_of
from agent.members.snapshots import Snapshots
from agent.members.vault import Vault
from agent.outbox import forgetting as outbox
from agent.storage import Database


class Forgotten(msgspec.Struct, frozen=True):
    """How many snapshots and settled operations were erased, and how many operations will be when they are settled."""

    snapshots: int
    operations: int
    owed: int


class Forgetting:
    """Forgets one member at a time."""

    def __init__(
        self,
        database: Database,
        snapshots: Snapshots,
        vault: Vault,
        lookup: Lookup,
        forget_copies: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._snapshots = snapshots
        self._vault = vault
        self._lookup = lookup
        self._forget_copies = forget_copies  # of the whole database
        self._log = logs.get()

    async def forget(self, keys: Sequence[Key]) -> Forgotten:
        """Erase what this till holds of the member whom the keys name."""
        subjects = {self._vault.hash(key.subject) for key in keys}
        for subject in list(subjects):
            snapshot = await self._snapshots.find(subject)
            if snapshot is not None:
                subjects |= {self._vault.hash(each) for each in subjects_of(snapshot.profile)}
        self._lookup.abandon(sorted(subjects))
        # In this order: an enrollment that is confirmed meanwhile is stripped first, or its snapshot is there to erase.
        erased = await outbox.forget(self._database, sorted(subjects))
        snapshots = await self._snapshots.forget(sorted(subjects))
        await self._database.checkpoint(truncate=True)
        await self._forget_copies()
        self._log.info("a member was forgotten", count=snapshots + erased.stripped)
        return Forgotten(snapshots, erased.stripped, erased.owed)
