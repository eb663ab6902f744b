"""kill -9 at random moments under load, with answers lost meanwhile: what was acknowledged is there, once."""

import asyncio
import random
import tempfile
from pathlib import Path

import aiohttp

from tests.support.agents import AgentProcess, agent_process, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change
from tests.support.witness import Witness

KILLS = {Size.SHORT: 25, Size.LONG: 1000}
REGISTERS = 8


def run(size: Size, seed: int) -> Tally:
    """Registers sell without pause while the agent is killed and started again."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_campaign(Path(folder), KILLS[size], random.Random(seed)))


async def _campaign(folder: Path, kills: int, chance: random.Random) -> Tally:
    tally = Tally()
    witness = Witness(folder / "witness.jsonl")
    with strict_flash() as flash, agent_process(folder / "data", flash.base_url) as agent:
        flash.fault("lost-answer", every=7)
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session, witness)
            registers = [asyncio.create_task(_sell(till, f"r{number}")) for number in range(REGISTERS)]
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.01, 0.4))  # the moment of the kill is what is random here
                await asyncio.to_thread(_kill_and_start, agent)
                tally.tries += 1
            for register in registers:
                register.cancel()
            await asyncio.gather(*registers, return_exceptions=True)
            await _judge(till, flash, witness, tally)
    witness.close()
    return tally


def _kill_and_start(agent: AgentProcess) -> None:
    agent.kill()
    agent.start()


async def _sell(till: Till, name: str) -> None:
    number = 0
    while True:
        await till.sell_until_accepted(f"{name}-{number}")
        number += 1


async def _judge(till: Till, flash: StrictFlash, witness: Witness, tally: Tally) -> None:
    flash.clear()
    try:
        await till.settled(flash)
    except TimeoutError:
        tally.breaches.append("what was pending did not drain within its time once the line was well")
    witness.judge(flash, await till.operations()).add_to(tally)
    tally.figures["acknowledged"] = f"{len(witness.acknowledged):,} sales, {len(flash.effects):,} effects in Flash"


CAMPAIGN = Campaign(
    name="kills",
    promise="An acknowledged sale survives kill -9 and is awarded once",
    unit="kills",
    run=run,
    controls=(
        Control(
            "acknowledged before it is stored",
            (
                Change(
                    "agent/outbox/accepting.py",
                    "        self._writing = _Group(first, members)\n",
                    "        self._writing = _Group(first, members)\n"
                    "        self._loop.call_soon_threadsafe(self._answer, list(enumerate(members, first)))\n",
                ),
            ),
        ),
    ),
)
