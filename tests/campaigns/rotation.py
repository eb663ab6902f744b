"""kill -9 at random moments while data keys change under load: everything acknowledged opens, and is awarded once."""

import asyncio
import contextlib
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

KILLS = {Size.SHORT: 12, Size.LONG: 300}
REGISTERS = 4


def run(size: Size, seed: int) -> Tally:
    """Registers sell and an operator rotates without pause while the agent is killed and started again."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_campaign(Path(folder), KILLS[size], random.Random(seed)))


async def _campaign(folder: Path, kills: int, chance: random.Random) -> Tally:
    tally = Tally()
    witness = Witness(folder / "witness.jsonl")
    with strict_flash() as flash, agent_process(folder / "data", flash.base_url) as agent:
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session, witness)
            tasks = [asyncio.create_task(_sell(till, f"r{number}")) for number in range(REGISTERS)]
            rotations = [0]
            tasks.append(asyncio.create_task(_rotate(agent, session, rotations)))
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.05, 0.6))  # the moment of the kill is what is random here
                await asyncio.to_thread(_kill_and_start, agent)
                tally.tries += 1
                if await _is_locked_out(till, tally):
                    break
            for task in tasks:
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                if not isinstance(ended, asyncio.CancelledError):
                    tally.breaches.append(f"a register or the operator was refused for good: {ended!r}")
            tally.figures["rotations"] = f"{rotations[0]} acknowledged"
            if not (rotations[0] and witness.acknowledged):
                tally.tries = 0  # kills alone try nothing here
            if tally.held:
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


async def _rotate(agent: AgentProcess, session: aiohttp.ClientSession, rotations: list[int]) -> None:
    """As often as the agent lets us; a 409 says that rows are still being sealed anew."""
    token = (agent.data_dir / "operator.token").read_text()
    while True:
        url = f"http://127.0.0.1:{agent.port}/v1/data-key/rotate"
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with session.post(url, headers={"Authorization": f"Bearer {token}"}) as response:
                rotations[0] += response.status == 200
        await asyncio.sleep(0.02)


async def _is_locked_out(till: Till, tally: Tally) -> bool:
    status = await till.get("/v1/status")
    if status["dataKey"] is None:
        tally.breaches.append("after a kill the agent has no data key any more")
    return status["dataKey"] is None


async def _judge(till: Till, flash: StrictFlash, witness: Witness, tally: Tally) -> None:
    try:
        await till.settled(flash)
    except TimeoutError:
        tally.breaches.append("what was pending did not drain within its time")
    shown = await till.operations()
    unreadable = [each["id"] for each in shown if (each["error"] or {}).get("code") == "content-damaged"]
    unreadable += [each["id"] for each in shown if not each["request"]]
    tally.breaches += [f"does not open any more: {operation_id}" for operation_id in unreadable[:20]]
    readable = [each for each in shown if each["request"]]
    witness.judge(flash, readable).add_to(tally)
    tally.figures["acknowledged"] = f"{len(witness.acknowledged):,} sales, {len(flash.effects):,} effects in Flash"


CAMPAIGN = Campaign(
    name="rotation",
    promise="A data key that changes under kill -9 costs nothing: all that was acknowledged opens",
    unit="kills",
    run=run,
    controls=(
        Control(
            "a new key seals before it is on the disk",
            (
                Change(
                    "agent/rotation.py",
                    "            await asyncio.to_thread(self._save, renewed)\n",
                    "            self._sealer.adopt(renewed)\n            await asyncio.sleep(0.4)\n"
                    "            await asyncio.to_thread(self._save, renewed)\n",
                ),
            ),
        ),
        Control(
            "older keys leave the file while rows need them",
            (
                Change(
                    "agent/rotation.py",
                    "(unused := self._keys.older - used)",
                    "(unused := self._keys.older)",
                ),
            ),
        ),
    ),
)
