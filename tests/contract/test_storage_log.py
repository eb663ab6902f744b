"""The write-ahead log stays short whatever is written: a till's disk is small, and a long log is a long pause."""

import asyncio
from datetime import timedelta

import pytest

from agent import jsons
from agent.clock import Clock, to_ms
from agent.delivery import Kind
from agent.health import Health
from agent.members.snapshot import News
from agent.members.snapshots import Snapshots
from agent.members.vault import Vault
from agent.outbox.housekeeping import Housekeeping
from agent.outbox.operation import Content, Draft, Settlement, Verdict
from agent.outbox.state import Status
from agent.outbox.store import Store
from agent.rooms import ROOMS
from agent.storage import LOG_BYTES, Database, KeyFile, Sealer
from agent.storage.migrations import migrate

BOUND = 2 * LOG_BYTES  # what is under way when it grows too long is written first


class Later(Clock):
    """The real clock, moved on by `days`."""

    days = 0

    def now(self):
        return super().now() + timedelta(days=self.days)


class Till:
    """A database with its housekeeping. `longest`: the log, whenever something was written."""

    def __init__(self, folder):
        self.clock = Later()
        health = Health(self.clock)
        self.database = Database(folder / "agent.db", folder / "quarantine", health)
        sealer = Sealer(KeyFile(folder / "data.key").load_or_create(None))
        self.store = Store(self.database, sealer, self.clock)
        self.members = Snapshots(self.database, Vault(sealer), self.clock)
        self.house = Housekeeping(
            self.database, self.clock, health, skew_s=lambda: 0.0, retention_days=30, tombstone_days=400
        )
        self.longest = 0

    async def open(self):
        await self.database.open()
        for room, folder in ROOMS.items():
            await migrate(self.database, room, folder)
        await self.store.start()
        await self.members.start()
        self.house.start()
        tidied = self.database.wrote

        def wrote():
            self.longest = max(self.longest, self.database.wal_bytes())
            tidied()

        self.database.wrote = wrote

    async def close(self):
        await self.house.stop()
        await self.store.stop()
        await self.database.close()

    async def accept(self, count):
        for start in range(0, count, 500):
            await asyncio.gather(*(self.store.accept(sale(number)) for number in range(start, start + 500)))

    async def settle(self):
        now = to_ms(self.clock.now())
        while claimed := await self.store.claim(Kind.SALE, 100, fresh=True):
            verdict = Verdict(result={"awarded": 12, "balance": 3400, "tier": "gold"})
            await self.store.settle([Settlement(each, Status.SUCCEEDED, verdict, now) for each in claimed])


def sale(number):
    request = {"externalOrderId": f"o{number}", "customer": {"externalId": f"C{number}"}, "totalAmount": 120}
    content = Content(request, "/orders", jsons.raw(request), f"sale-o{number}", metadata={"note": "x" * 400})
    subjects = [f"order:o{number}", f"member:externalId:C{number}"]
    return Draft(Kind.SALE, f"order:o{number}", content, "120", subjects=subjects, request_key=f"key-{number}")


def member(number, now):
    profile = {"id": f"m{number}", "externalId": f"C{number}", "email": f"{number}@example.com", "note": "x" * 400}
    return News(profile, {}, now, now, clock_known=True, whole=True)


@pytest.fixture
async def till(tmp_path):
    made = Till(tmp_path)
    await made.open()
    yield made
    await made.close()


def assert_short(till):
    assert till.longest > LOG_BYTES  # or nothing was shown
    assert till.longest < BOUND


async def test_under_twenty_thousand_accepts(till):
    await till.accept(20_000)
    assert_short(till)


async def test_while_a_backlog_goes_out(till):
    await till.accept(10_000)
    till.longest = 0
    await till.settle()
    assert_short(till)


async def test_while_a_store_s_members_are_synced(till):
    now = to_ms(till.clock.now())
    for start in range(0, 20_000, 100):
        await till.members.save([member(number, now) for number in range(start, start + 100)])
    assert_short(till)


async def test_while_what_is_past_its_retention_goes(till):
    await till.accept(10_000)
    await till.settle()
    till.clock.days, till.longest = 31, 0
    await till.house.prune()
    assert await till.store.stripped(range(1, 10_001)) == set(range(1, 10_001))
    assert_short(till)
