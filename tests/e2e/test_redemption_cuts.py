"""A redemption cut at each of seven points, under both policies, by real connections and real kills.

Whatever happened, at the end of the day: never a yes without a burn by this till or an allowed offline honour, never
two burns for one discount, and every burn that nobody was told of is a credit or calls a person.
"""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.agents import AgentProcess, agent_process, strict_flash, until
from tests.support.redeeming import COUPON, MEMBER, burns, coupon, posts
from tests.support.strict_flash import StrictFlash

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]


class Counter:
    """A register at one till; keeps what each basket was told."""

    def __init__(self, agent: AgentProcess, session: aiohttp.ClientSession) -> None:
        self.agent = agent
        self.session = session
        self.told: dict[tuple[str, int], dict] = {}

    async def call(self, method: str, path: str, body: dict | None = None, **headers: str) -> dict:
        headers["Authorization"] = f"Bearer {self.agent.token}"
        url = f"http://127.0.0.1:{self.agent.port}{path}"
        async with self.session.request(method, url, json=body, headers=headers) as response:
            return await response.json()

    async def redeem(self, basket: str, attempt: int = 1, wait: float = 3) -> dict | None:
        """The answer, or None when the agent died under it."""
        body = {"couponId": COUPON, "transactionId": basket, "attempt": attempt, "customer": MEMBER}
        try:
            answer = await self.call("POST", "/v1/redemptions", body, Prefer=f"wait={wait}")
        except (aiohttp.ClientError, OSError):
            return None
        self.told[basket, attempt] = answer
        return answer

    async def operations(self) -> list[dict]:
        return (await self.call("GET", "/v1/operations?kind=redemption"))["operations"]

    async def nothing_is_pending(self) -> bool:
        return all(operation["status"] != "pending" for operation in await self.operations())

    @property
    def honored(self) -> set[str]:
        """The baskets that got the discount."""
        return {basket for (basket, _), answer in self.told.items() if answer["honor"]}


@pytest.fixture
def flash() -> Iterator[StrictFlash]:
    with strict_flash() as server:
        server.set(strict_redeem=False)
        coupon(server)
        yield server


@contextlib.asynccontextmanager
async def counter(tmp_path: Path, flash: StrictFlash, policy: str, attempt_timeout_s: float = 1.0):
    settings = {
        "FLASH_AGENT_COUPONS__OFFLINE": policy,
        "FLASH_AGENT_FLASH__ATTEMPT_TIMEOUT_S": f"{attempt_timeout_s}",
    }
    with agent_process(tmp_path, flash.base_url, **settings) as agent:
        async with aiohttp.ClientSession() as session:
            register = Counter(agent, session)
            await register.call("GET", f"/v1/members?externalId={MEMBER['externalId']}")  # so that the till saw it
            yield register


async def kill_while(register: Counter, flash: StrictFlash, asking: "asyncio.Task[dict | None]", holds) -> None:
    await until(lambda: asyncio.to_thread(flash.wait_for, holds, 0.05))
    register.agent.kill()
    assert await asking is None
    await asyncio.to_thread(register.agent.start)


async def cut(name: str, register: Counter, flash: StrictFlash) -> None:
    match name:
        case "before connect":
            flash.stop()
            await register.redeem("T-1")
            flash.start()
        case "mid-request":
            flash.fault("drop-before-commit", path="/redeem$")
            await register.redeem("T-1", wait=0.6)
        case "after commit, before the answer":
            flash.fault("lost-answer", path="/redeem$")
            await register.redeem("T-1", wait=0.6)
        case "mid-answer":
            flash.fault("torn-answer", path="/redeem$")
            await register.redeem("T-1", wait=0.6)
        case "kill before the answer":
            flash.fault("latency", ms=5000, after=True, path="/redeem$", times=1)
            asking = asyncio.create_task(register.redeem("T-1"))
            await kill_while(register, flash, asking, burns)
        case "kill after the answer":
            await register.redeem("T-1")
            register.agent.kill()
            await asyncio.to_thread(register.agent.start)
        case "at the wait's end":
            flash.fault("latency", ms=700, after=True, path="/redeem$", times=1)
            await register.redeem("T-1", wait=0.5)
    flash.clear()


CUTS = [
    "before connect",
    "mid-request",
    "after commit, before the answer",
    "mid-answer",
    "kill before the answer",
    "kill after the answer",
    "at the wait's end",
]


@pytest.mark.parametrize("policy", ["decline", "limited"])
@pytest.mark.parametrize("name", CUTS)
async def test_no_cut_gives_two_discounts_or_burns_behind_anybodys_back(tmp_path, flash, name, policy) -> None:
    async with counter(tmp_path, flash, policy) as register:
        await cut(name, register, flash)
        first = register.told.get(("T-1", 1))
        offline = {answer["transactionId"] for answer in _offline(register)}
        await until(register.nothing_is_pending, 20)
        again = await register.redeem("T-1")
        if first is not None:
            assert again["honor"] is (first["honor"])
        settled = await register.operations()
        burned = burns(flash)
        assert burned <= 1
        open_credits = [each for each in settled if each["credit"] == "open"]
        attention = [each for each in settled if each["status"] == "failed"]
        assert len(register.honored) + len(open_credits) + len(attention) >= burned
        assert len(register.honored - offline) <= burned
        later = await register.redeem("T-2")
        if open_credits:
            assert (later["honor"], later["basis"]) == (True, "earlier-redemption")
        assert len(register.honored) == 1 or attention
        assert burns(flash) == 1 or attention
        assert flash.doubles() == {}
        assert flash.violations == []
        assert len({seen.request.key for seen in posts(flash) if (seen.status, seen.delivery) == (200, "whole")}) <= 1


@pytest.mark.parametrize("delay_ms", [0, 1, 2, 4, 8, 16, 32])
async def test_killed_around_the_answer_one_basket_gets_the_discount(tmp_path, flash, delay_ms) -> None:
    """Before the commit, between it and the answer, or after: whoever sends again, one basket is honored once."""
    async with counter(tmp_path, flash, "decline") as register:
        asking = asyncio.create_task(register.redeem("T-1"))
        await until(lambda: asyncio.to_thread(flash.wait_for, burns, 0.05))
        await asyncio.sleep(delay_ms / 1000)  # where the kill falls is what varies
        register.agent.kill()
        first = await asking
        await asyncio.to_thread(register.agent.start)
        await until(register.nothing_is_pending, 20)
        again = await register.redeem("T-1")
        if first is not None:
            assert again["honor"] is first["honor"] is True
        later = await register.redeem("T-2")
        assert sorted([again["honor"], later["honor"]]) == [False, True]
        assert burns(flash) == 1
        assert flash.violations == []


async def test_a_post_that_is_still_on_its_way_is_waited_for_before_the_list_is_believed(tmp_path, flash) -> None:
    """Killed while Flash works: for as long as an attempt may take, an active coupon says nothing."""
    async with counter(tmp_path, flash, "decline", attempt_timeout_s=6.0) as register:
        flash.fault("latency", ms=4500, path="/redeem$", times=1)
        asking = asyncio.create_task(register.redeem("T-1"))
        await kill_while(register, flash, asking, posts)
        assert burns(flash) == 0
        await until(register.nothing_is_pending, 20)
        (operation,) = await register.operations()
        assert (operation["status"], operation["honor"], operation["credit"]) == ("succeeded", False, "open")
        assert (await register.redeem("T-2"))["basis"] == "earlier-redemption"
        assert burns(flash) == 1


def _offline(register: Counter) -> list[dict]:
    return [
        {"transactionId": basket}
        for (basket, _), answer in register.told.items()
        if answer["honor"] and answer["basis"] == "offline-policy"
    ]
