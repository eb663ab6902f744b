"""A store that fails for a moment: what was in hand goes on when it is well again."""

import asyncio
import contextlib

import pytest

from agent import jsons, outbox
from agent.adapters.base import Site, make
from agent.clock import Clock
from agent.delivery import Contact, Fate, Kind, Outcome
from agent.errors import StorageUnavailableError
from agent.health import Health
from agent.importing import Importing
from agent.intake import Intake
from agent.model import Refund, Sale
from agent.outbox.line import Line
from agent.outbox.operation import Content, Draft
from agent.outbox.relay import Relay, RelayOptions
from agent.outbox.state import Status
from agent.outbox.store import Store
from agent.storage import Database, KeyFile, Sealer
from agent.storage.connection import Connection
from agent.storage.migrations import migrate
from tests.support.agents import settings, until
from tests.support.redeeming import NoSightings


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
        self.sent, self.keys = asyncio.Event(), []

    async def send(self, parcel):
        self.sent.set()
        self.keys.append(parcel.key)
        return Outcome(Fate.SUCCEEDED, Contact.ANSWERED, result={"awarded": 1})

    async def send_batch(self, parcels):
        return [await self.send(parcel) for parcel in parcels]

    async def probe(self, *, write_key):
        return Outcome(Fate.SUCCEEDED, Contact.ANSWERED)

    async def shows_store(self, store_id):
        return True


@contextlib.asynccontextmanager
async def started(kind, tmp_path, clock=None, connection=Connection):
    """A store and its database."""
    clock = clock or Clock()
    database = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(clock), connection=connection)
    await database.open()
    await migrate(database, "outbox", outbox.MIGRATIONS)
    store = kind(database, Sealer(KeyFile(tmp_path / "data.key").load_or_create(None)), clock)
    await store.start()
    try:
        yield store, database
    finally:
        await store.stop()
        await database.close()


def sale():
    content = Content({"totalAmount": "9"}, "/orders", jsons.raw({}), "sale-1")
    return Draft(Kind.SALE, "order:1", content, "9")


async def test_a_sale_that_could_not_be_taken_in_hand_is_not_forgotten(tmp_path):
    """Whatever wakes the relay next: here a refund, after which it need not look at sales."""
    clock, flash = Clock(), Flash()
    line = Line(clock, max_in_flight=8, start_delay_s=0, hold_probe_s=60)
    async with started(FailingStore, tmp_path) as (store, _database):
        relay = Relay(store, flash, line, clock, RelayOptions())
        await relay.start()
        try:
            async with asyncio.timeout(30):
                await store.looked.wait()
                await store.accept(sale())
                relay.wake(Kind.SALE)
                await store.failed.wait()
                relay.wake(Kind.REFUND)
                await flash.sent.wait()
        finally:
            await relay.stop()


class UnwritableStore(Store):
    """The first outcome cannot be written at all, and just then the disk is away for a moment."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self.troubles = [ValueError("a row that breaks the rules"), StorageUnavailableError("The disk is away.")]

    def _fail(self, kind):
        if self.troubles and isinstance(self.troubles[0], kind):
            raise self.troubles.pop(0)

    async def settle(self, settlements):
        self._fail(ValueError)
        await super().settle(settlements)

    async def put_back(self, operation, delay_s):
        self._fail(StorageUnavailableError)
        return await super().put_back(operation, delay_s)


class HandClock(Clock):
    """Pauses of minutes end when they are told to; `last` is what ends the longest that was begun."""

    def __init__(self):
        super().__init__()
        self.ahead_ms, self.last, self.paused = 0, None, asyncio.Event()

    def steady_ms(self):
        return super().steady_ms() + self.ahead_ms

    def call_later(self, delay_s, call):
        if delay_s > 60:
            self.last = call
            self.paused.set()
        return super().call_later(delay_s, call)

    async def sleep(self, delay_s):
        await asyncio.sleep(0)


async def test_an_outcome_that_cannot_be_written_puts_its_operation_back_and_it_is_sent_again(tmp_path):
    clock, flash = HandClock(), Flash()
    line = Line(clock, max_in_flight=8, start_delay_s=0, hold_probe_s=60)
    async with started(UnwritableStore, tmp_path, clock) as (store, _database):
        relay = Relay(store, flash, line, clock, RelayOptions())
        await relay.start()
        try:
            async with asyncio.timeout(30):
                sold = (await store.accept(sale())).operation
                relay.wake(Kind.SALE)
                await clock.paused.wait()
                assert ((await store.get(sold.id)).status, store.troubles) == (Status.PENDING, [])
                clock.ahead_ms = 301_000
                clock.last()

                async def is_settled():
                    return (await store.get(sold.id)).status is not Status.PENDING

                await until(is_settled)
        finally:
            await relay.stop()
        assert flash.keys == ["sale-1", "sale-1"]
        assert (await store.get(sold.id)).status is Status.SUCCEEDED


async def test_after_a_reopening_nothing_is_taken_in_hand_twice(tmp_path):
    """The first claim waited already when the database was opened anew, the second one asks what is in doubt."""
    async with started(Store, tmp_path) as (store, database):
        await store.accept(sale())
        async with database.transaction():
            first = asyncio.create_task(store.claim(Kind.SALE, 9, fresh=True))
            await asyncio.sleep(0)
            database.on_reopen()
            second = asyncio.create_task(store.claim(Kind.SALE, 9, fresh=False))
            await asyncio.sleep(0)
        assert [len(await first), len(await second)] == [1, 0]


class FullStore(Store):
    """It has no room for refunds."""

    async def accept(self, draft):
        if draft.kind is Kind.REFUND:
            raise StorageUnavailableError("The database cannot be used now.", retry_after_s=5)
        return await super().accept(draft)


async def test_what_of_a_document_was_accepted_before_the_store_failed_is_sent(tmp_path):
    """Nothing else may wake the relay for long; the document itself is sent again by whoever was told."""
    site = Site("EUR")
    sold = {"externalOrderId": "R-1", "customer": {"externalId": "C-1"}, "totalAmount": 9}
    returned = {"externalOrderId": "R-1", "refundId": "B-1", "amount": 1}
    found = [make(Sale, sold, "receipt 1", site), make(Refund, returned, "receipt 2", site)]
    woken = []
    async with started(FullStore, tmp_path) as (store, _database):
        sealer = Sealer(KeyFile(tmp_path / "data.key").load_or_create(None))
        importing = Importing(Intake(store, sealer, settings(), NoSightings()), settings(), woken.append)
        with pytest.raises(StorageUnavailableError):
            await importing.take(found, {"adapter": "poslog"}, master_data=False)
    assert Kind.SALE in woken
