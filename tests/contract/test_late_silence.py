"""A Retry-After that comes while an operation is being taken in hand: it is not sent, and not counted as sent."""

import asyncio
import contextlib

import pytest

from agent import jsons, outbox
from agent.clock import Clock
from agent.delivery import Contact, Fate, Kind, Outcome
from agent.health import Health
from agent.outbox.line import Line
from agent.outbox.operation import Content, Draft
from agent.outbox.relay import Relay, RelayOptions
from agent.outbox.store import Store
from agent.storage import Database, KeyFile, Sealer
from agent.storage.migrations import migrate
from tests.support.agents import until


class BusyStore(Store):
    """While the first claim is written, another call's answer asks for silence."""

    line: Line
    claimed: asyncio.Event

    async def claim(self, kind, limit, *, fresh):
        return self._heard(await super().claim(kind, limit, fresh=fresh))

    async def claim_waiting(self, seqs):
        return self._heard(await super().claim_waiting(seqs))

    def _heard(self, operations):
        if operations and not self.claimed.is_set():
            self.line.close_for(60.0)
            self.claimed.set()
        return operations


class Flash:
    """A Sender that keeps what it was given."""

    def __init__(self):
        self.parcels = []

    async def send(self, parcel):
        self.parcels.append(parcel)
        return Outcome(Fate.SUCCEEDED, Contact.ANSWERED, result={"awarded": 1})

    async def send_batch(self, parcels):
        return [await self.send(parcel) for parcel in parcels]

    async def probe(self, *, write_key):
        return Outcome(Fate.SUCCEEDED, Contact.ANSWERED)

    async def shows_store(self, store_id):
        return True


@contextlib.asynccontextmanager
async def outbox_of(tmp_path):
    clock = Clock()
    database = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(clock))
    await database.open()
    await migrate(database, "outbox", outbox.MIGRATIONS)
    store = BusyStore(database, Sealer(KeyFile(tmp_path / "data.key").load_or_create(None)), clock)
    store.line, store.claimed = Line(clock, max_in_flight=8, start_delay_s=0, hold_probe_s=60), asyncio.Event()
    await store.start()
    flash = Flash()
    relay = Relay(store, flash, store.line, clock, RelayOptions())
    try:
        yield store, flash, relay
    finally:
        await relay.stop()
        await store.stop()
        await database.close()


def sale(number):
    content = Content({"totalAmount": "9"}, "/orders", jsons.raw({}), f"sale-{number}")
    return Draft(Kind.SALE, f"order:{number}", content, "9")


async def put_back(store, ids):
    """All of them, once they are no longer in hand."""

    async def are_back() -> bool:
        return all([(await store.get(operation_id)).maybe_sent == 0 for operation_id in ids])

    await until(are_back)


@pytest.mark.parametrize(("count", "wait_s"), [(1, 0), (1, 5), (2, 0)], ids=["alone", "with a register", "in a batch"])
async def test_what_was_claimed_meanwhile_waits(tmp_path, count, wait_s):
    async with outbox_of(tmp_path) as (store, flash, relay), asyncio.timeout(30):
        accepted = [(await store.accept(sale(number))).operation for number in range(count)]
        await relay.start()
        if wait_s:
            await relay.settle_within(accepted[0], wait_s)
        relay.wake(Kind.SALE)
        await store.claimed.wait()
        await put_back(store, [operation.id for operation in accepted])
        assert flash.parcels == []
        store.line.close_for(0.0)
        relay.wake()
        await until(lambda: asyncio.sleep(0, len(flash.parcels) == count))
    assert sorted(parcel.key for parcel in flash.parcels) == [f"sale-{number}" for number in range(count)]


async def test_a_redemption_is_not_sent_either(tmp_path):
    async with outbox_of(tmp_path) as (store, flash, relay), asyncio.timeout(30):
        operation = (await store.accept(sale(1))).operation
        store.line.close_for(60.0)
        outcome = await relay.send_beside(operation, waiting=True)
        assert (outcome.fate, outcome.unsent, flash.parcels) == (Fate.RETRY, True, [])
