"""Thirty-two registers that trade without rest while Flash stumbles: what it costs the till, and that nothing is lost.

Sales (one in four with a wait), enrollments, refunds, look-ups, lists of operations and a listener to the events. Flash
loses answers, fails, is slow and asks to be left alone. Meanwhile the write-ahead log and the memory of the agent's
process are looked at ten times a second, and a process of its own sells and asks for /healthz every 20 ms. The event
loop answers the latter without anybody's help: its latency is the loop's lag and a little more.
"""

import asyncio
import contextlib
import random
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil

from tests.support.agents import AgentProcess, agent_process, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally, is_control
from tests.support.mix import unawarded, unsuccessful, until_accepted
from tests.support.pulse import Beats, Pulse, share
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change
from tests.support.witness import Witness

REGISTERS = 32
LENGTH_S = {Size.SHORT: 40.0 if is_control() else 12.0, Size.LONG: 600.0}
PAUSE_S = {
    Size.SHORT: 0.01 if is_control() else 0.1,
    Size.LONG: 0.15,
}  # on average, between two baskets of one register
DRAIN_S = {Size.SHORT: 60.0, Size.LONG: 300.0}
LAG_MS = {Size.SHORT: 1000.0, Size.LONG: 50.0}  # p99; a short run stands beside others on a busy machine
GROWTH_BYTES = {Size.SHORT: 64 << 20, Size.LONG: 24 << 20}  # of memory, from the second quarter to the last
WAL_BYTES = 64 << 20
LOOK_S = 0.1


@dataclass(slots=True)
class Gauges:
    """What was measured while the registers traded."""

    wal: list[int] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def growth(self) -> int:
        """Bytes of memory from the second quarter to the last."""
        quarter = max(1, len(self.memory) // 4)
        return int(statistics.median(self.memory[-quarter:]) - statistics.median(self.memory[quarter : 2 * quarter]))


def run(size: Size, seed: int) -> Tally:
    """Trade for a while, drain, and judge."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_campaign(Path(folder), size, random.Random(seed)))


async def _campaign(folder: Path, size: Size, chance: random.Random) -> Tally:
    tally, gauges = Tally(), Gauges()
    with (
        contextlib.closing(Witness(folder / "witness.jsonl")) as witness,
        strict_flash() as flash,
        agent_process(folder / "data", flash.base_url) as agent,
    ):
        _stumble(flash)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            till = Till(agent, session, witness)
            pulse = Pulse(agent.port, agent.token)
            work = [
                _trade(till, f"r{number}", PAUSE_S[size], random.Random(chance.random())) for number in range(REGISTERS)
            ]
            tasks = [asyncio.create_task(each) for each in (*work, _listen(till), _read(till))]
            until = time.monotonic() + LENGTH_S[size]
            while time.monotonic() < until and tally.held | (not tally.tries):
                _look(agent, gauges, tally)
                await asyncio.sleep(LOOK_S)
            tally.tries = len(witness.acknowledged)
            beats = await asyncio.to_thread(pulse.stop)
            for operation in beats.sold:
                witness.saw(operation)
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    tally.breaches.append(f"a register was refused for good: {ended!r}")
            _measure(tally, gauges, beats, size)
            if not (is_control() and tally.breaches):
                await _judge(till, flash, witness, tally, size)
    return tally


def _stumble(flash: StrictFlash) -> None:
    # The relay's and the reads of members beside them; on a busy machine more is under way when a pause is asked for.
    flash.set(in_flight_limit=8 + 6, grace=0.3, strict_connection=False)
    flash.fault("latency", ms=20)
    flash.fault("lost-answer", every=11)
    flash.fault("status", status=503, every=17)
    flash.fault("torn-answer", every=29)
    flash.fault("status", status=429, retry_after=2, every=97)


async def _trade(till: Till, name: str, pause_s: float, chance: random.Random) -> None:
    number = 0
    while True:
        order, member = f"{name}-{number}", "POS-CUST-5512"
        if number % 6 == 1:
            member = f"{name}-m{number}"
            await until_accepted(till, "/v1/enrollments", {"externalId": member})
        sale = {"externalOrderId": order, "customer": {"externalId": member}, "totalAmount": 20}
        if number % 4 == 0:
            await till.post("/v1/sales", sale, 1)
        else:
            await until_accepted(till, "/v1/sales", sale)
        if number % 5 == 2:
            await until_accepted(till, "/v1/refunds", {"externalOrderId": order, "refundId": "r1", "amount": 5})
        await asyncio.sleep(chance.expovariate(1 / pause_s))  # the customer
        number += 1


async def _listen(till: Till) -> None:
    """A listener to the events that reads all the time."""
    headers = {"Authorization": f"Bearer {till.agent.token}"}
    url = f"http://127.0.0.1:{till.agent.port}/v1/events"
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with till.session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as response:
                while await response.content.readany():
                    pass
        await asyncio.sleep(LOOK_S)


async def _read(till: Till) -> None:
    """Somebody looks members up and leafs through the operations."""
    while True:
        await till.get("/v1/members?externalId=POS-CUST-5512")
        await till.get("/v1/operations?limit=200")
        await till.get("/v1/status")
        await asyncio.sleep(LOOK_S)


def _look(agent: AgentProcess, gauges: Gauges, tally: Tally) -> None:
    with contextlib.suppress(FileNotFoundError):
        gauges.wal.append((agent.data_dir / "agent.db-wal").stat().st_size)
        if gauges.wal[-1] > WAL_BYTES:
            tally.tries = 1
            tally.breaches.append(f"the write-ahead log grew to {gauges.wal[-1] / (1 << 20):.0f} MiB")
    assert agent.process is not None
    gauges.memory.append(psutil.Process(agent.process.pid).memory_info().rss)


def _measure(tally: Tally, gauges: Gauges, beats: Beats, size: Size) -> None:
    lags, sales, growth = beats.health_ms, beats.sale_ms, gauges.growth()
    lag = share(lags, 0.99)
    if lag > LAG_MS[size]:
        tally.breaches.append(f"the event loop lagged by {lag:.0f} ms (p99)")
    if growth > GROWTH_BYTES[size]:
        tally.breaches.append(f"the memory grew by {growth / (1 << 20):.0f} MiB from the second quarter to the last")
    tally.figures["write-ahead log"] = f"{max(gauges.wal, default=0) / (1 << 20):.1f} MiB at the most"
    tally.figures["memory"] = (
        f"{max(gauges.memory) / (1 << 20):.0f} MiB at the most, {growth / (1 << 20):+.1f} MiB after the first quarter"
    )
    tally.figures["lag of the event loop"] = f"p50 {share(lags, 0.5):.1f} ms, p99 {lag:.1f} ms, worst {lags[-1]:.0f} ms"
    tally.figures["a sale without a wait"] = (
        f"p50 {share(sales, 0.5):.1f} ms, p99 {share(sales, 0.99):.1f} ms, worst {sales[-1]:.0f} ms"
    )


async def _judge(till: Till, flash: StrictFlash, witness: Witness, tally: Tally, size: Size) -> None:
    flash.clear()
    begun = time.monotonic()
    try:
        await till.settled(flash, DRAIN_S[size])
    except TimeoutError:
        tally.breaches.append("what was pending did not drain within its time once the line was well")
    tally.tries = len(witness.acknowledged)
    tally.figures["acknowledged"] = (
        f"{tally.tries:,} operations in {LENGTH_S[size]:.0f} s, {len(flash.effects):,} effects in Flash, "
        f"drained {time.monotonic() - begun:.0f} s after"
    )
    shown = await till.operations()
    witness.judge(flash, shown).add_to(tally)
    tally.breaches += unsuccessful(shown)[:10] + unawarded(flash)[:10]


CAMPAIGN = Campaign(
    name="load",
    promise="Under 32 registers and a stumbling Flash log and memory stay small, the loop quick, and nothing is lost",
    unit="operations",
    run=run,
    alone=True,
    controls=(
        Control(
            "no checkpoints while it is written",
            (
                Change(
                    "agent/outbox/housekeeping.py",
                    "            await self._database.checkpoint()\n",
                    "",
                ),
            ),
        ),
    ),
)
