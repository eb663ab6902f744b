"""Power cuts under load, on a real file system: what was acknowledged was on the disk by then."""

import asyncio
import contextlib
import random
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.agents import AgentProcess, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally, is_control
from tests.support.disks import PlugDisk, freeze, leave_the_others_mounts, missing
from tests.support.forking import Forks
from tests.support.mix import trade, unawarded, unsuccessful
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change
from tests.support.witness import Witness

TILLS = {Size.SHORT: 4, Size.LONG: 50}
CUTS_A_TILL = 2  # right after its first acknowledged operation, and at a random moment later
LONGEST_LIFE_S = 1.0
DRAIN_S = 60.0
ENOUGH = 10  # breaches: more say nothing more


@dataclass
class Stage:
    """What all tills share."""

    folder: Path
    disk: PlugDisk
    forks: Forks
    flash: StrictFlash
    chance: random.Random
    tally: Tally = field(default_factory=Tally)
    kinds: Counter[str] = field(default_factory=Counter)


def run(size: Size, seed: int) -> Tally:
    """One new till after another, each of which has its power cut twice while it trades."""
    leave_the_others_mounts()
    with tempfile.TemporaryDirectory() as made, Forks() as forks, strict_flash() as flash:
        folder = Path(made)
        with PlugDisk(folder / "image", folder / "disk") as disk:
            stage = Stage(folder, disk, forks, flash, random.Random(seed))
            asyncio.run(_campaign(stage, TILLS[size]))
    said = ", ".join(f"{count:,} {kind}s" for kind, count in sorted(stage.kinds.items()))
    stage.tally.figures["acknowledged"] = f"{said}; {len(flash.effects):,} effects in Flash"
    return stage.tally


async def _campaign(stage: Stage, tills: int) -> None:
    tally = stage.tally
    for number in range(tills):
        agent = AgentProcess(stage.disk.place / f"t{number}", stage.flash.base_url, launch=stage.forks.launch)
        agent.log = stage.folder / f"t{number}.log"
        try:
            with contextlib.closing(Witness(stage.folder / f"t{number}.jsonl")) as witness:
                await _till(stage, agent, witness)
        finally:
            agent.kill()
        stage.kinds.update(operation["kind"] for operation in witness.acknowledged.values())
        if "Traceback" in (said := agent.log.read_text(errors="replace")):
            tally.breaches.append(f"a traceback is no message:\n{said[-3000:]}")
        if tally.breaches and (is_control() or len(tally.breaches) > ENOUGH):
            return
        shutil.rmtree(agent.data_dir)  # room for the next one


async def _till(stage: Stage, agent: AgentProcess, witness: Witness) -> None:
    tally = stage.tally
    async with aiohttp.ClientSession() as session:
        till = Till(agent, session, witness)
        await asyncio.to_thread(agent.start)
        registers = [asyncio.create_task(trade(till, f"{agent.data_dir.name}r{lane}")) for lane in range(3)]
        for cut in range(CUTS_A_TILL):
            await till.has_accepted(1)
            if cut:
                await asyncio.sleep(stage.chance.uniform(0, LONGEST_LIFE_S))  # the moment is what is random here
            await asyncio.to_thread(_cut, agent, stage.disk)
            tally.tries += 1
        for register in registers:
            register.cancel()
        for ended in await asyncio.gather(*registers, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                tally.breaches.append(f"a register was refused for good: {ended!r}")
        try:
            await _judge(stage, till, witness)
        except (AssertionError, TimeoutError) as fault:
            tally.breaches.append(f"after a power cut the agent does not go on: {fault!r}")


async def _judge(stage: Stage, till: Till, witness: Witness) -> None:
    tally = stage.tally
    witness.judge(stage.flash, await till.operations()).add_to(tally)
    if not tally.held:
        return
    await till.settled(stage.flash, DRAIN_S)
    shown = await till.operations()
    witness.judge(stage.flash, shown).add_to(tally)
    tally.breaches += unsuccessful(shown)[:ENOUGH] + unawarded(stage.flash)[:ENOUGH]
    for condition in (await till.get("/v1/status"))["conditions"]:
        if condition["severity"] == "critical":
            tally.breaches.append(f"after a power cut: {condition['text']}")


def _cut(agent: AgentProcess, disk: PlugDisk) -> None:
    """Processor and disk lose their power together: nothing is acknowledged any more once the disk has stopped."""
    if agent.process is not None:
        freeze(agent.process.pid)
    disk.pull()
    agent.kill()
    disk.plug_in()
    agent.start()


CAMPAIGN = Campaign(
    name="power-cut",
    promise="What was acknowledged survives a power cut, the very first sale's included",
    unit="cuts",
    run=run,
    missing=lambda: missing("mkfs.ext4"),
    controls=(
        Control(
            "synchronous=NORMAL",
            (
                Change(
                    "agent/storage/database.py",
                    '    ("synchronous=FULL", None),\n',
                    '    ("synchronous=NORMAL", None),\n',
                ),
                Change("agent/storage/database.py", "            if level != 2:\n", "            if level != 1:\n"),
            ),
        ),
        Control(
            "the data key is not synced",
            (
                Change(
                    "agent/storage/durable.py",
                    "            os.fsync(file.fileno())\n",
                    '            if draft.name != "data.key.new":\n                os.fsync(file.fileno())\n',
                ),
            ),
        ),
    ),
)
