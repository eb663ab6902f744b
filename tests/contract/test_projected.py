"""The projected view is what the table says, whatever settles while it is being built."""

import asyncio
import random
import sys
from decimal import Decimal

import pytest
from msgspec.structs import replace

from agent import jsons, outbox
from agent.clock import Clock
from agent.delivery import Kind
from agent.health import Health
from agent.outbox.operation import Content, Draft, Settlement, Verdict
from agent.outbox.projected import Projected
from agent.outbox.state import Status
from agent.outbox.store import Store
from agent.storage import Database, KeyFile, Sealer
from agent.storage.migrations import migrate

MEMBERS = [f"C{number}" for number in range(12)]


@pytest.fixture
async def database(tmp_path):
    made = Database(tmp_path / "agent.db", tmp_path / "quarantine", Health(Clock()))
    await made.open()
    await migrate(made, "outbox", outbox.MIGRATIONS)
    yield made
    await made.close()


@pytest.fixture
def sealer(tmp_path):
    return Sealer(KeyFile(tmp_path / "data.key").load_or_create(None))


@pytest.fixture
async def store(database, sealer):
    made = Store(database, sealer, Clock())
    await made.start()
    yield made
    await made.stop()


def subject(member):
    return f"member:externalId:{member}"


def sale(number, member, currency=None):
    request = {"externalOrderId": f"o{number}", "customer": {"externalId": member}, "totalAmount": str(number)}
    if currency:
        request["currency"] = currency
    content = Content(request, "/orders", jsons.raw(request), f"sale-o{number}")
    return Draft(Kind.SALE, f"order:o{number}", content, str(number), subjects=[subject(member)])


async def compare(database, store, sealer, projected):
    rows = await database.fetch("SELECT id FROM operation WHERE status = 'pending'")
    expected = {member: [0, Decimal(0)] for member in MEMBERS}
    for (operation_id,) in rows:
        request = (await store.get(operation_id)).content.request
        counted = expected[request["customer"]["externalId"]]
        counted[0] += 1
        counted[1] += Decimal(request["totalAmount"])
    for member in MEMBERS:
        pending = await projected.of([sealer.hash(subject(member))])
        assert [pending.sales, pending.amount] == expected[member]


@pytest.mark.parametrize("seed", range(4))
async def test_it_is_what_the_table_says_whatever_happens_meanwhile(database, store, sealer, seed):
    chance = random.Random(seed)
    for number in range(260):
        await store.accept(sale(number, chance.choice(MEMBERS)))
    projected = Projected(store, sealer, Clock(), "USD")
    projected.begin()

    async def sell():
        for number in range(1000, 1060):
            await store.accept(sale(number, chance.choice(MEMBERS)))

    async def send():
        for _ in range(60):
            claimed = await store.claim(Kind.SALE, chance.randint(1, 6), fresh=True)
            status = chance.choice([Status.SUCCEEDED, Status.FAILED, Status.PENDING])
            settled_at = None if status is Status.PENDING else 1
            due = 0 if status is Status.PENDING else None
            if claimed:
                await store.settle(
                    [Settlement(each, status, Verdict(), settled_at, next_attempt_at=due) for each in claimed]
                )
            for each in claimed:
                if status is Status.FAILED and chance.random() < 0.5:
                    await store.retry(each.id)
                elif status is Status.FAILED and chance.random() < 0.5:
                    await store.discard(each.id, "operator", "entered twice")

    await asyncio.gather(sell(), send())
    await asyncio.wait_for(projected.ready.wait(), 20)
    await compare(database, store, sealer, projected)
    await projected.stop()


async def test_amounts_of_another_currency_are_not_added(store, sealer):
    projected = Projected(store, sealer, Clock(), "USD")
    projected.begin()
    await store.accept(sale(5, "C1"))
    await store.accept(sale(7, "C1", "EUR"))
    await projected.ready.wait()
    pending = await projected.of([sealer.hash(subject("C1"))])
    assert (pending.sales, pending.amount) == (2, Decimal(5))
    await projected.stop()


async def test_a_members_operations_under_several_keys_count_once(store, sealer):
    keys = {"memberId": "mem_1", "externalId": "C1", "email": "ada@example.com"}
    subjects = {name: f"member:{name}:{value}" for name, value in keys.items()}

    def by(number, *names):
        draft = sale(number, "C1")
        customer = {name: keys[name] for name in names}
        content = replace(draft.content, request={**draft.content.request, "customer": customer})
        return replace(draft, content=content, subjects=[subjects[name] for name in names])

    projected = Projected(store, sealer, Clock(), "USD")
    projected.begin()
    for number, names in enumerate([("memberId",), ("memberId", "email"), ("externalId",), ("externalId", "email")], 1):
        await store.accept(by(number, *names))
    await projected.ready.wait()
    everything = await projected.of([sealer.hash(each) for each in subjects.values()])
    assert (everything.sales, everything.amount) == (4, Decimal(10))
    by_email = await projected.of([sealer.hash(subjects["email"])])
    assert (by_email.sales, by_email.amount) == (2, Decimal(6))
    await projected.stop()


async def test_a_look_up_walks_through_no_backlog(store, sealer):
    """A card that cashiers share has the backlog of a whole store: a look-up of it would hold up every register."""
    projected = Projected(store, sealer, Clock(), "USD")
    projected.begin()

    async def effort():
        calls = 0

        def counted(*_):
            nonlocal calls
            calls += 1

        sys.setprofile(counted)
        try:
            pending = await projected.of([sealer.hash(subject("C1"))])
        finally:
            sys.setprofile(None)
        return pending.sales, calls

    await store.accept(sale(1, "C1"))
    await projected.ready.wait()
    few, at_first = await effort()
    await asyncio.gather(*(store.accept(sale(number, "C1")) for number in range(2, 500)))
    many, then = await effort()
    assert (few, many) == (1, 499)
    assert then == at_first
    await projected.stop()


async def test_nobody_who_looks_nobody_up_pays_for_it(store):
    assert not store.changes.hear_accepts
