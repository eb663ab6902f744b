"""The members room as the rest of the agent sees it: look up, forget, keep in step. Built here, in one place."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from agent.clock import Clock
from agent.config import Settings
from agent.flash.client import FlashClient
from agent.flash.reads import Reads
from agent.members.follower import Follower
from agent.members.forgetting import Forgetting, Forgotten
from agent.members.gate import Gate
from agent.members.lookup import Look, Lookup
from agent.members.sightings import MemberSightings
from agent.members.snapshot import Key
from agent.members.snapshots import Snapshots
from agent.members.sync import Progress, Sync
from agent.members.vault import Vault
from agent.outbox.projected import Projected
from agent.outbox.store import Store
from agent.storage import Database, Sealer


class Members:
    """What can be asked of the members room. Fails with the storage's errors, and those of the look-up."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        sealer: Sealer,
        store: Store,
        client: FlashClient,
        *,
        gate: Gate,
        clock: Clock,
        busy: Callable[[], bool],
        forget_copies: Callable[[], Awaitable[None]],
    ) -> None:
        vault = Vault(sealer)
        self.gate = gate
        self._snapshots = Snapshots(database, vault, clock)
        self._projected = Projected(store, sealer, clock, settings.store.currency)
        self._follower = Follower(store, self._snapshots, vault, client)
        reads = Reads(client)
        self._lookup = Lookup(
            snapshots=self._snapshots,
            vault=vault,
            projected=self._projected,
            store=store,
            follower=self._follower,
            reads=reads,
            client=client,
            gate=gate,
            clock=clock,
            options=settings.members,
        )
        self._forgetting = Forgetting(database, self._snapshots, vault, self._lookup, forget_copies)
        self.sync = Sync(
            snapshots=self._snapshots,
            vault=vault,
            reads=reads,
            client=client,
            gate=gate,
            clock=clock,
            options=settings.members,
            busy=lambda: busy() or self._lookup.under_way > 0,
        )
        self.sightings = MemberSightings(database, vault)
        self._follower.enrolled = self._lookup.forget_unknown

    @property
    def counts(self) -> tuple[int, Mapping[str, int]]:
        """How many members are held, and look-ups since the start by the source of their answer."""
        return self._snapshots.count, self._lookup.answered

    async def start(self) -> None:
        """Follow the outbox from now on."""
        await self._snapshots.start()
        self._follower.start()
        self.sync.start()

    async def stop(self) -> None:
        """Stop asking and following."""
        await self.sync.stop()
        await self._lookup.stop()
        await self._follower.stop()
        await self._projected.stop()

    async def by(self, key: Key) -> Look:
        """Look a member up; raises NotFoundError or MemberUnknownError."""
        try:
            return await self._lookup.by(key)
        finally:
            self.sync.schedule()

    async def forget(self, keys: Sequence[Key]) -> Forgotten:
        """Erase what this till holds of a member, before it returns."""
        return await self._forgetting.forget(keys)

    def start_sync(self) -> Progress:
        """Follow the feed of changed members now."""
        return self.sync.run()

    async def sync_state(self) -> tuple[Progress, int, int, str | None]:
        """How following goes: progress, snapshots held, members still to be asked for again, the watermark."""
        return (
            self.sync.progress,
            self._snapshots.count,
            await self._snapshots.count_due(),
            await self.sync.watermark(),
        )
