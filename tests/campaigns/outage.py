"""Thirty days without Flash: a till takes everything in, quickly, and hands it all over when Flash is back.

The days are skipped on a clock that is handed in (`tests/support/clocked_agent.py`): a share of the operations is
posted, a day passes, and so on. Sales, members enrolled before their first sale, refunds of sales of earlier days, and
refunds of sales that another till made, which Flash learns of only after this till's first try. Then Flash returns,
with a rate limit.
"""

import asyncio
import contextlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from tests.support import clocked_agent
from tests.support.agents import AgentProcess, agent_process, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally, is_control
from tests.support.commands import call
from tests.support.mix import unawarded, until_accepted
from tests.support.pulse import share
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change
from tests.support.witness import Witness

DAYS = 30
DAY_S = 86_400.0
OPERATIONS = {Size.SHORT: 1_000 if is_control() else 3_000, Size.LONG: 100_000}
REGISTERS = 8
LIMIT, WINDOW_S = 20 if is_control() else 100, 2.0  # calls
PEAK = 1.2
P99_MS = {Size.SHORT: 1000.0, Size.LONG: 50.0}  # a short run stands beside others on a busy machine
DRAIN_S = {Size.SHORT: 20.0 if is_control() else 90.0, Size.LONG: 3600.0}
OTHERS = 3  # refunds of another till's sales
OTHER_KEY = "fl_live_other_till_0001"


def run(size: Size, seed: int) -> Tally:
    """Fill, return, drain, judge."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_campaign(Path(folder), size, random.Random(seed)))


async def _campaign(folder: Path, size: Size, chance: random.Random) -> Tally:
    tally = Tally()
    with (
        contextlib.closing(Witness(folder / "witness.jsonl")) as witness,
        strict_flash() as flash,
        agent_process(folder / "data", flash.base_url, launch=clocked_agent.launch()) as agent,
    ):
        flash.add_key(OTHER_KEY, "t1")
        flash.stop()
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session, witness)
            latencies = sorted(await _fill(till, agent, OPERATIONS[size], chance))
            _measure(tally, latencies, size)
            pending = (await till.get("/v1/status"))["pending"]
            tally.tries = len(witness.acknowledged)
            if pending != tally.tries:
                tally.breaches.append(
                    f"{tally.tries} were acknowledged, {pending} are pending at the end of the outage"
                )
            if size is Size.SHORT:  # a till that starts now spreads nothing over the minutes that follow an outage
                await asyncio.to_thread(_start_again, agent)
            flash.set(rate_limit=LIMIT, rate_window_s=WINDOW_S, grace=0.3, strict_connection=False)
            flash.start()
            await _drain(till, flash, tally, DRAIN_S[size])
            await _judge(till, flash, witness, tally)
    return tally


def _start_again(agent: AgentProcess) -> None:
    agent.kill()
    agent.launch = clocked_agent.launch(DAYS * DAY_S)
    agent.start()


async def _fill(till: Till, agent: AgentProcess, count: int, chance: random.Random) -> list[float]:
    """Post so many operations over the days; returns how long each took, in milliseconds."""
    latencies: list[float] = []
    sold: list[str] = []
    today, left = datetime.now(UTC), count

    async def post(path: str, body: dict[str, object]) -> None:
        begun = time.perf_counter()
        await until_accepted(till, path, body)
        latencies.append((time.perf_counter() - begun) * 1000)

    async def basket(name: str, refund: str | None, date: str) -> None:
        member = "POS-CUST-5512"
        if chance.random() < 0.1:
            member = f"m-{name}"
            await post("/v1/enrollments", {"externalId": member})
        sale = {"externalOrderId": name, "customer": {"externalId": member}, "totalAmount": 20, "businessDate": date}
        await post("/v1/sales", sale)
        if refund is not None:
            await post("/v1/refunds", {"externalOrderId": refund, "refundId": "r1", "amount": 5})

    for number in range(OTHERS):
        await post("/v1/refunds", {"externalOrderId": f"other-{number}", "refundId": "r1", "amount": 5})
    for day in range(DAYS):
        date = (today + timedelta(days=day)).date().isoformat()
        due = left // (DAYS - day)
        names = [f"d{day}-{number}" for number in range(round(due / 1.18))]
        refunds = chance.sample(sold, min(len(sold), len(names) * 8 // 100))
        sold = [order for order in sold if order not in set(refunds)]
        works = [basket(name, refunds.pop() if refunds else None, date) for name in names]
        before = len(latencies)
        await _at_once(works)
        left -= len(latencies) - before
        sold += names
        _skip(agent, DAY_S)
    return latencies


async def _at_once(works: list[Awaitable[None]]) -> None:
    """So many registers share the work."""
    waiting = iter(works)

    async def register() -> None:
        for work in waiting:
            await work

    await asyncio.gather(*(register() for _ in range(REGISTERS)))


def _skip(agent: AgentProcess, seconds: float) -> None:
    process = agent.process
    stdin = getattr(process, "stdin", None)
    assert stdin is not None
    stdin.write(f"{seconds}\n".encode())
    stdin.flush()


def _measure(tally: Tally, latencies: list[float], size: Size) -> None:
    p99 = share(latencies, 0.99)
    if p99 > P99_MS[size]:
        tally.breaches.append(f"an operation took {p99:.0f} ms to be accepted (p99)")
    tally.figures["accepted in the outage"] = (
        f"p50 {share(latencies, 0.5):.1f} ms, p99 {p99:.1f} ms, {REGISTERS} at once"
    )


async def _drain(till: Till, flash: StrictFlash, tally: Tally, within_s: float) -> None:
    begun = time.monotonic()
    try:
        async with asyncio.timeout(within_s):
            await asyncio.to_thread(_other_till, flash, within_s)
            await till.settled(flash, within_s)
    except TimeoutError:
        tally.breaches.append("what was queued did not drain within its time")
    took_s = time.monotonic() - begun
    asked = [seen for seen in flash.requests if seen.request.at >= begun and seen.request.token != OTHER_KEY]
    each = Counter(int(seen.request.at / WINDOW_S) for seen in asked)
    peak = max(each.values(), default=0) / LIMIT
    refused = sum(seen.status == 429 for seen in asked)
    # Of a control's small limit those that were under way are a large share.
    if peak > (3 * PEAK if is_control() else PEAK):
        tally.breaches.append(f"{peak:.2f} times the limit arrived within {WINDOW_S:.0f} s")
    tally.figures["drained"] = (
        f"in {took_s:.0f} s at {LIMIT / WINDOW_S:.0f} calls a second allowed: {len(asked):,} calls, {refused} of them "
        f"refused, peak {peak:.2f} times the limit"
    )


def _other_till(flash: StrictFlash, within_s: float) -> None:
    """Sells what ours gave refunds for, once ours has heard that Flash does not know those orders."""
    for number in range(OTHERS):
        order = f"other-{number}"
        refund = f"refund:{order}/r1"
        flash.wait_for(
            lambda f, refund=refund: any(s.request.naturals == [refund] and s.status == 404 for s in list(f.requests)),
            within_s,
        )
        body = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20}
        headers = {"Idempotency-Key": f"sale-{order}", "User-Agent": "other-till/1.0"}
        assert call("POST", f"{flash.base_url}/orders", OTHER_KEY, body, **headers)[0] == 200


async def _judge(till: Till, flash: StrictFlash, witness: Witness, tally: Tally) -> None:
    shown = await till.operations()
    witness.judge(flash, shown).add_to(tally)
    tally.breaches += unawarded(flash)[:10]
    others = {f"refund:other-{number}/r1" for number in range(OTHERS)}
    overtook = [
        seen.request.naturals
        for seen in flash.requests
        if seen.status == 404 and seen.request.write and not others.issuperset(seen.request.naturals)
    ]
    tally.breaches += [f"{naturals} overtook what it depends on" for naturals in overtook[:10]]
    ended = Counter(operation["status"] for operation in shown)
    if set(ended) != {"succeeded"}:
        tally.breaches.append(f"not all of it succeeded: {dict(ended)}")


CAMPAIGN = Campaign(
    name="outage",
    promise="Thirty days without Flash: all is taken in at once, kept, and handed over in order, within its limit",
    unit="operations",
    run=run,
    alone=True,
    controls=(
        Control(
            "Retry-After ignored",
            (
                Change("agent/outbox/line.py", "wait_s = retry_after_s or max(", "wait_s = 0.0 * max("),
                Change(  # or it would be slow enough to keep the pause without having heard of it
                    "agent/outbox/line.py",
                    "        self._pace.throttled(self._now(), self._closed_until, is_news=is_news)\n",
                    "",
                ),
                Change("agent/outbox/line.py", "        self._window = max(1, self._window // 2)\n", ""),
            ),
        ),
        Control(
            "a refund's patience ends by its age",
            (
                Change(
                    "agent/outbox/retry.py",
                    "unknown_since = _unknown_since(operation, outcome, counted_ms)",
                    "unknown_since = operation.accepted_at",
                ),
            ),
        ),
    ),
)
