"""An upgrade with 1,000 operations queued, ended at a call of the kernel: whichever version starts next, all is there.

Two versions, each a process of its own: this tree, and a copy of it with further migrations. Two acts. `there`: the
newer version starts over the older one's data. `back`: the older one starts where the newer one has migrated and never
got ready. In each, at one call that writes, syncs, renames or removes, the process is killed (`kill`), or loses its
power with its disk (`cut`), or the disk is full from then on (`full`). Then the older version or the newer one starts,
sells, and is killed; at last the newer one settles everything.
"""

import asyncio
import contextlib
import itertools
import json
import random
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support import disks, tracing
from tests.support.agents import AgentProcess, Launch, strict_flash
from tests.support.campaign import Campaign, Control, Size, Tally, is_control
from tests.support.forking import Forks
from tests.support.mix import unawarded, unsuccessful
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.upgrading import NEWER, copy_of, newer_copy, queue
from tests.support.weakened import ROOT, Change
from tests.support.witness import Witness

QUEUED = 1000
TRIES = {  # of each act, by mishap, at the most
    Size.SHORT: {"kill": 2, "full": 1, "cut": 1},
    Size.LONG: {"kill": 100, "full": 30, "cut": 70},
}
SETTLE_S = 60.0
ENOUGH = 5  # breaches: more say nothing more
READY = "rename:when=2:signal=KILL"  # the record's second one: migrated, and the word that it is ready not written


@dataclass
class Stage:
    """What all tries share. `unfinished` is what the newer version leaves that never gets ready."""

    folder: Path
    older: Forks
    newer: Forks
    disk: disks.PlugDisk | None
    queued: Path
    unfinished: Path
    made: dict[str, dict[str, int]] = field(default_factory=dict)  # by act: how often each call is made
    tally: Tally = field(default_factory=Tally)
    numbers: Iterator[int] = field(default_factory=itertools.count)
    seen: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Attempt:
    """What is tried: in which act, what befalls the process at which call, and which version starts next."""

    act: str
    how: str
    point: str
    then: str

    @property
    def inject(self) -> str:
        return f"{self.point}+:error=ENOSPC" if self.how == "full" else f"{self.point}:signal=KILL"

    def __str__(self) -> str:
        return f"{self.act}, {self.how} at {self.point}, then the {self.then} version"


def run(size: Size, seed: int) -> Tally:
    """Both acts, all mishaps."""
    disks.leave_the_others_mounts()
    with tempfile.TemporaryDirectory() as made, disks.PlugDisk(Path(made) / "image", Path(made) / "disk") as disk:
        return asyncio.run(_run(Path(made), size, random.Random(seed), disk))


async def _run(folder: Path, size: Size, chance: random.Random, disk: disks.PlugDisk) -> Tally:
    async with staged(folder, QUEUED, disk) as stage:
        for attempt in attempts(stage.made, size, chance):
            if len(stage.tally.breaches) >= (1 if is_control() else ENOUGH):
                break
            await try_one(stage, attempt)
    stage.tally.figures["what came of it"] = ", ".join(f"{n} {what}" for what, n in sorted(stage.seen.items()))
    return stage.tally


@contextlib.asynccontextmanager
async def staged(folder: Path, queued: int, disk: disks.PlugDisk | None = None) -> AsyncIterator[Stage]:
    """Both versions, the older one's data with its witness, and what the newer one leaves that never gets ready."""
    newer = newer_copy(folder / "newer")
    shutil.copytree(ROOT / "tests" / "support", newer / "tests" / "support")
    (newer / "tests" / "__init__.py").touch()
    with contextlib.closing(Witness(folder / "witness.jsonl")) as witness:
        for operation, asked in await queue(folder / "queued", queued):
            witness.saw(operation, asked)
    with Forks() as older_forks, Forks(newer) as newer_forks:
        stage = Stage(folder, older_forks, newer_forks, disk, folder / "queued", folder / "unfinished")
        stage.made["there"] = await _whole(stage, "there")
        await _whole(stage, "there", READY, stage.unfinished)
        try:
            stage.made["back"] = await _whole(stage, "back")
        except AssertionError as fault:
            stage.tally.breaches.append(
                f"the older version does not go on where the newer one never got ready: {fault}"
            )
        yield stage


def attempts(made: Mapping[str, Mapping[str, int]], size: Size, chance: random.Random) -> list[Attempt]:
    """What is tried, in any order."""
    found = [
        Attempt(act, how, point, chance.choice(["older", "newer"]))
        for act, calls in made.items()
        for how, most in TRIES[size].items()
        for point in _chosen(calls, how, most, chance)
    ]
    chance.shuffle(found)
    return found


def _chosen(made: Mapping[str, int], how: str, most: int, chance: random.Random) -> list[str]:
    """Points of all calls alike, though far the most are writes; `fdatasync:when=3` and so on.

    A seed chooses alike where one call is made once more or less.
    """
    calls = sorted(call for call in made if how != "full" or call in {"pwrite64", "mkdir"})
    chance.shuffle(calls)
    own = chance.random()
    every = [[f"{call}:when={n}" for n in range(1, made[call] + 1)] for call in calls]
    for points in every:
        random.Random(f"{own} {points[0]}").shuffle(points)
    mixed = [point for turn in itertools.zip_longest(*every) for point in turn if point is not None]
    return mixed[:most]


async def _whole(stage: Stage, act: str, inject: str = "", keep: Path | None = None) -> dict[str, int]:
    """An act up to where it listens, undisturbed or not; how often each call was made."""
    place = stage.folder / f"whole{next(stage.numbers)}"
    data_dir = copy_of(stage.queued if act == "there" else stage.unfinished, place / "data")
    tracer = tracing.Tracer(stage.newer if act == "there" else stage.older, place / "trace", inject)
    agent = AgentProcess(data_dir, "http://127.0.0.1:9/api/v2", launch=tracer.launch)
    try:
        await asyncio.to_thread(agent.start)
    except AssertionError:
        if not inject:
            raise
    finally:
        agent.kill()
        tracer.close()
    if keep is not None:
        copy_of(data_dir, keep)
    return tracer.made


async def try_one(stage: Stage, attempt: Attempt) -> None:
    """One attempt; what is wrong afterwards is told."""
    place = stage.folder / f"t{next(stage.numbers)}"
    place.mkdir()
    shutil.copyfile(stage.folder / "witness.jsonl", place / "witness.jsonl")
    where = stage.disk.place if attempt.how == "cut" and stage.disk else place
    data_dir = copy_of(stage.queued if attempt.act == "there" else stage.unfinished, where / "data")
    if attempt.how == "cut":
        await asyncio.to_thread(subprocess.run, ["sync", "--file-system", data_dir], check=True)
    said = len(stage.tally.breaches)
    with contextlib.closing(Witness(place / "witness.jsonl")) as witness, strict_flash() as flash:
        agent = AgentProcess(data_dir, flash.base_url)
        agent.log = place / "log"
        try:
            async with aiohttp.ClientSession() as session:
                await _act(stage, attempt, Till(agent, session, witness), flash)
        except (AssertionError, TimeoutError, aiohttp.ClientError) as fault:
            log = agent.log.read_text(errors="replace")[-3000:]
            stage.tally.breaches.append(f"it came to nothing: {fault!r}\n{log}")
        finally:
            agent.kill()
        if "Traceback" in (log := agent.log.read_text(errors="replace")):
            stage.tally.breaches.append(f"a traceback is no message:\n{log[-3000:]}")
    stage.tally.tries += 1
    stage.tally.breaches[said:] = [f"{attempt}: {breach}" for breach in stage.tally.breaches[said:]]
    shutil.rmtree(data_dir)
    shutil.rmtree(place)


async def _act(stage: Stage, attempt: Attempt, till: Till, flash: StrictFlash) -> None:
    agent = till.agent
    first = stage.newer if attempt.act == "there" else stage.older
    tracer = tracing.Tracer(first, agent.log.with_name("trace"), attempt.inject)
    listened = await _start(till, tracer.launch, "first" if attempt.how != "full" else "")
    tracer.close()
    if attempt.how == "cut" and stage.disk is not None:
        stage.disk.pull()
        stage.disk.plug_in()
    phase = _phase(agent.data_dir)
    stage.seen["listened" if listened else f"ended, {phase}"] += 1
    if attempt.act == "there" and phase != "ready" and flash.requests:
        stage.tally.breaches.append("it sent something before it was ready")
    if attempt.then == "older":
        await _older(stage, till)
    else:
        await _start(till, stage.newer.launch, "then", must=True)
        await _older(stage, till)
    await _settle(stage, till, flash)
    await _older(stage, till)


async def _start(till: Till, launch: Launch, sale: str, *, must: bool = False) -> bool:
    """Start, and where it listens sell and look for everything; killed in the end. Whether it listened."""
    till.agent.launch = launch
    try:
        await asyncio.to_thread(till.agent.start)
    except AssertionError:
        if must:
            raise
        return False
    try:
        with contextlib.suppress(aiohttp.ClientError, OSError):  # where it is to be killed later
            if sale:
                await _sell(till, f"{sale}-{len(till.accepted)}")
    finally:
        till.agent.kill()
    return True


async def _sell(till: Till, order: str) -> None:
    assert till.witness is not None
    shown = {operation["id"] for operation in await till.operations()}
    lacking = set(till.witness.acknowledged) - shown
    assert not lacking, f"{len(lacking)} acknowledged operations are not there"
    sale = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20}
    status, operation = await till.post("/v1/sales", sale)
    assert status == 202, operation
    till.accepted[order] = operation["id"]


async def _older(stage: Stage, till: Till) -> None:
    """The older version starts and has everything, or says that the newer one was ready, where it was."""
    phase = _phase(till.agent.data_dir)
    before = till.agent.log.stat().st_size
    if await _start(till, stage.older.launch, "older"):
        stage.seen["the older one went on"] += 1
        if phase == "ready":
            stage.tally.breaches.append("the older version runs where the newer one was ready")
        return
    said = till.agent.log.read_bytes()[before:].decode(errors="replace")
    if phase != "ready" or "newer version" not in said:
        stage.tally.breaches.append(f"the older version does not start, and the record says {phase}:\n{said}")
    stage.seen["the older one refused"] += 1


async def _settle(stage: Stage, till: Till, flash: StrictFlash) -> None:
    """The newer version upgrades, or goes on, and everything takes effect once."""
    assert till.witness is not None
    till.agent.launch = stage.newer.launch
    await asyncio.to_thread(till.agent.start)
    shown = await till.operations()
    till.witness.judge(flash, shown).add_to(stage.tally)
    if not stage.tally.broken:
        await till.settled(flash, SETTLE_S)
        shown = await till.operations()
        till.witness.judge(flash, shown).add_to(stage.tally)
        stage.tally.breaches += unsuccessful(shown)[:ENOUGH] + unawarded(flash)[:ENOUGH]
        conditions = {each["code"] for each in (await till.get("/v1/status"))["conditions"]}
        if odd := conditions & {"upgrade-rolled-back", "database-quarantined", "storage-unavailable"}:
            stage.tally.breaches.append(f"in the end it says {', '.join(odd)}")
    till.agent.kill()


def _phase(data_dir: Path) -> str:
    """How the upgrade to the newer version stands, as the record says."""
    record = data_dir / "upgrades" / "state.json"
    if not record.exists():
        return "nothing"
    said = json.loads(record.read_text())
    return said["phase"] if said["to"]["program"] == NEWER else "nothing"


CAMPAIGN = Campaign(
    name="upgrade",
    promise="An upgrade that is ended anywhere loses nothing, doubles nothing and leaves a till that starts",
    unit="upgrades",
    run=run,
    missing=lambda: tracing.missing() or disks.missing("mkfs.ext4"),
    controls=(
        Control(
            "it sends and accepts before it is ready",
            (Change("agent/app/agent.py", "            self._upgrade.ready()\n", "            pass\n"),),
        ),
        Control(
            "nothing is copied",
            (
                Change(
                    "agent/storage/upgrade.py",
                    "            before = await self._begin(database, have)\n",
                    "            before = None\n",
                ),
            ),
        ),
        Control(
            "the newer version's log stays",
            (Change("agent/storage/upgrade.py", '_FILES = ("", "-wal", "-journal", "-shm")', '_FILES = ("",)'),),
        ),
        Control(
            "the copy is not synced",
            (Change("agent/storage/copying.py", "            os.fsync(written.fileno())\n", "            pass\n"),),
            seed=87,  # a power cut between migrated and ready comes first
        ),
    ),
)
