"""The outbox's own moves, on real files: numbers of keys, clocks that were wrong, and what is too much at once."""

import asyncio

import pytest

from agent import jsons
from agent.clock import Clock
from agent.delivery import BATCH_REFUSED, Contact, Fate, Kind, Outcome
from agent.errors import OverloadedError
from agent.outbox.accepting import MAX_WAITING
from agent.outbox.line import Line
from agent.outbox.operation import Content, Draft, Settlement, Verdict
from agent.outbox.patience import Patience
from agent.outbox.relay import Relay, RelayOptions
from agent.outbox.retry import OPERATION_CEILING_S
from agent.outbox.state import Status
from agent.outbox.store import Store
from tests.contract.test_storage_trouble import Flash, started
from tests.support.agents import until

YEAR_S = 365 * 86_400
REFUSED = Verdict(code="validation", definitive=True)


class AheadClock(Clock):
    """`ahead_s` further on than the real one; durations too, so that an hour passes at a word."""

    def __init__(self):
        super().__init__()
        self.ahead_s = 0.0

    def monotonic(self):
        return super().monotonic() + self.ahead_s

    def steady_ms(self):
        return super().steady_ms() + int(self.ahead_s * 1000)


def sale(number=1):
    content = Content({"totalAmount": "9"}, "/orders", jsons.raw({}), f"sale-{number}")
    return Draft(Kind.SALE, f"order:{number}", content, "9")


def line_of(clock):
    return Line(clock, max_in_flight=8, start_delay_s=0, hold_probe_s=60)


async def test_the_number_of_a_key_is_never_given_twice(tmp_path):
    """Flash may replay its refusal under each key that it saw: a second operation of one order goes on counting."""

    async def fails(store, operation):
        (claimed,) = await store.claim_waiting([operation.seq])
        await store.settle([Settlement(claimed, Status.FAILED, REFUSED, settled_at=1)])
        return claimed.upstream_key

    async with started(Store, tmp_path) as (store, _database):
        first = (await store.accept(sale())).operation
        seen = [await fails(store, first)]
        await store.discard(first.id, "ada", "wrong")
        second = (await store.accept(sale())).operation
        for _ in range(2):
            seen.append(await fails(store, second))
            await store.retry(second.id)
        seen.append((await store.get(second.id)).upstream_key)
    assert seen == ["sale-1", "sale-1.2", "sale-1.3", "sale-1.4"]


async def test_a_refund_that_may_have_been_sent_is_not_discarded_with_its_sale(tmp_path):
    """So is one that a dead till left, which may have sent it."""
    content = Content({"amount": "2"}, "/orders/1/refund", jsons.raw({}), "refund-1")
    async with started(Store, tmp_path) as (store, database):
        sold = (await store.accept(sale())).operation
        drafts = [
            Draft(Kind.REFUND, "order:1", content, "2", item=f"refund:{name}", decide=lambda _order: (content, "2"))
            for name in ("r1", "r2")
        ]
        sent, unsent = [(await store.accept(draft)).operation for draft in drafts]
        await database.fetch("UPDATE operation SET maybe_sent = 1 WHERE seq = ?", [sent.seq])
        _, effects = await store.discard(sold.id, "ada", "entered twice")
        assert [(each["id"], each["effect"]) for each in effects] == [(sent.id, "goes-on"), (unsent.id, "discarded")]
        found = [await store.get(operation.id) for operation in (sent, unsent)]
        assert [(each.status, each.blocked) for each in found] == [(Status.PENDING, False), (Status.DISCARDED, False)]


async def test_a_refund_that_comes_with_its_sale_is_decided_by_it(tmp_path):
    """In whatever group: the order of arrival is the order of acceptance."""
    content = Content({"amount": "2"}, "/orders/1/refund", jsons.raw({}), "refund-1")
    known = []

    def decide(order):
        known.append(order.total)
        return content, "2"

    refund = Draft(Kind.REFUND, "order:1", content, "2", item="refund:r1", decide=decide)
    async with started(Store, tmp_path) as (store, _database):
        drafts = [sale(2), sale(1), refund, sale(3)]
        accepted = await asyncio.gather(*(store.accept(draft) for draft in drafts))
    assert known == [9]
    assert [answer.operation.seq for answer in accepted] == [1, 2, 3, 4]
    assert [answer.operation.blocked for answer in accepted] == [False, False, True, False]


async def test_too_many_at_once_are_refused_and_those_before_them_stored(tmp_path):
    async with started(Store, tmp_path) as (store, database):
        async with database.transaction():
            asked = [asyncio.create_task(store.accept(sale(number))) for number in range(MAX_WAITING + 5)]
            await asyncio.wait(asked[MAX_WAITING:], timeout=10)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, OverloadedError)]
        assert (len(refused), {(each.stored, each.retryable) for each in refused}) == (5, {(False, True)})
        assert (await store.counts()).pending == MAX_WAITING


async def test_a_pause_that_a_wrong_clock_wrote_is_no_longer_than_any_other(tmp_path):
    clock, flash = AheadClock(), Flash()
    async with started(Store, tmp_path, clock) as (store, _database):
        await store.accept(sale())
        (claimed,) = await store.claim(Kind.SALE, 1, fresh=True)
        await store.put_back(claimed, YEAR_S)
        relay = Relay(store, flash, line_of(clock), clock, RelayOptions())
        await relay.start()
        try:
            assert await store.next_due() <= clock.steady_ms() + OPERATION_CEILING_S * 1000
            clock.ahead_s = OPERATION_CEILING_S + 1
            relay.wake()
            await until(lambda: asyncio.sleep(0, flash.sent.is_set()))
        finally:
            await relay.stop()


async def test_a_pause_of_flashs_that_a_wrong_clock_wrote_lasts_as_long_as_flash_asked(tmp_path):
    clock = AheadClock()
    async with started(Store, tmp_path, clock) as (store, _database):
        asked = Outcome(Fate.RETRY, Contact.THROTTLED, "throttled", retry_after_s=60.0)
        clock.ahead_s = YEAR_S
        await Patience(store, line_of(clock), clock).note(asked)
        clock.ahead_s = 0.0
        line = line_of(clock)
        await Patience(store, line, clock).recall()
        assert 59 < line.closed_for_s <= 60


class BusyFlash(Flash):
    """It answers when it is let."""

    def __init__(self):
        super().__init__()
        self.may_answer = asyncio.Event()

    async def send(self, parcel):
        outcome = await super().send(parcel)
        await self.may_answer.wait()
        return outcome


class OrdersAlone(Flash):
    """A gateway lets orders through; where the probe asks somebody else answers."""

    async def probe(self, *, write_key):
        return Outcome(Fate.RETRY, Contact.UNREACHABLE, "unexpected-answer")


async def test_where_the_probe_meets_a_stranger_an_operation_finds_the_way_back(tmp_path):
    clock, flash = AheadClock(), OrdersAlone()
    async with started(Store, tmp_path, clock) as (store, _database):
        line = line_of(clock)
        line.report("", Outcome(Fate.RETRY, Contact.UNREACHABLE, unsent=True))
        relay = Relay(store, flash, line, clock, RelayOptions())
        sold = (await store.accept(sale())).operation
        await relay.start()

        async def is_settled():
            clock.ahead_s += 20  # longer than a dead line is left alone
            relay.wake()
            return (await store.get(sold.id)).status is Status.SUCCEEDED

        try:
            await until(is_settled)
        finally:
            await relay.stop()
        assert line.is_open


class Refusing(BusyFlash):
    """The key may not do this."""

    async def send(self, parcel):
        await super().send(parcel)
        return Outcome(Fate.HOLD, Contact.ENDPOINT_REFUSED, "flash-endpoint-refused", unsent=True)


async def test_one_operation_a_minute_tries_an_endpoint_that_is_refused(tmp_path):
    clock, flash = AheadClock(), Refusing()
    async with started(Store, tmp_path, clock) as (store, _database):
        line = line_of(clock)
        line.report(Kind.SALE, Outcome(Fate.HOLD, Contact.ENDPOINT_REFUSED))
        relay = Relay(store, flash, line, clock, RelayOptions(batch_size=1))
        await asyncio.gather(*(store.accept(sale(number)) for number in range(5)))
        await relay.start()
        try:
            for minute in (1, 2, 3):
                flash.may_answer.clear()
                clock.ahead_s = 61.0 * minute
                relay.wake()
                await until(lambda minute=minute: asyncio.sleep(0, len(flash.keys) >= minute))
                for _ in range(5):
                    relay.wake()
                    await store.counts()
                assert len(flash.keys) == minute
                flash.may_answer.set()
                await until(lambda minute=minute: asyncio.sleep(0, sum(relay.attempts.values()) >= minute))
        finally:
            await relay.stop()


def restock(number):
    content = Content({"name": "Lane"}, "/stores", jsons.raw({}), f"store-{number}")
    return Draft(Kind.STORE, f"store:{number}", content, "Lane")


async def test_a_backlog_leaves_two_places_to_whoever_waits(tmp_path):
    clock, flash = AheadClock(), BusyFlash()
    async with started(Store, tmp_path, clock) as (store, _database):
        line = line_of(clock)
        for _ in range(10):
            line.report(Kind.SALE, Outcome(Fate.SUCCEEDED, Contact.ANSWERED))
        assert line.window == 8
        for number in range(9):
            await store.accept(restock(number))
        relay = Relay(store, flash, line, clock, RelayOptions())
        await relay.start()
        try:
            await until(lambda: asyncio.sleep(0, len(flash.keys) >= 6))
            waited_for = [(await store.accept(sale(number))).operation for number in (1, 2)]
            waits = [asyncio.create_task(relay.settle_within(operation, 20)) for operation in waited_for]
            await until(lambda: asyncio.sleep(0, len(flash.keys) >= 8))
            assert sorted(flash.keys)[:2] == ["sale-1", "sale-2"]
            assert len(flash.keys) == 8
            flash.may_answer.set()
            await asyncio.gather(*waits)
        finally:
            await relay.stop()


async def test_one_row_that_cannot_be_read_fails_alone_in_a_batch(tmp_path):
    clock, flash = AheadClock(), Flash()
    async with started(Store, tmp_path, clock) as (store, database):
        sold = [(await store.accept(sale(number))).operation for number in (1, 2, 3)]
        await database.fetch("UPDATE operation SET content = zeroblob(60) WHERE seq = ?", [sold[1].seq])
        relay = Relay(store, flash, line_of(clock), clock, RelayOptions())
        await relay.start()
        try:

            async def are_settled():
                return (await store.counts()).pending == 0

            await until(are_settled)
        finally:
            await relay.stop()
        found = [await store.get(operation.id) for operation in sold]
        assert [each.status for each in found] == [Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED]
        assert found[1].verdict.code == "content-damaged"
    assert sorted(flash.keys) == ["sale-1", "sale-3"]


async def test_a_settled_row_whose_answer_cannot_be_read_says_so(tmp_path):
    async with started(Store, tmp_path) as (store, database):
        sold = (await store.accept(sale())).operation
        (claimed,) = await store.claim(Kind.SALE, 1, fresh=True)
        await store.settle([Settlement(claimed, Status.SUCCEEDED, Verdict(result={"awarded": 6}), settled_at=1)])
        assert (await store.get(sold.id)).verdict.result == {"awarded": 6}
        await database.fetch("UPDATE operation SET outcome = zeroblob(60) WHERE seq = ?", [sold.seq])
        found = await store.get(sold.id)
        assert (found.status, found.verdict.code) == (Status.SUCCEEDED, "content-damaged")


class StillClock(AheadClock):
    """Durations stand still."""

    def monotonic(self):
        return self.ahead_s


class Unreachable(Flash):
    async def send(self, parcel):
        await super().send(parcel)
        return Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable", unsent=True)


async def test_a_cashiers_attempt_on_a_dead_line_puts_its_next_probe_off_for_nobody(tmp_path):
    clock, flash = StillClock(), Unreachable()
    async with started(Store, tmp_path, clock) as (store, _database):
        line = line_of(clock)
        line.report("", Outcome(Fate.RETRY, Contact.UNREACHABLE, unsent=True))
        due_s = line.next_change_s(0.0)
        assert due_s > 0
        operation = (await store.accept(sale())).operation
        relay = Relay(store, flash, line, clock, RelayOptions())
        await relay.start()
        try:
            for _ in range(5):
                await relay.settle_within(operation, 20)
        finally:
            await relay.stop()
    assert flash.keys == ["sale-1"] * 5
    assert line.next_change_s(0.0) == due_s


class WithoutBatches(Flash):
    """It has no call for batches, or refuses each one."""

    def __init__(self, status):
        super().__init__()
        self.status, self.batches = status, 0

    async def send_batch(self, parcels):
        self.batches += 1
        return Outcome(Fate.RETRY, Contact.ANSWERED, BATCH_REFUSED, http_status=self.status)


@pytest.mark.parametrize(("status", "batches_after_a_minute"), [(404, 1), (501, 1), (422, 2)])
async def test_where_flash_has_no_batches_it_is_not_asked_again_for_an_hour(tmp_path, status, batches_after_a_minute):
    clock, flash = AheadClock(), WithoutBatches(status)
    async with started(Store, tmp_path, clock) as (store, _database):
        relay = Relay(store, flash, line_of(clock), clock, RelayOptions())

        async def send_two(first):
            await asyncio.gather(*(store.accept(sale(number)) for number in (first, first + 1)))  # in one commit
            relay.wake(Kind.SALE)
            await until(lambda: asyncio.sleep(0, len(flash.keys) == first + 1))

        await relay.start()
        try:
            await send_two(1)
            assert flash.batches == 1
            clock.ahead_s = 60
            await send_two(3)
            assert flash.batches == batches_after_a_minute
            clock.ahead_s = 3700
            await send_two(5)
            assert flash.batches == batches_after_a_minute + 1
        finally:
            await relay.stop()
