"""What is in hand while the store fails: nobody is left without an answer, nothing stays unsent until a restart."""

import asyncio
import os

import pytest

from agent.delivery import Kind
from agent.errors import StorageUnavailableError
from agent.outbox.line import Line
from agent.outbox.relay import Relay, RelayOptions
from agent.outbox.store import Store
from agent.storage.connection import Connection
from tests.contract.test_storage_trouble import Flash, HandClock, sale, started


class WithoutMemory(Store):
    """The first outcome can neither be written nor put back, for the machine is short of memory for a moment."""

    def __init__(self, *parts):
        super().__init__(*parts)
        self.failures = ["settle", "put back", "put back"]

    def _fail(self, at):
        if self.failures[:1] == [at]:
            self.failures.pop(0)
            raise MemoryError

    async def settle(self, settlements):
        self._fail("settle")
        await super().settle(settlements)

    async def put_back(self, operation, delay_s):
        self._fail("put back")
        return await super().put_back(operation, delay_s)


async def test_an_operation_that_cannot_be_put_back_at_once_is_put_back_later(tmp_path):
    clock, flash = HandClock(), Flash()
    line = Line(clock, max_in_flight=8, start_delay_s=0, hold_probe_s=60)
    async with started(WithoutMemory, tmp_path, clock) as (store, _database):
        relay = Relay(store, flash, line, clock, RelayOptions())
        await relay.start()
        try:
            async with asyncio.timeout(30):
                await store.accept(sale())
                relay.wake(Kind.SALE)
                await clock.paused.wait()  # it is put back, and its pause is timed
            assert store.failures == []
            clock.ahead_ms = 301_000
            assert [each.upstream_key for each in await store.claim(Kind.SALE, 9, fresh=False)] == ["sale-1"]
        finally:
            await relay.stop()


class ShortOfMemory(Connection):
    """The next answer is there, and there is no memory to hold it."""

    is_short = False

    async def visit(self, call):
        return self._held(await super().visit(call))

    async def fetch(self, sql, parameters=()):
        return self._held(await super().fetch(sql, parameters))

    def _held(self, answer):
        if type(self).is_short:
            type(self).is_short = False
            raise MemoryError
        return answer


async def test_what_a_claim_took_before_it_failed_is_given_back(tmp_path):
    async with started(Store, tmp_path, connection=ShortOfMemory) as (store, _database):
        sold = (await store.accept(sale())).operation
        for claim in (lambda: store.claim(Kind.SALE, 9, fresh=True), lambda: store.claim_waiting([sold.seq])):
            await store.has_ready()  # what a claim looks after first is looked after
            ShortOfMemory.is_short = True
            with pytest.raises(MemoryError):
                await claim()
        (again,) = await store.claim(Kind.SALE, 9, fresh=False)
        assert (again.id, again.maybe_sent) == (sold.id, 3)


@pytest.mark.skipif(os.name == "nt", reason="Windows does not let go of a file that is open")
async def test_a_stop_ends_after_the_last_refusal(tmp_path):
    """The files are gone as the commit ends: whoever asked is told so, stop or no stop."""
    async with started(Store, tmp_path) as (store, database):
        await store.accept(sale())
        (tmp_path / "agent.db-wal").unlink()
        asking = [asyncio.create_task(store.accept(sale_of(number))) for number in range(2, 5)]
        await asyncio.sleep(0)
        await store.stop()
        assert all(isinstance(told, StorageUnavailableError) for told in await answers_there(asking))
        assert database.gone() is not None


def sale_of(number):
    draft = sale()
    return type(draft)(draft.kind, f"order:{number}", draft.content, draft.fingerprint)


async def answers_there(asking):
    """What each was told, once the loop has had a turn for passing it on; asks nobody to wait."""
    await asyncio.sleep(0)
    return [asked.exception() if asked.done() else None for asked in asking]
