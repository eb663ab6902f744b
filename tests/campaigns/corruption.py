"""Damage to the files of a killed agent: it is found and said, what can be read is taken over, nothing is doubled."""

import asyncio
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.agents import AgentProcess, Launch, strict_flash, until
from tests.support.campaign import Campaign, Control, Size, Tally, is_control
from tests.support.damage import PAGE, copy_files, overwrite
from tests.support.forking import quickly
from tests.support.mix import basket, until_accepted
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change

ROUNDS = {Size.SHORT: 2, Size.LONG: 60}  # of every kind of damage
WAIT_S = 30.0
ENOUGH = 5  # breaches: more say nothing more
SAID = {"database-quarantined", "data-key-unavailable"}


@dataclass
class Killed:
    """A killed agent's directory, an older copy of its database, and what it had acknowledged by id."""

    folder: Path
    older: Path
    acknowledged: dict[str, dict[str, Any]]


@dataclass
class Stage:
    """What all tries share."""

    folder: Path
    launch: Launch
    flash: StrictFlash
    chance: random.Random
    tally: Tally = field(default_factory=Tally)
    seen: Counter[str] = field(default_factory=Counter)


def _flip(file: str, most: int) -> Callable[[Path, random.Random], None]:
    def damage(folder: Path, chance: random.Random) -> None:
        path = folder / file
        raw = path.read_bytes()
        for _ in range(chance.randint(1, most)):
            at = chance.randrange(len(raw))
            overwrite(path, at, bytes([path.read_bytes()[at] ^ (1 << chance.randrange(8))]))

    return damage


def _zero(file: str) -> Callable[[Path, random.Random], None]:
    def damage(folder: Path, chance: random.Random) -> None:
        path = folder / file
        at = chance.randrange(path.stat().st_size // PAGE) * PAGE
        overwrite(path, at, bytes(PAGE))

    return damage


def _cut(file: str) -> Callable[[Path, random.Random], None]:
    def damage(folder: Path, chance: random.Random) -> None:
        os.truncate(folder / file, chance.randrange((folder / file).stat().st_size))

    return damage


def _remove(file: str) -> Callable[[Path, random.Random], None]:
    return lambda folder, _: (folder / file).unlink()


def _fill(file: str) -> Callable[[Path, random.Random], None]:
    return lambda folder, chance: (folder / file).write_bytes(chance.randbytes((folder / file).stat().st_size))


def _exchange(folder: Path, _: random.Random) -> None:
    """The log in the database's place, and the other way round."""
    database, log, aside = folder / "agent.db", folder / "agent.db-wal", folder / "aside"
    database.rename(aside)
    log.rename(database)
    aside.rename(log)


DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "bits of the database flipped": _flip("agent.db", 20),
    "a bit of the database's header flipped": lambda folder, chance: overwrite(
        folder / "agent.db", chance.randrange(24), chance.randbytes(1)
    ),
    "bits of the log flipped": _flip("agent.db-wal", 3),
    "a page of the database zeroed": _zero("agent.db"),
    "a page of the log zeroed": _zero("agent.db-wal"),
    "the database cut": _cut("agent.db"),
    "the log cut": _cut("agent.db-wal"),
    "the log deleted": _remove("agent.db-wal"),
    "the log overwritten": _fill("agent.db-wal"),
    "the database deleted": _remove("agent.db"),
    "the database overwritten": _fill("agent.db"),
    "database and log exchanged": _exchange,
    "the data key cut": _cut("data.key"),
    "the data key deleted": _remove("data.key"),
    "the mark overwritten": _fill("agent.db-mark"),
}
OLDER = "an older copy of the database, without a log"
HARMLESS = {"the mark overwritten"}


def run(size: Size, seed: int) -> Tally:
    """Every kind of damage, some times each."""
    with tempfile.TemporaryDirectory() as folder, quickly() as launch, strict_flash() as flash:
        stage = Stage(Path(folder), launch, flash, random.Random(seed))
        asyncio.run(_campaign(stage, ROUNDS[size]))
    stage.tally.figures["seen"] = ", ".join(f"{count} {what}" for what, count in sorted(stage.seen.items()))
    return stage.tally


async def _campaign(stage: Stage, rounds: int) -> None:
    killed = await _prepare(stage)
    stage.tally.figures["at stake"] = f"{len(killed.acknowledged)} operations each time"
    kinds = [*DAMAGES, OLDER] * rounds
    stage.chance.shuffle(kinds)
    for kind in kinds:
        await _try(stage, killed, kind)
        if len(stage.tally.breaches) >= (1 if is_control() else ENOUGH):
            return


async def _prepare(stage: Stage) -> Killed:
    """A database with settled and pending operations, some of them in its log alone."""
    folder, older = stage.folder / "killed", stage.folder / "older.db"
    agent = AgentProcess(folder, stage.flash.base_url, launch=stage.launch)
    async with aiohttp.ClientSession() as session:
        till = Till(agent, session)
        await asyncio.to_thread(agent.start)
        await asyncio.gather(*(basket(till, "first", number) for number in range(40)))
        await till.settled(stage.flash)
        await asyncio.to_thread(agent.end)
        shutil.copy(folder / "agent.db", older)
        await asyncio.to_thread(agent.start)
        stage.flash.stop()
        await asyncio.gather(*(basket(till, "second", number) for number in range(20)))
        shown = {operation["id"]: operation for operation in await till.operations()}
        agent.kill()
    stage.flash.start()
    if not (folder / "agent.db-wal").stat().st_size:
        raise RuntimeError("there is nothing in the log to be damaged")
    return Killed(folder, older, shown)


async def _try(stage: Stage, killed: Killed, kind: str) -> None:
    place = stage.folder / f"try{stage.tally.tries}"
    place.mkdir()
    copy_files(killed.folder, place / "data")
    if kind == OLDER:
        shutil.copy(killed.older, place / "data" / "agent.db")
        (place / "data" / "agent.db-wal").unlink()
    else:
        DAMAGES[kind](place / "data", stage.chance)
    agent = AgentProcess(place / "data", stage.flash.base_url, launch=stage.launch)
    before = len(stage.tally.breaches)
    try:
        async with aiohttp.ClientSession() as session:
            await _judge(stage, killed, Till(agent, session), kind)
    except (AssertionError, TimeoutError) as fault:
        stage.tally.breaches.append(f"{fault!r}\n{agent.log.read_text(errors='replace')[-2000:]}")
    finally:
        agent.kill()
    if "Traceback" in (said := agent.log.read_text(errors="replace")):
        stage.tally.breaches.append(f"a traceback is no message:\n{said[-3000:]}")
    stage.tally.breaches[before:] = [f"{kind}: {breach}" for breach in stage.tally.breaches[before:]]
    stage.tally.tries += 1
    shutil.rmtree(place)


async def _judge(stage: Stage, killed: Killed, till: Till, kind: str) -> None:
    await asyncio.to_thread(till.agent.start)
    said = await _conditions(till)
    if "data-key-unavailable" in said:
        stage.seen["keys said to be unavailable"] += 1
        await _bring_the_key_back(stage, killed, till)
        said = await _conditions(till)
    shown = {operation["id"]: operation for operation in await till.operations()}
    lost = killed.acknowledged.keys() - shown.keys()
    unreadable = sum((operation["error"] or {}).get("code") == "content-damaged" for operation in shown.values())
    stage.seen["quarantined"] += "database-quarantined" in said
    stage.seen[f"operations beyond reading after: {kind}"] += len(lost)
    if "database-quarantined" not in said and len(lost) > unreadable:
        stage.tally.lost += len(lost)
        stage.tally.breaches.append(f"{len(lost)} acknowledged operations are not shown, and nothing is said of it")
    if "database-quarantined" in said and not list(till.agent.data_dir.glob("quarantine/*/agent.db")):
        stage.tally.breaches.append("it is said that the database was set aside, and it was not")
    if said and kind in HARMLESS:
        stage.tally.breaches.append(f"it says {said}, though nothing is lost")
    stage.tally.breaches += [
        f"{operation_id} is another operation now"
        for operation_id in killed.acknowledged.keys() & shown.keys()
        if not _same(killed.acknowledged[operation_id], shown[operation_id])
    ]
    await _trade_on(stage, till)


async def _conditions(till: Till) -> set[str]:
    return {condition["code"] for condition in (await till.get("/v1/status"))["conditions"]} & SAID


async def _bring_the_key_back(stage: Stage, killed: Killed, till: Till) -> None:
    """Nothing is accepted without the key; with it everything is there."""
    sale = {"externalOrderId": "x", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20}
    status, answer = await till.post("/v1/sales", sale)
    if (status, answer["code"]) != (503, "data-key-unavailable"):
        stage.tally.breaches.append(f"without its key it answers {status} {answer}")
    till.agent.kill()
    shutil.copy(killed.folder / "data.key", till.agent.data_dir / "data.key")
    await asyncio.to_thread(till.agent.start)


def _same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether it is the same request still; one that cannot be read any more says nothing."""
    return now["kind"] == before["kind"] and now["request"] in (before["request"], {})


async def _trade_on(stage: Stage, till: Till) -> None:
    """What is left is sent, new sales are accepted and awarded, and nothing has two effects."""
    order = f"after-{stage.tally.tries}"
    sale = {"externalOrderId": order, "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20}
    await until_accepted(till, "/v1/sales", sale)
    await until(lambda: _nothing_is_open(till), WAIT_S)
    if stage.flash.awards[order] != 1:
        stage.tally.breaches.append("a sale after the damage was not awarded")
    doubled = stage.flash.doubles()
    stage.tally.doubled += len(doubled)
    stage.tally.breaches += [f"doubled: {name}" for name in doubled]
    stage.tally.breaches += [f"Flash: {text}" for text in stage.flash.violations[:ENOUGH]]


async def _nothing_is_open(till: Till) -> bool:
    """Whether all that is pending waits for something that failed."""
    return all(operation["waitingFor"] for operation in await till.operations(status="pending"))


CAMPAIGN = Campaign(
    name="corruption",
    promise="Damage to the files is found and said, what can be read is taken over, nothing takes effect twice",
    unit="damages",
    run=run,
    controls=(
        Control(
            "a silent reset instead of a quarantine",
            (
                Change(
                    "agent/storage/quarantine.py",
                    "                replace_patiently(file, target)\n",
                    "                file.unlink()\n",
                ),
            ),
        ),
        Control(
            "nobody looks where the outbox ends",
            (Change("agent/outbox/completeness.py", "    if last >= mark:\n", "    if last >= 0:\n"),),
        ),
    ),
)
