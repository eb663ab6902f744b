"""Tasks that look, wait and are woken: nothing that comes is missed, nothing is timed that need not be."""

import asyncio

import pytest

from agent.clock import Clock
from agent.tasks import Lookout, end


class HandClock(Clock):
    """Time that passes when it is told to."""

    def __init__(self):
        super().__init__()
        self.timed = []

    def call_later(self, delay_s, call):
        handle = asyncio.get_running_loop().call_later(3600.0, call)
        self.timed.append((delay_s, call, handle))
        return handle

    @property
    def pending(self):
        return [delay_s for delay_s, _, handle in self.timed if not handle.cancelled()]


class Looks:
    """Counts looks; `answers` are what the next ones say, then None."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.count = 0
        self.during = lambda: None

    async def look(self):
        self.count += 1
        self.during()
        return self.answers.pop(0) if self.answers else None


async def run_dry():
    """Let every task go as far as it can without time or a wake."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def watching():
    begun = []

    async def begin(looks, **options):
        clock = HandClock()
        lookout = Lookout(looks.look, clock, name="test", **options)
        lookout.start()
        begun.append(lookout)
        await run_dry()
        return lookout, clock

    yield begin
    for lookout in begun:
        await lookout.stop()


async def test_it_looks_at_once_and_then_only_when_woken(watching):
    looks = Looks()
    lookout, clock = await watching(looks)
    assert (looks.count, clock.timed) == (1, [])
    lookout.wake()
    lookout.wake()
    await run_dry()
    assert looks.count == 2


async def test_what_comes_during_a_look_is_looked_at_after_it(watching):
    looks = Looks()
    lookout, _ = await watching(looks)
    looks.during = lambda: looks.count < 4 and lookout.wake()
    lookout.wake()
    await run_dry()
    assert looks.count == 4


async def test_it_looks_again_when_the_time_has_come(watching):
    looks = Looks(7.5)
    _, clock = await watching(looks)
    ((delay_s, call, _),) = clock.timed
    assert (looks.count, delay_s) == (1, 7.5)
    call()
    await run_dry()
    assert looks.count == 2


async def test_a_wake_takes_the_place_of_the_time(watching):
    looks = Looks(7.5, None)
    lookout, clock = await watching(looks)
    assert clock.pending == [7.5]
    lookout.wake()
    await run_dry()
    assert (looks.count, clock.pending) == (2, [])


async def test_whoever_has_to_do_something_first_is_called_when_the_time_has_come(watching):
    looks, told = Looks(1.0), []

    def timed():
        told.append(looks.count)
        lookout.wake()

    lookout, clock = await watching(looks, timed=timed)
    clock.timed[0][1]()
    await run_dry()
    assert (told, looks.count) == ([1], 2)


async def test_a_stop_cuts_off_a_look_and_leaves_no_timer(watching):
    looks = Looks(1.0)
    lookout, clock = await watching(looks)
    await lookout.stop()
    assert clock.pending == []
    lookout.wake()
    await run_dry()
    assert looks.count == 1


async def test_an_end_waits_until_the_task_has_tidied_up():
    tidied = []

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            tidied.append(True)

    task = asyncio.create_task(work())
    await run_dry()
    await end(task)
    assert (tidied, task.cancelled()) == ([True], True)
    await end(task)
    await end(None)
