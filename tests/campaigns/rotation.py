"""kill -9 at random moments while data keys and Flash keys change under load.

Everything acknowledged opens, and is awarded once. A Flash key is revoked as soon as the agent says that it may be, and
is not seen again.
"""

import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.agents import WRITE_KEY, AgentProcess, agent_process, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change
from tests.support.witness import Witness

KILLS = {Size.SHORT: 12, Size.LONG: 300}
REGISTERS = 4
_IN_THE_NETWORK_S = 0.3


def run(size: Size, seed: int) -> Tally:
    """Registers sell and an operator rotates without pause while the agent is killed and started again."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_campaign(Path(folder), KILLS[size], random.Random(seed)))


async def _campaign(folder: Path, kills: int, chance: random.Random) -> Tally:
    tally = Tally()
    witness = Witness(folder / "witness.jsonl")
    with strict_flash() as flash, _till(folder / "data", flash) as agent:
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session, witness)
            tasks = [asyncio.create_task(_sell(till, f"r{number}")) for number in range(REGISTERS)]
            rotations = [0]
            tasks.append(asyncio.create_task(_rotate(agent, session, rotations)))
            swaps = _Swaps(agent, session, flash)
            await swaps.give(WRITE_KEY)
            tasks.append(asyncio.create_task(swaps.run()))
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
            tally.figures["Flash keys"] = f"{len(swaps.revoked_at)} replaced and revoked"
            tally.breaches += swaps.seen_again()
            if not (rotations[0] and witness.acknowledged and swaps.revoked_at):
                tally.tries = 0  # kills alone try nothing here
            if tally.held:
                await _judge(till, flash, witness, tally)
    witness.close()
    return tally


@contextlib.contextmanager
def _till(place: Path, flash: StrictFlash) -> Iterator[AgentProcess]:
    """An agent whose keys are all given to it over its API."""
    with agent_process(place, flash.base_url) as agent:
        del agent.environment["FLASH_AGENT_FLASH__WRITE_KEY"]
        agent.environment["FLASH_AGENT_RELAY__HOLD_PROBE_S"] = "0.2"
        _kill_and_start(agent)
        yield agent


class _Swaps:
    """An operator who changes the write key without pause, and revokes each old one as soon as that is allowed."""

    def __init__(self, agent: AgentProcess, session: aiohttp.ClientSession, flash: StrictFlash) -> None:
        self._agent = agent
        self._session = session
        self._flash = flash
        self._old: list[str] = []
        self.revoked_at: dict[str, float] = {}

    async def run(self) -> None:
        number = 0
        while True:
            number += 1
            key = f"fl_live_campaign_{number:06}"
            self._flash.add_key(key, "t1")
            if await self.give(key) and await self._rests():
                for old in self._old[:-1]:
                    self._flash.revoke(old)
                    self.revoked_at[old] = time.monotonic()
                del self._old[:-1]
            await asyncio.sleep(0.02)

    async def give(self, key: str) -> bool:
        """Whether it is acknowledged to be in force; where nobody knows it may be, so nothing is revoked for it."""
        try:
            answer = await self._call("POST", json={"which": "write", "key": key})
        except aiohttp.ClientConnectorError:  # nobody was there
            return False
        self._old.append(key)
        return answer is not None and answer.get("state") == "in-force"

    async def _rests(self) -> bool:
        """Whether no call is under way with an old one any more."""
        with contextlib.suppress(aiohttp.ClientConnectorError):
            while (answer := await self._call("GET")) is not None:
                previous = answer["keys"][0]["previous"]
                if previous is None or previous["callsUnderWay"] == 0:
                    return True
                await asyncio.sleep(0.01)
        return False

    async def _call(self, method: str, **more: Any) -> Any:
        token = (self._agent.data_dir / "operator.token").read_text()
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{self._agent.port}/v1/key"
        try:
            async with self._session.request(method, url, headers=headers, **more) as response:
                return await response.json() if response.status == 200 else None
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientError, OSError):
            return None

    def seen_again(self) -> list[str]:
        """Calls with a revoked key; not those that a killed agent left in the network."""
        late = [
            seen
            for seen in self._flash.requests
            if seen.request.at > self.revoked_at.get(seen.request.token, float("inf")) + _IN_THE_NETWORK_S
        ]
        return [f"a revoked key was seen again: {seen.request.method} {seen.request.route}" for seen in late[:20]]


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
    promise="Keys that change under kill -9 cost nothing: what was acknowledged opens, and no revoked key is used",
    unit="kills",
    run=run,
    controls=(
        Control(
            "a new key seals before it is on the disk",
            (
                Change(
                    "agent/datakeys/rotation.py",
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
                    "agent/datakeys/rotation.py",
                    "(unused := self._keys.older - used)",
                    "(unused := self._keys.older)",
                ),
            ),
        ),
        Control(
            "a Flash key is in force and not on the disk",
            (
                Change(
                    "agent/flashkeys/swap.py",
                    'held until Flash shows it."""\n        if new.source == "kept":\n',
                    'held until Flash shows it."""\n'
                    '        if new.source == "kept" and self._flash.key(which) is None:\n',
                ),
            ),
        ),
    ),
)
