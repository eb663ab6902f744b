"""A disk that fills up, at any point: registers are told so, nothing acknowledged is lost, and space mends everything.

Three acts. `trade`: the disk fills while registers trade. `start`: the agent is killed and started again on a disk that
has so much left. `first start`: there is so much left when the agent is started for the first time.
"""

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
from tests.support.disks import MIB, leave_the_others_mounts, missing, small_disk
from tests.support.forking import Forks
from tests.support.mix import basket, trade, unawarded, unsuccessful
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change
from tests.support.witness import Witness

TRIES = {Size.SHORT: 6, Size.LONG: 120}  # of each act
DISK_BYTES = 4 * MIB
PAGE = 4096
LEFT_PAGES = {"trade": 40, "start": 60, "first start": 200}  # at the most, when the disk is filled
REFUSALS = 4
WAIT_S = 8.0 if is_control() else 45.0
ENOUGH = 5  # breaches: more say nothing more
SAID = {"storage-full", "storage-unavailable"}


@dataclass
class Stage:
    """What all tries share."""

    folder: Path
    forks: Forks
    flash: StrictFlash
    tally: Tally = field(default_factory=Tally)
    seen: Counter[str] = field(default_factory=Counter)


class Ballast:
    """A file that takes all space of a disk but for some pages."""

    def __init__(self, disk: Path) -> None:
        self._file = disk / "ballast"

    def fill(self, left_pages: int) -> None:
        with self._file.open("ab", buffering=0) as file:
            with contextlib.suppress(OSError):
                while file.write(bytes(PAGE)) == PAGE:
                    pass
            file.truncate(max(0, self._file.stat().st_size // PAGE - left_pages) * PAGE)

    def free(self) -> None:
        self._file.unlink()


def run(size: Size, seed: int) -> Tally:
    """Each act with different amounts left."""
    leave_the_others_mounts()
    chance = random.Random(seed)
    tries = [(act, chance.randint(0, most)) for act, most in LEFT_PAGES.items() for _ in range(TRIES[size])]
    tries += [(act, 0) for act in LEFT_PAGES]
    chance.shuffle(tries)
    with tempfile.TemporaryDirectory() as folder, Forks() as forks, strict_flash() as flash:
        stage = Stage(Path(folder), forks, flash)
        for number, (act, left) in enumerate(tries):
            asyncio.run(_try(stage, number, act, left))
            if len(stage.tally.breaches) >= (1 if is_control() else ENOUGH):
                break
    stage.tally.figures["seen"] = ", ".join(f"{count} {what}" for what, count in sorted(stage.seen.items()))
    return stage.tally


async def _try(stage: Stage, number: int, act: str, left: int) -> None:
    what = f"{act}, {left} pages left"
    before = len(stage.tally.breaches)
    with small_disk(stage.folder / f"disk{number}", DISK_BYTES) as disk:
        agent = AgentProcess(disk / "data", stage.flash.base_url, launch=stage.forks.launch)
        agent.log = stage.folder / f"{number}.log"
        try:
            with contextlib.closing(Witness(stage.folder / f"{number}.jsonl")) as witness:
                async with aiohttp.ClientSession() as session:
                    till = Till(agent, session, witness)
                    if act == "first start":
                        await _first_start(stage, till, Ballast(disk), left)
                    else:
                        await _while_trading(stage, till, Ballast(disk), left, restarts=act == "start")
                    await _judge(stage, till, witness)
        except (AssertionError, TimeoutError) as fault:
            stage.tally.breaches.append(f"{fault!r}\n{agent.log.read_text(errors='replace')[-2000:]}")
        finally:
            agent.kill()
    if "Traceback" in (said := agent.log.read_text(errors="replace")):
        stage.tally.breaches.append(f"a traceback is no message:\n{said[-3000:]}")
    stage.tally.breaches[before:] = [f"{what}: {breach}" for breach in stage.tally.breaches[before:]]
    stage.tally.tries += 1
    shutil.rmtree(disk)


async def _first_start(stage: Stage, till: Till, ballast: Ballast, left: int) -> None:
    """It comes up, or it says why not; with space it comes up."""
    till.agent.data_dir.parent.joinpath("here").touch()
    ballast.fill(left)
    try:
        await asyncio.to_thread(till.agent.start)
    except AssertionError as over:
        stage.seen["first starts refused"] += 1
        if "full" not in str(over) and "space" not in str(over):
            stage.tally.breaches.append(f"it ends without saying that the disk is full: {over}")
        ballast.free()
        await asyncio.to_thread(till.agent.start)
    else:
        ballast.free()
    await asyncio.wait_for(basket(till, f"{till.agent.data_dir.parent.name}r", 5), WAIT_S)


async def _while_trading(stage: Stage, till: Till, ballast: Ballast, left: int, *, restarts: bool) -> None:
    """Registers trade until the disk is full, and are told; where it restarts it comes up and tells them too."""
    await asyncio.to_thread(till.agent.start)
    name = till.agent.data_dir.parent.name
    registers = [asyncio.create_task(trade(till, f"{name}r{lane}")) for lane in range(3)]
    async with asyncio.timeout(WAIT_S):
        await till.has_accepted(5)
        if restarts:
            till.agent.kill()
            ballast.fill(left)
            till.refused.clear()
            await asyncio.to_thread(till.agent.start)
        else:
            ballast.fill(left)
        while till.refused.total() < REFUSALS:
            till.progress.clear()
            await till.progress.wait()
        status = await till.get("/v1/status")
        shown = {operation["id"] for operation in await till.operations()}
        stage.seen.update(f"refusals with {code}" for code in till.refused)
        said = {condition["code"] for condition in status["conditions"]} & SAID
        stage.seen.update(said or {"well again when asked"})
        if lacking := set(till.accepted.values()) - shown:
            stage.tally.breaches.append(f"{len(lacking)} acknowledged operations are not shown while the disk is full")
        accepted = len(till.accepted)
        ballast.free()
        await till.has_accepted(accepted + 3)
    for register in registers:
        register.cancel()
    for ended in await asyncio.gather(*registers, return_exceptions=True):
        if not isinstance(ended, asyncio.CancelledError):
            stage.tally.breaches.append(f"a register was refused for good: {ended!r}")


async def _judge(stage: Stage, till: Till, witness: Witness) -> None:
    """With space everything settles without a restart, nothing stands as critical, and a restart finds all of it."""
    for restarted in (False, True):
        if restarted:
            await asyncio.to_thread(till.agent.end)
            await asyncio.to_thread(till.agent.start)
        await till.settled(stage.flash, WAIT_S)
        shown = await till.operations()
        witness.judge(stage.flash, shown).add_to(stage.tally)
        stage.tally.breaches += unsuccessful(shown)[:ENOUGH]
        conditions = (await till.get("/v1/status"))["conditions"]
        stage.tally.breaches += [f"it still says: {c['text']}" for c in conditions if c["severity"] == "critical"]
    stage.tally.breaches += unawarded(stage.flash)[:ENOUGH]


CAMPAIGN = Campaign(
    name="full-disk",
    promise="A full disk is said, loses nothing that was acknowledged, and is recovered from without a hand",
    unit="disks",
    run=run,
    missing=missing,
    controls=(
        Control(
            "a full disk taken for a yes",
            (
                Change(
                    "agent/outbox/accepting.py",
                    "await self._refuse(self._writing.members if self._writing is not None else (), error)",
                    "self._answer(list(enumerate(self._writing.members, self._writing.first)))",
                ),
            ),
        ),
    ),
)
