"""kill -9 at random moments under load, with answers lost meanwhile: what was acknowledged is there, once."""

import asyncio
import contextlib
import random
import tempfile
from collections import Counter
from pathlib import Path

import aiohttp

from tests.support.agents import AgentProcess, Launch, agent_process, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally
from tests.support.forking import quickly
from tests.support.mix import trade, unawarded, unsuccessful
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change
from tests.support.witness import Witness

KILLS = {Size.SHORT: 40, Size.LONG: 1000}
REGISTERS = 6
LONGEST_LIFE_S = 0.25
LOOK_EVERY = 10
DRAIN_S = {Size.SHORT: 45, Size.LONG: 900}


def run(size: Size, seed: int) -> Tally:
    """Registers trade without pause while the agent is killed and started again."""
    with tempfile.TemporaryDirectory() as folder, quickly() as launch:
        return asyncio.run(_campaign(Path(folder), launch, size, random.Random(seed)))


async def _campaign(folder: Path, launch: Launch, size: Size, chance: random.Random) -> Tally:
    tally = Tally()
    with (
        contextlib.closing(Witness(folder / "witness.jsonl")) as witness,
        strict_flash() as flash,
        agent_process(folder / "data", flash.base_url, launch=launch) as agent,
    ):
        flash.fault("lost-answer", every=7)
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session, witness)
            registers = [asyncio.create_task(trade(till, f"r{number}")) for number in range(REGISTERS)]
            for _ in range(KILLS[size]):
                await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_S))  # the moment of the kill is what is random here
                await asyncio.to_thread(_kill_and_start, agent)
                tally.tries += 1
                if await _is_broken(till, flash, witness, tally):
                    break
            for register in registers:
                register.cancel()
            for ended in await asyncio.gather(*registers, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    tally.breaches.append(f"a register was refused for good: {ended!r}")
            await _judge(till, flash, witness, tally, DRAIN_S[size])
    return tally


async def _is_broken(till: Till, flash: StrictFlash, witness: Witness, tally: Tally) -> bool:
    """Whether there is no need to go on, as far as can be seen now and then."""
    if tally.tries % LOOK_EVERY or tally.tries > LOOK_EVERY * 5:
        return bool(flash.violations)
    acknowledged = set(witness.acknowledged)
    shown = {operation["id"] for operation in await till.operations()}
    return bool(flash.violations or flash.doubles() or acknowledged - shown)


def _kill_and_start(agent: AgentProcess) -> None:
    agent.kill()
    agent.start()


async def _judge(till: Till, flash: StrictFlash, witness: Witness, tally: Tally, drain_s: float) -> None:
    flash.clear()
    witness.judge(flash, await till.operations()).add_to(tally)
    if tally.held:
        try:
            await till.settled(flash, drain_s)
        except TimeoutError:
            tally.breaches.append("what was pending did not drain within its time once the line was well")
        shown = await till.operations()
        witness.judge(flash, shown).add_to(tally)
        tally.breaches += unsuccessful(shown)[:10] + unawarded(flash)[:10]
    if not witness.acknowledged:
        tally.tries = 0  # kills alone try nothing
    kinds = Counter(operation["kind"] for operation in witness.acknowledged.values())
    said = ", ".join(f"{count:,} {kind}s" for kind, count in sorted(kinds.items()))
    tally.figures["acknowledged"] = f"{said}; {len(flash.effects):,} effects in Flash"


CAMPAIGN = Campaign(
    name="kills",
    promise="What was acknowledged survives kill -9 and takes effect once",
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
                    "        self._loop.call_soon_threadsafe(self._answer, list(enumerate(members, first)))\n"
                    "        __import__('time').sleep(0.02)\n",  # a disk slow enough for a kill to fall in between
                ),
            ),
        ),
        Control(
            "a fresh key for every retry",
            (
                Change(
                    "agent/outbox/operation.py",
                    "            key=self.upstream_key,\n",
                    '            key=f"{self.upstream_key}-{self.attempts}",\n',
                ),
            ),
        ),
    ),
)
