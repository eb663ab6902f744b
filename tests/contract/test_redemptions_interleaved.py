"""Any interleaving of what registers, the line and the till do to one coupon: the books always balance.

A random story is played on a real agent and a strict Flash; a small model keeps what each basket was told. At any time
no more discounts stand than were burned (or allowed offline); at the end every burn is a discount, a credit, or calls a
person.
"""

import asyncio
import contextlib
import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, note, strategies
from hypothesis import settings as hypothesis_settings

from tests.support.agents import running, settings, strict_flash, until
from tests.support.redeeming import burns, coupon, posts, redeem, redeem_and_hang_up, void

BASKETS = strategies.sampled_from(["A", "B"])
ATTEMPTS = strategies.sampled_from([1, 2])
FAULTS = strategies.sampled_from(["lost-answer", "drop-before-commit", "torn-answer", "hang"])
STEPS = strategies.one_of(
    strategies.tuples(strategies.just("post"), BASKETS, ATTEMPTS),
    strategies.tuples(strategies.just("post"), BASKETS, ATTEMPTS),
    strategies.tuples(strategies.just("both"), BASKETS, ATTEMPTS, BASKETS, ATTEMPTS),
    strategies.tuples(strategies.just("hang up"), BASKETS, ATTEMPTS),
    strategies.tuples(strategies.just("void"), BASKETS),
    strategies.tuples(strategies.just("void while posting"), BASKETS, ATTEMPTS),
    strategies.tuples(strategies.just("trouble"), FAULTS, strategies.integers(1, 3)),
    strategies.tuples(strategies.just("line"), strategies.booleans()),
    strategies.tuples(strategies.just("restart")),
    strategies.tuples(strategies.just("clear up")),
)
WAIT_S = 0.4


class Till:
    """One till and its Flash, for all stories: each has a coupon of its own."""

    def __init__(self, runner, data_dir, flash, policy):
        self.runner, self.flash = runner, flash
        self._data_dir = data_dir
        self._settings = settings(
            flash.base_url,
            flash={"attempt_timeout_s": 0.3},
            coupons={"offline": policy, "max_per_day": 10_000, "max_per_member": 10_000},
        )
        self._stack = contextlib.AsyncExitStack()
        self.numbers = itertools.count(1)

    async def start(self):
        self.register = await self._stack.enter_async_context(running(self._data_dir, self._settings))

    async def stop(self):
        await self._stack.aclose()


@dataclass
class Story:
    """What was told of one coupon, and what stands of it."""

    till: Till
    coupon_id: str
    standing: set = field(default_factory=set)  # baskets and attempts that have the discount
    voided: set[str] = field(default_factory=set)
    settled: dict = field(default_factory=dict)  # what a redemption was told for good

    def basket(self, name):
        return f"{self.coupon_id}-{name}"

    async def post(self, name, attempt):
        answer = await redeem(self.till.register, self.basket(name), self.coupon_id, wait=WAIT_S, attempt=attempt)
        assert answer.status in {200, 202}, answer
        self.learn(name, attempt, answer.json)

    def learn(self, name, attempt, told):
        if told["honor"]:
            assert name not in self.voided
            self.standing.add((name, attempt))
        said = (told["honor"], told["basis"])
        before = self.settled.get((name, attempt))
        if before is not None and name not in self.voided:
            assert said == before, "a settled redemption changed its answer"
        if told["status"] != "pending":
            self.settled[name, attempt] = said

    async def void(self, name):
        answer = await void(self.till.register, self.basket(name), self.coupon_id)
        assert answer.status == 200
        self.voided.add(name)
        self.standing = {each for each in self.standing if each[0] != name}

    async def play(self, what, *args):
        flash = self.till.flash
        match what:
            case "post":
                await self.post(*args)
            case "both":
                await asyncio.gather(self.post(*args[:2]), self.post(*args[2:]))
            case "hang up":
                await self.hang_up(*args)
            case "void":
                await self.void(*args)
            case "void while posting":
                await self.void_while_posting(*args)
            case "trouble":
                flash.fault(args[0], times=args[1], path=f"/{self.coupon_id}/redeem$")
            case "line":
                flash.start() if args[0] else flash.stop()
            case "restart":
                await self.till.stop()
                await self.till.start()
            case "clear up":
                await self.clear_up()
        await self.check()

    async def hang_up(self, name, attempt):
        """A register that closes its connection as Flash hears of it, and sends the same again, as registers do."""
        before = len(posts(self.till.flash, self.coupon_id))

        def heard(flash):
            return len(posts(flash, self.coupon_id)) > before

        asking = asyncio.create_task(
            redeem_and_hang_up(
                self.till.register,
                self.till.flash,
                self.basket(name),
                self.coupon_id,
                when=heard,
                wait=WAIT_S,
                attempt=attempt,
            )
        )
        await asyncio.wait([asking], timeout=WAIT_S + 0.1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        self.settled.pop((name, attempt), None)  # whatever it would have been told
        await self.post(name, attempt)

    async def void_while_posting(self, name, attempt):
        asking = asyncio.create_task(
            redeem(self.till.register, self.basket(name), self.coupon_id, wait=WAIT_S, attempt=attempt)
        )
        await asyncio.sleep(0)
        await self.void(name)
        await asking  # answered before the void or after: the register that voids gives no discount

    async def operations(self):
        found = (await self.till.register.call("GET", "/v1/operations?kind=redemption&limit=40")).json["operations"]
        return [each for each in found if each["coupon"]["id"] == self.coupon_id]

    async def clear_up(self):
        self.till.flash.clear()
        self.till.flash.start()

        async def is_clear():
            return all(each["status"] != "pending" for each in await self.operations())

        await until(is_clear, 20)

    async def check(self):
        operations = await self.operations()
        allowed = sum(each["honor"] and each["basis"] == "offline-policy" for each in operations)
        assert len(self.standing) <= burns(self.till.flash, self.coupon_id) + allowed
        assert allowed <= 1

    async def balance(self):
        await self.clear_up()
        operations = await self.operations()
        credit = sum(each["credit"] == "open" for each in operations)
        lost = sum(each["status"] == "failed" and each["honor"] for each in operations)
        unclear = sum(each["status"] == "failed" and not each["honor"] for each in operations)
        burned = burns(self.till.flash, self.coupon_id)
        note(f"standing {self.standing}, credits {credit}, lost {lost}, unclear {unclear}, burned {burned}")
        honored = {
            (each["request"]["transactionId"], each["request"]["attempt"]) for each in operations if each["honor"]
        }
        assert honored == {(self.basket(name), attempt) for name, attempt in self.standing}
        given = len(self.standing) - lost
        assert given + credit <= burned <= given + credit + unclear


@pytest.fixture(scope="module", params=["decline", "limited"])
def till(request, tmp_path_factory):
    with strict_flash() as flash, asyncio.Runner() as runner:
        flash.set(strict_redeem=False)
        made = Till(runner, tmp_path_factory.mktemp("till"), flash, request.param)
        runner.run(made.start())
        yield made
        runner.run(made.stop())


@hypothesis_settings(
    max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
@given(uses=strategies.sampled_from([1, 1, 3]), steps=strategies.lists(STEPS, min_size=2, max_size=8))
def test_the_books_balance(till, uses, steps):
    async def tell():
        flash = till.flash
        flash.clear()
        flash.start()
        story = Story(till, f"C-{next(till.numbers)}")
        coupon(flash, story.coupon_id, uses=uses)
        looked = await till.register.call("GET", "/v1/members?externalId=POS-CUST-5512")
        assert looked.status == 200
        for step in steps:
            await story.play(*step)
        await story.balance()
        assert flash.violations == []

    till.runner.run(tell())
