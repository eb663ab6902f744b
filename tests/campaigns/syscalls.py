"""kill -9, and a failing disk, at each call of the kernel that writes, syncs, renames or removes, one after another.

Three acts. `day`: a first start, trade and a stop in order. `salvage`: the start over a damaged database with a full
log. `fault`: a day in which a sync fails with EIO, once or from then on; the agent lives on, or is killed after it.
"""

import asyncio
import contextlib
import itertools
import random
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.agents import AgentProcess, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally, is_control
from tests.support.damage import break_leaves, copy_files
from tests.support.forking import Forks
from tests.support.mix import basket, unawarded
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.tracing import SYNCS, Tracer, missing
from tests.support.weakened import Change
from tests.support.witness import Witness

TRIES = {Size.SHORT: 7, Size.LONG: 10_000}  # of each act at the most; the long form takes every n there is
CUSTOMERS = (0, 2, 5)  # one enrolls, all buy, two are refunded
REFUSALS_SEEN = 3
WAIT_S = 30.0
ENOUGH = 5  # breaches: more say nothing more


@dataclass
class Stage:
    """What all tries share."""

    folder: Path
    forks: Forks
    flash: StrictFlash
    tally: Tally = field(default_factory=Tally)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    seen: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Mishap:
    """What befalls the agent, in strace's words, and whether it is killed once registers have been refused."""

    inject: str = ""
    killed_after: bool = False
    over_damage: bool = False

    def __str__(self) -> str:
        where = "salvage: " if self.over_damage else ""
        return where + self.inject + (", then killed" if self.killed_after else "")


def run(size: Size, seed: int) -> Tally:
    """Each act's points, in any order."""
    with tempfile.TemporaryDirectory() as folder, Forks() as forks, strict_flash() as flash:
        stage = Stage(Path(folder), forks, flash)
        asyncio.run(_campaign(stage, size, random.Random(seed)))
        stage.tally.figures["when"] = ", ".join(f"{count} {what}" for what, count in sorted(stage.seen.items()))
        return stage.tally


async def _campaign(stage: Stage, size: Size, chance: random.Random) -> None:
    idle = await _day(stage, Mishap(), customers=())
    whole_day = await _day(stage, Mishap())
    damaged = stage.folder / "damaged"
    await _prepare(stage, damaged)
    salvage, whole = await _salvage(stage, damaged, Mishap())
    stage.tally.figures["taken over"] = f"{len(whole)} operations"
    start = {call: min(most, idle.get(call, 0)) for call, most in whole_day.items()}
    syncs = {call: whole_day[call] for call in SYNCS}
    acts = (
        [Mishap(f"{point}:signal=KILL") for point in _points({}, start)],
        [Mishap(f"{point}:signal=KILL") for point in _points(start, whole_day)],
        _faults(_points({}, {call: min(most, start.get(call, 0)) for call, most in syncs.items()})),
        _faults(_points(start, syncs)),
        [Mishap(f"{point}:signal=KILL", over_damage=True) for point in _points({}, salvage)],
    )
    mishaps = [mishap for act in acts for mishap in chance.sample(act, min(len(act), TRIES[size]))]
    chance.shuffle(mishaps)
    for mishap in mishaps:
        if mishap.over_damage:
            await _salvage_again(stage, damaged, mishap, whole)
        else:
            await _day(stage, mishap)
        if len(stage.tally.breaches) >= (1 if is_control() else ENOUGH):
            return


def _faults(points: Sequence[str]) -> list[Mishap]:
    """EIO there once, once and then death, or there and from then on."""
    ways = (("", False), ("", True), ("+", True))
    return [Mishap(f"{point}{on}:error=EIO", killed_after) for point in points for on, killed_after in ways]


def _points(after: Mapping[str, int], most: Mapping[str, int]) -> list[str]:
    """`fdatasync:when=3` and so on."""
    return [f"{call}:when={n}" for call in most for n in range(after.get(call, 0) + 1, most[call] + 1)]


# ---- a day ---------------------------------------------------------------------------------------------------------


async def _day(stage: Stage, mishap: Mishap, customers: Sequence[int] = CUSTOMERS) -> dict[str, int]:
    """One day of one till, with a mishap; what was acknowledged is there in the end, once. Returns strace's counts."""
    name = f"t{next(stage.numbers)}"
    place = stage.folder / name
    place.mkdir()
    tracer = Tracer(stage.forks, place / "trace", mishap.inject)
    agent = AgentProcess(place / "data", stage.flash.base_url, launch=tracer.launch)
    with contextlib.closing(Witness(place / "witness.jsonl")) as witness:
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session, witness)
            served = asyncio.gather(*(basket(till, name, number) for number in customers))
            try:
                await _under_mishap(stage, agent, till, served, killed_after=mishap.killed_after)
                tracer.close()
                agent.launch = stage.forks.launch
                await asyncio.to_thread(agent.start)
                async with asyncio.timeout(WAIT_S):
                    await served
                    if not witness.judge(stage.flash, await till.operations()).lost:  # else it may never settle
                        await till.settled(stage.flash)
                await _judge(stage, till, witness, str(mishap))
            except (TimeoutError, AssertionError) as fault:
                said = agent.log.read_text(errors="replace")[-3000:]
                stage.tally.breaches.append(f"{mishap}: it came to nothing: {fault!r}\n{said}\n{await _left(till)}")
            finally:
                served.cancel()
                agent.kill()
                tracer.close()
    if "Traceback" in (said := agent.log.read_text(errors="replace")):
        stage.tally.breaches.append(f"{mishap}: a traceback is no message:\n{said[-3000:]}")
    shutil.rmtree(place)
    return tracer.made


async def _under_mishap(
    stage: Stage, agent: AgentProcess, till: Till, customers: "asyncio.Future[list[None]]", *, killed_after: bool
) -> None:
    """Until the agent is dead or the day is over, and the agent stopped."""
    try:
        await asyncio.to_thread(agent.start)
    except AssertionError:
        stage.seen["before it listened"] += 1
        return
    died = asyncio.create_task(asyncio.to_thread(agent.process.wait)) if agent.process else None
    day = asyncio.create_task(_day_over(stage, till, customers, killed_after=killed_after))
    assert died is not None
    async with asyncio.timeout(WAIT_S):
        await asyncio.wait({died, day}, return_when=asyncio.FIRST_COMPLETED)
        if not died.done():
            await day
            if agent.process is not None:
                agent.process.send_signal(signal.SIGKILL if killed_after else signal.SIGTERM)
            await died
            stage.seen["after trade"] += 1
        else:
            stage.seen["during trade"] += 1
    day.cancel()
    await asyncio.gather(day, return_exceptions=True)


async def _day_over(stage: Stage, till: Till, customers: "asyncio.Future[list[None]]", *, killed_after: bool) -> None:
    """All are served and everything is settled; or, where the disk fails, enough were refused and it is said why."""
    while not customers.done():
        till.progress.clear()
        if killed_after and sum(till.refused.values()) >= REFUSALS_SEEN:
            status = await till.get("/v1/status")
            stage.seen["with refusals"] += 1
            if not {c["code"] for c in status["conditions"]} & {"storage-unavailable", "storage-full"}:
                stage.seen["refused, and well again when asked"] += 1
            return
        waiting = asyncio.create_task(till.progress.wait())
        await asyncio.wait({waiting, customers}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            await till.settled(stage.flash)
            return
        await asyncio.sleep(0.01)


async def _left(till: Till) -> str:
    """What is not settled, for the report of a failure."""
    with contextlib.suppress(aiohttp.ClientError, OSError, AssertionError):
        shown = [each for each in await till.operations() if each["status"] != "succeeded"]
        return "\n".join(f"{each['kind']} {each['status']} {each}" for each in shown)
    return "it does not answer"


async def _judge(stage: Stage, till: Till, witness: Witness, what: str) -> None:
    verdict = witness.judge(stage.flash, await till.operations())
    stage.tally.tries += 1
    before = len(stage.tally.breaches)
    verdict.add_to(stage.tally)
    stage.tally.breaches += unawarded(stage.flash)
    stage.tally.breaches[before:] = [f"{what}: {breach}" for breach in stage.tally.breaches[before:]]


# ---- a start over damage -------------------------------------------------------------------------------------------


async def _salvage_again(stage: Stage, damaged: Path, mishap: Mishap, whole: set[str]) -> None:
    """Killed at any call, a start over a damaged database ends, at the next one, where an undisturbed one ends."""
    _, found = await _salvage(stage, damaged, mishap)
    stage.tally.tries += 1
    stage.seen["over damage"] += 1
    if lacking := len(whole - found):
        stage.tally.lost += lacking
        stage.tally.breaches.append(f"{mishap}: {lacking} of {len(whole)} readable operations were not taken over")


async def _prepare(stage: Stage, damaged: Path) -> None:
    """A database with operations in the file and in its log, and a page of the file unreadable."""
    agent = AgentProcess(damaged, "http://127.0.0.1:9/api/v2", launch=stage.forks.launch)
    async with aiohttp.ClientSession() as session:
        for part in ("a", "b"):
            agent.start()
            till = Till(agent, session)
            await asyncio.gather(*(basket(till, f"salvage-{part}", number) for number in range(30)))
            if part == "a":
                await asyncio.to_thread(agent.end)
        agent.kill()
    if not break_leaves(damaged / "agent.db", 1):
        raise RuntimeError("no page could be broken")


async def _salvage(stage: Stage, damaged: Path, mishap: Mishap) -> tuple[dict[str, int], set[str]]:
    """Start over a copy under a mishap, then undisturbed; strace's counts, and the operations that are shown then."""
    place = stage.folder / f"salvage{next(stage.numbers)}"
    place.mkdir()
    copy_files(damaged, place / "data")
    tracer = Tracer(stage.forks, place / "trace", mishap.inject)
    agent = AgentProcess(place / "data", stage.flash.base_url, launch=tracer.launch)
    try:
        with contextlib.suppress(AssertionError):
            await asyncio.to_thread(agent.start)
            agent.kill()
        tracer.close()
        agent.launch = stage.forks.launch
        await asyncio.to_thread(agent.start)
        async with aiohttp.ClientSession() as session:
            till = Till(agent, session)
            shown = {operation["id"] for operation in await till.operations()}
            conditions = {condition["code"] for condition in (await till.get("/v1/status"))["conditions"]}
        if "database-quarantined" not in conditions:
            stage.tally.breaches.append(f"{mishap}: the damage is not said: {conditions}")
    finally:
        agent.kill()
        tracer.close()
    shutil.rmtree(place)
    return tracer.made, shown


CAMPAIGN = Campaign(
    name="syscalls",
    promise="What was acknowledged survives a kill, or a failing sync, at any call of the kernel",
    unit="calls",
    run=run,
    missing=missing,
    controls=(
        Control(
            "a failed commit taken for a yes",
            (
                Change(
                    "agent/outbox/accepting.py",
                    "await self._refuse(self._writing.members if self._writing is not None else (), error)",
                    "self._answer(list(enumerate(self._writing.members, self._writing.first)))",
                ),
                Change(
                    "agent/outbox/accepting.py",
                    "await self._refuse([waiting], error)",
                    "self._answer([(self._next_seq, waiting)])",
                ),
            ),
        ),
        Control(
            "salvage remembered before it is done",
            (
                Change(
                    "agent/outbox/salvage.py",
                    "    source = await asyncio.to_thread(DamagedDatabase, damaged, schema)\n",
                    '    await database.fetch("INSERT INTO fact (name, value) VALUES (?, ?)", [fact, b"1"])\n'
                    "    source = await asyncio.to_thread(DamagedDatabase, damaged, schema)\n",
                ),
                Change(
                    "agent/outbox/salvage.py",
                    'await transaction.fetch("INSERT INTO fact (name, value) VALUES (?, ?)", [fact, b"1"])',
                    "pass",
                ),
            ),
        ),
    ),
)
