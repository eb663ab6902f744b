"""300 seeds each time the tests run; that a run can be replayed and shrunk; and that a broken promise is seen."""

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.loop import Life, VirtualLoop
from tests.simulation.many import some
from tests.simulation.plan import Ask, Crash, Plan, Weather, generate
from tests.simulation.run import Result, run
from tests.simulation.shrink import fewer_events, promise_of, shrink
from tests.support.weakened import ROOT, Change, environment_of, weakened_copy

CHUNK = 30


@pytest.mark.parametrize("first", range(0, 300, CHUNK))
def test_every_promise_holds(first: int) -> None:
    found = some(range(first, first + CHUNK))
    assert found.failed == {}
    assert found.acknowledged > CHUNK


@pytest.mark.parametrize("seed", [0, 25, 55, 199])
def test_a_seed_goes_the_same_way_each_time(seed: int) -> None:
    plan = generate(seed)
    first, second = run(plan), run(plan)
    assert first.story().splitlines() == second.story().splitlines()
    assert len(first.trace) > 20


def test_a_seed_goes_the_same_way_in_another_process() -> None:
    command = [sys.executable, "-m", "tests.simulation", "--seed", "25"]
    for hash_seed in ("1", "2"):
        environment = {**environment_of(ROOT), "PYTHONHASHSEED": hash_seed}
        said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
        assert f"digest {run(generate(25)).digest[:16]}" in said


class _Makes(asyncio.DefaultEventLoopPolicy):
    """As in a process where nobody has asked for a loop yet."""

    made = False

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        self.made = True
        return super().new_event_loop()


def test_what_the_dead_would_have_cleaned_up_makes_no_loop_that_nobody_closes() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            reached.append(life)
            await asyncio.gather()  # of nothing: it asks for a loop, and none runs

    reached: list[Life] = []
    policy, life, loop = _Makes(), Life("till-1"), VirtualLoop()
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(policy)
    try:
        loop.create_task(work(), context=life.context)
        loop.run_until_complete(asyncio.sleep(1))
        loop.end(life)
        life.bury()
    finally:
        asyncio.set_event_loop_policy(before)
        loop.close()
    assert reached == [life]
    assert not policy.made


def test_a_failing_plan_is_shrunk() -> None:
    """Only two events of many make it fail; they alone are left."""
    plan = generate(3)
    sale = Ask(5.0, "till-1", "sale", {"externalOrderId": "x", "customer": {"externalId": "C1"}, "totalAmount": 20})
    needed = [sale, Crash(6.0, "till-1", 3, 0.5)]
    plan = replace(plan, events=(*plan.events[:7], needed[0], *plan.events[7:15], needed[1], *plan.events[15:]))
    left = fewer_events(plan, lambda tried: all(event in tried.events for event in needed), lambda: True)
    assert list(left.events) == needed


def test_shrinking_keeps_the_promise_that_was_broken() -> None:
    plan = Plan(
        seed=0,
        salt=1,
        tills=("till-1",),
        ends_at=20.0,
        events=(
            Weather(1.0, 5.0, ("lost-answer",), 1.0),
            Ask(2.0, "till-1", "sale", {"externalOrderId": "1", "customer": {"externalId": "C1"}, "totalAmount": 20}),
            Ask(3.0, "till-1", "sale", {"externalOrderId": "2", "customer": {"externalId": "C1"}, "totalAmount": 20}),
        ),
    )
    result = run(plan)
    assert result.breaches == []
    result.breaches.append("nothing_is_lost: made up")
    assert shrink(result) is result, "what cannot be made to fail again is left as it is"
    assert promise_of(result.breaches[0]) == "nothing_is_lost"


def test_a_run_tells_what_happened() -> None:
    result: Result = run(generate(0))
    assert result.breaches == []
    assert "till-1 is up (life 1)" in result.story()
    assert result.acknowledged
    assert result.calls
    assert result.effects


_WEAKENED_RUN = """
from tests.simulation.plan import Ask, Plan, generate
from tests.simulation.run import run
from tests.simulation.shrink import shrink

def ask(at, kind, basket, **more):
    return Ask(at, "till-1", kind, {"couponId": "K4", "transactionId": basket, **more}, 3.0)

needed = [
    ask(610.0, "redemption", "B7"), ask(620.0, "void", "B7"),
    ask(630.0, "redemption", "B8"), ask(640.0, "redemption", "B9"),
]
noise = [event for event in generate(3).events if event.at < 600 and "K4" not in str(event)][:20]
result = run(Plan(3, 5, ("till-1", "till-2", "till-3"), 700.0, (*noise, *needed)))
assert result.breaches[0].startswith("discounts_are_burned"), result.breaches
small = shrink(result)
assert list(small.plan.events) == needed, small.plan.events
print(small.breaches[0])
"""


def test_a_weakness_in_the_product_is_found_and_shrunk_to_what_shows_it(tmp_path: Path) -> None:
    """A credit that is not used up gives two discounts for one burn: four events show it, of two dozen."""
    used_up = Change(
        "agent/outbox/redemptions.py", '            await self._set(transaction, earlier, credit="used")\n', ""
    )
    copy = weakened_copy(tmp_path / "weakened", [used_up])
    command = [sys.executable, "-c", _WEAKENED_RUN]
    done = subprocess.run(command, cwd=copy, env=environment_of(copy), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "gave 2 discounts for K4 and burned it 1 times" in done.stdout
