"""A store that fails for a moment: what was in hand goes on when it is well again."""

import asyncio

from agent import jsons, outbox
from agent.clock import Clock
from agent.delivery import Contact, Fate, Kind, Outcome
from agent.errors import StorageUnavailableError
from agent.health import Health
from agent.outbox.line import Line
from agent.outbox.operation import Content, Draft
from agent.outbox.relay import Relay, RelayOptions
from agent.outbox.store import Store
from agent.storage import Database, Sealer, load_or_create_keys
from agent.storage.migrations import migrate


class FailingStore(Store):
    """Claims of sales fail once after the first look, as one does after an I/O error."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self.looked, self.failed = asyncio.Event(), asyncio.Event()

    async def claim(self, kind, limit, *, fresh):
        if kind is Kind.SALE and self.looked.is_set() and not self.failed.is_set():
            self.failed.set()
            raise StorageUnavailableError("The database cannot be used now.", stored=True, retry_after_s=5)
        return await super().claim(kind, limit, fresh=fresh)

    async def next_due(self):
        self.looked.set()
        return await super().next_due()


class Flash:
    """A Sender that is always well."""

    def __init__(self):
        self.sent = asyncio.Event()

    async def send(self, parcel):
        self.sent.set()
        return Outcome(Fate.SUCCEEDED, Contact.ANSWERED, result={"awarded": 1})

    async def send_batch(self, parcels):
        return [await self.send(parcel) for parcel in parcels]

    async def probe(self, *, write_key):
        return Outcome(Fate.SUCCEEDED, Contact.ANSWERED)

    async def shows_store(self, store_id):
        return True


async def test_a_sale_that_could_not_be_taken_in_hand_is_not_forgotten(tmp_path):
    """Whatever wakes the relay next: here a refund, after which it need not look at sales."""
    clock = Clock()
    database = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(clock))
    await database.open()
    await migrate(database, "outbox", outbox.MIGRATIONS)
    store = FailingStore(database, Sealer(load_or_create_keys(tmp_path / "data.key", None)), clock)
    await store.start()
    line = Line(clock, max_in_flight=8, start_delay_s=0, hold_probe_s=60)
    flash = Flash()
    relay = Relay(store, flash, line, clock, RelayOptions())
    content = Content({"totalAmount": "9"}, "/orders", jsons.raw({}), "sale-1")
    await relay.start()
    try:
        async with asyncio.timeout(30):
            await store.looked.wait()
            await store.accept(Draft(Kind.SALE, "order:1", content, "9"))
            relay.wake(Kind.SALE)
            await store.failed.wait()
            relay.wake(Kind.REFUND)
            await flash.sent.wait()
    finally:
        await relay.stop()
        await store.stop()
        await database.close()
