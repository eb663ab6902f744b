"""Registers that wait for Flash's word: what is tried for them, and that nobody waits once it cannot help."""

import asyncio
import contextlib

import pytest

from agent.delivery import Contact, Fate, Kind, Outcome
from agent.flash.outcome import judge
from agent.outbox.line import Line
from agent.outbox.operation import Operation, Verdict
from agent.outbox.state import Status
from agent.outbox.waiting import ABOUT_S, RETRY_PAUSE_S, TRIES, Waiters

FOREVER_S = 3600.0
UNREACHABLE = Outcome(Fate.RETRY, Contact.UNREACHABLE, "flash-unreachable")
THROTTLED = judge(Kind.SALE, 429, b"", retry_after=30.0)
FORBIDDEN = judge(Kind.SALE, 403, b"{}")
IN_FLIGHT = Outcome(Fate.RETRY, Contact.ANSWERED, "conflict-in-flight")
ORDER_FIRST = Outcome(Fate.RETRY, Contact.ANSWERED, "order-not-found")


def sale(seq=1):
    return Operation(
        seq=seq,
        id=f"op_{seq}",
        kind=Kind.SALE,
        status=Status.PENDING,
        generation=1,
        blocked=False,
        attempts=0,
        maybe_sent=0,
        strikes=0,
        accepted_at=0,
        next_attempt_at=None,
        settled_at=None,
        business_date=None,
        content=None,
        verdict=Verdict(),
    )


@pytest.fixture
def line(clock):
    return Line(clock, max_in_flight=8, start_delay_s=0.0, hold_probe_s=60.0)


@pytest.fixture
def waiters(line, clock):
    return Waiters(line, clock)


@contextlib.asynccontextmanager
async def waiting(waiters, operation=None):
    """A register that would wait for an hour; what is given is its task."""
    begun = asyncio.Event()

    async def is_in_vain():
        begun.set()
        return False

    task = asyncio.create_task(waiters.wait(operation or sale(), FOREVER_S, is_in_vain))
    await begun.wait()
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def is_released(task):
    done, _ = await asyncio.wait([task], timeout=10)
    return bool(done)


def due(waiters, places=8):
    return [waiter.operation.seq for waiter in waiters.due(places)]


CLOSED_BY = {
    "a pause": lambda line: line.report(Kind.SALE, THROTTLED),
    "a refused key": lambda line: line.hold_key(),
    "a refused call": lambda line: line.report(Kind.SALE, FORBIDDEN),
}


@pytest.mark.parametrize("close", CLOSED_BY.values(), ids=CLOSED_BY)
async def test_when_the_line_closes_whoever_waits_is_answered(waiters, line, close):
    async with waiting(waiters) as register:
        assert due(waiters) == [1]
        close(line)
        assert due(waiters) == []
        assert await is_released(register)
    assert len(waiters) == 0


@pytest.mark.parametrize("close", CLOSED_BY.values(), ids=CLOSED_BY)
async def test_the_attempt_that_closed_the_line_ends_the_wait(waiters, line, close):
    async with waiting(waiters) as register:
        close(line)
        waiters.tell(sale(), Status.PENDING, UNREACHABLE)
        assert await is_released(register)


async def test_a_waiter_for_whom_there_is_no_place_goes_on_waiting(waiters):
    async with waiting(waiters) as first, waiting(waiters, sale(2)) as second:
        assert due(waiters, 1) == [1]
        waiters.sent(sale(1))
        assert due(waiters) == [2]
        assert not any(waiter.released.is_set() for waiter in waiters)
        assert not first.done()
        assert not second.done()


@pytest.mark.parametrize("outcome", [UNREACHABLE, IN_FLIGHT])
async def test_what_may_help_is_tried_so_often_with_a_pause_each(waiters, clock, outcome):
    async with waiting(waiters) as register:
        for _ in range(TRIES - 1):
            waiters.sent(sale())
            assert due(waiters) == []
            waiters.tell(sale(), Status.PENDING, outcome)
            assert due(waiters) == []
            assert RETRY_PAUSE_S[0] <= waiters.next_s() <= RETRY_PAUSE_S[1]
            clock.advance(RETRY_PAUSE_S[1])
            assert due(waiters) == [1]
        waiters.tell(sale(), Status.PENDING, outcome)
        assert await is_released(register)


async def test_on_a_dead_line_one_try_is_all(waiters, line):
    for _ in range(3):
        line.report("", UNREACHABLE)
    async with waiting(waiters) as register:
        waiters.tell(sale(), Status.PENDING, UNREACHABLE)
        assert await is_released(register)


@pytest.mark.parametrize(
    ("status", "outcome"), [(Status.PENDING, ORDER_FIRST), (Status.SUCCEEDED, IN_FLIGHT), (Status.FAILED, UNREACHABLE)]
)
async def test_flashs_word_ends_the_wait_of_every_register(waiters, status, outcome):
    async with waiting(waiters) as first, waiting(waiters) as second:
        assert len(waiters) == 1
        waiters.tell(sale(), status, outcome)
        assert await is_released(first)
        assert await is_released(second)


async def test_an_attempt_for_what_it_waits_behind_counts_as_its_own(waiters):
    async with waiting(waiters) as register:
        (waiter,) = waiters
        waiter.lent_to.add(7)
        waiters.tell(sale(8), Status.PENDING, ORDER_FIRST)
        assert not waiter.released.is_set()
        waiters.tell(sale(7), Status.PENDING, ORDER_FIRST)
        assert await is_released(register)


async def test_where_one_waited_the_next_one_is_expected_for_a_moment(waiters, clock):
    assert not waiters.are_about
    async with waiting(waiters):
        assert waiters.are_about
    assert waiters.are_about
    clock.advance(ABOUT_S)
    assert not waiters.are_about
