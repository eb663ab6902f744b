"""The hub, its streams and the ring on a real outbox, without a network."""

import asyncio
import contextlib

import pytest

from agent import jsons, outbox
from agent.api.shown import operation_event
from agent.clock import Clock
from agent.delivery import Kind
from agent.events import Events
from agent.events.hub import PAGE
from agent.events.ring import Ring
from agent.events.stream import MAX_BEHIND
from agent.health import Health
from agent.outbox.history import Cursor
from agent.outbox.housekeeping import KEPT_CHANGES, Housekeeping
from agent.outbox.line import Line
from agent.outbox.operation import Content, Draft
from agent.outbox.store import Store
from agent.receipt.wording import Wordings
from agent.storage import Database, KeyFile, Sealer
from agent.storage.migrations import migrate
from tests.support.agents import until

EVENT = b"event: operation"
WORDING = Wordings("en", "USD").default


def shown(operation):
    if operation.content.request["externalOrderId"] == "unspeakable":
        raise ValueError("a fault of ours")
    return operation_event(operation, WORDING)


class Outbox:
    """An outbox of its own, and its events."""

    def __init__(self, place):
        clock = Clock()
        self.health = Health(clock)
        self.database = Database(place / "agent.db", place / "quarantine", self.health)
        keys = KeyFile(place / "data.key").load_or_create(None, may_create=True)
        self.store = Store(self.database, Sealer(keys), clock)
        self.line = Line(clock, max_in_flight=8, start_delay_s=0, hold_probe_s=60)
        self.events = Events(self.store, self.line, self.health, clock, shown, heartbeat_s=0.05, write_limit_s=0.1)
        self.health.changed = self.events.touch

    async def sell(self, order):
        content = Content({"externalOrderId": order}, "/orders", jsons.raw({}), f"sale-{order}")
        return (await self.store.accept(Draft(Kind.SALE, f"order:{order}", content, "1"))).operation

    async def open(self, last_id=None, abort=lambda: None):
        return await self.events.open(object(), abort, 16, last_id)


@pytest.fixture
async def outbox_(tmp_path):
    made = Outbox(tmp_path)
    await made.database.open()
    await migrate(made.database, "outbox", outbox.MIGRATIONS)
    await made.store.start()
    yield made
    await made.events.stop()
    await made.store.stop()
    await made.database.close()


class Reader:
    """Takes what a stream sends until it has seen what it waits for."""

    def __init__(self):
        self.text = b""
        self._came = asyncio.Event()

    async def write(self, chunk):
        self.text += chunk
        self._came.set()

    async def until(self, holds):
        async with asyncio.timeout(10):
            while not holds(self.text):
                self._came.clear()
                await self._came.wait()


@contextlib.asynccontextmanager
async def reading(stream):
    reader = Reader()
    task = asyncio.create_task(stream.run(reader.write))
    try:
        yield reader
    finally:
        stream.end()
        await task


async def test_a_quiet_stream_beats(outbox_):
    async with reading(await outbox_.open()) as reader:
        await reader.until(lambda text: text.count(b":\n\n") >= 3)
        assert reader.text.count(b"event: ") == 2


async def test_while_nobody_listens_the_outbox_tells_nobody(outbox_):
    assert not outbox_.store.changes
    async with reading(await outbox_.open()) as reader:
        assert outbox_.store.changes
        await outbox_.sell("o1")
        await reader.until(lambda text: EVENT in text)

    async def nobody_is_told():
        return not outbox_.store.changes

    await until(nobody_is_told, 5)


async def test_line_and_conditions_are_told_when_the_store_cannot_be_read(outbox_):
    await outbox_.store.stop()
    await outbox_.database.close()
    async with reading(await outbox_.open()) as reader:
        await reader.until(lambda text: b"event: attention" in text)
        assert reader.text.startswith(b"event: connectivity\ndata: ")
        outbox_.health.set("disk-low", active=True)
        await reader.until(lambda text: b'"raised":["disk-low"]' in text)
        outbox_.health.set("disk-low", active=False)
        await reader.until(lambda text: b'"cleared":["disk-low"]' in text)


async def test_an_operation_that_cannot_be_shown_holds_up_no_other(outbox_, capsys):
    async with reading(await outbox_.open()) as reader:
        await outbox_.sell("unspeakable")
        await outbox_.sell("o2")
        await reader.until(lambda text: b'"o2"' in text)
    assert "an event cannot be told" in capsys.readouterr().err


async def test_a_reader_that_takes_nothing_is_cut_off(outbox_):
    aborted = asyncio.Event()
    stream = await outbox_.open(abort=aborted.set)

    async def write(_chunk):
        await asyncio.Event().wait()

    await asyncio.wait_for(stream.run(write), 5)
    assert aborted.is_set()
    assert len(outbox_.events) == 0


async def test_a_listener_whose_place_is_forgotten_is_told_to_list(outbox_):
    for number in range(3):
        await outbox_.sell(f"o{number}")
    history = outbox_.store.history
    place, epoch = await history.newest(), await history.epoch()
    for number in range(3):
        operation = await outbox_.sell(f"p{number}")
        await outbox_.store.discard(operation.id, "test", "test")
    assert (await history.after(place, 50)).is_whole
    await outbox_.database.fetch("DELETE FROM change WHERE n < 3")
    assert not (await history.after(place, 50)).is_whole
    async with reading(await outbox_.open(f"{epoch}-{place.accepted}-{place.changed}")) as reader:
        await reader.until(lambda text: b"event: resync" in text)
        await outbox_.sell("later")
        await reader.until(lambda text: b'"later"' in text)
        assert b'"p1"' not in reader.text


MANY_CHANGES = """
INSERT INTO change (operation)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT 1 FROM n
"""


@pytest.mark.parametrize(("changes", "told"), [(MAX_BEHIND - 100, b"operation"), (MAX_BEHIND + 100, b"resync")])
async def test_a_listener_who_missed_more_than_is_told_one_by_one_lists(outbox_, changes, told):
    await outbox_.sell("o1")
    place, epoch = await outbox_.store.history.newest(), await outbox_.store.history.epoch()
    await outbox_.database.fetch(MANY_CHANGES, [changes])
    async with reading(await outbox_.open(f"{epoch}-{place.accepted}-{place.changed}")) as reader:
        await reader.until(lambda text: b"event: operation" in text or b"event: resync" in text)
        assert b"event: " + told in reader.text
        assert (b'"too-far-behind"' in reader.text) is (told == b"resync")


async def test_a_burst_that_is_one_commit_is_told_to_its_end(outbox_):
    async with reading(await outbox_.open()) as reader:
        await reader.until(lambda text: b"event: attention" in text)
        await asyncio.gather(*(outbox_.sell(f"o{number}") for number in range(8 * PAGE)))
        await reader.until(lambda text: text.count(EVENT) == 8 * PAGE)


async def test_housekeeping_keeps_the_newest_changes(outbox_):
    await outbox_.database.fetch(MANY_CHANGES, [KEPT_CHANGES + 1200])
    house = Housekeeping(
        outbox_.database, Clock(), outbox_.health, skew_s=lambda: None, retention_days=30, tombstone_days=400
    )
    await house.trim()
    bounds = await outbox_.database.fetch("SELECT min(n), max(n), count(*) FROM change")
    assert bounds == [(1201, KEPT_CHANGES + 1200, KEPT_CHANGES)]


async def test_a_page_ends_where_it_would_be_large_and_the_next_goes_on(outbox_):
    orders = [f"{number}-{'x' * 60_000}" for number in range(12)]
    begin = await outbox_.store.history.newest()
    for order in orders:
        await outbox_.sell(order)
    found, pages, place = [], 0, begin
    while (page := await outbox_.store.history.after(place, 50)).operations:
        found += [operation.content.request["externalOrderId"] for _, operation in page.operations]
        place, pages = page.end, pages + 1
    assert (found, place) == (orders, await outbox_.store.history.newest())
    assert pages >= 3


async def test_an_operation_that_changed_often_is_told_as_it_is(outbox_):
    begin = await outbox_.store.history.newest()
    operation = await outbox_.sell("o1")
    page = await outbox_.store.history.after(begin, 50)
    await outbox_.store.discard(operation.id, "test", "test")
    both = await outbox_.store.history.after(begin, 50)
    since = await outbox_.store.history.after(page.end, 50)
    assert [[each.status.value for _, each in told.operations] for told in (page, both, since)] == [
        ["pending"],
        ["discarded"],
        ["discarded"],
    ]
    assert both.end == since.end == await outbox_.store.history.newest()


def ring(count, max_events=4, max_bytes=10**6):
    """Accepted and changed in turn: the place behind event n is (n // 2 + 1, (n + 1) // 2)."""
    made = Ring(Cursor(0, 0), max_events, max_bytes)
    for number in range(count):
        made.add(Cursor(number // 2 + 1, (number + 1) // 2), b"%d;" % number)
    return made


def test_a_ring_holds_the_newest_and_says_what_it_has_lost():
    made = ring(10)
    assert len(made) == 4
    assert made.position_after(Cursor(5, 5)) == 10
    assert made.read(made.position_after(Cursor(4, 4)), 10**6)[0] == b"8;9;"
    assert made.position_after(Cursor(3, 3)) == 6
    assert made.position_after(Cursor(3, 2)) is None
    assert made.position_after(Cursor(0, 0)) is None


def test_a_ring_tells_a_place_between_its_own_too_much_rather_than_too_little():
    made = ring(10)
    assert made.read(made.position_after(Cursor(5, 3)), 10**6)[0] == b"7;8;9;"
    assert made.position_after(Cursor(6, 5)) is None  # beyond its end
    assert made.position_after(Cursor(5, 6)) is None


def test_a_ring_is_bounded_in_bytes_and_reads_as_much_as_is_asked():
    made = ring(1000, max_events=10**6, max_bytes=40)
    assert len(made) == 10
    told, position, place = made.read(990, 8)
    assert (told, position, place) == (b"990;991;", 992, Cursor(496, 496))
    assert made.read(1000, 8) == (b"", 1000, None)
    assert not made.holds(989)
