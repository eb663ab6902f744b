"""kill -9 at random moments while a spool folder is emptied: each file ends once where it belongs, each effect once."""

import asyncio
import json
import random
import tempfile
from collections import Counter
from pathlib import Path

import aiohttp

from tests.support.agents import AgentProcess, Launch, agent_process, strict_flash, until
from tests.support.campaign import Campaign, Control, Size, Tally
from tests.support.forking import quickly
from tests.support.strict_flash import StrictFlash
from tests.support.tills import Till
from tests.support.weakened import Change

KILLS = {Size.SHORT: 40, Size.LONG: 1000}
LONGEST_LIFE_S = 0.4
FILES_A_LIFE = 4
LIMIT_S = {Size.SHORT: 60, Size.LONG: 900}  # for the folder to be emptied, and for the rest to drain
WHY = ".why.json"
ADA = {"externalId": "POS-CUST-5512"}
CHOSEN = {"FLASH_AGENT_SPOOL__SETTLE_S": "0.05", "FLASH_AGENT_SPOOL__PATIENCE_S": "0"}


def run(size: Size, seed: int) -> Tally:
    """Files come without pause while the agent is killed and started again."""
    with tempfile.TemporaryDirectory() as folder, quickly() as launch:
        return asyncio.run(torment(Path(folder), launch, KILLS[size], random.Random(seed), LIMIT_S[size]))


async def torment(place: Path, launch: Launch, kills: int, chance: random.Random, limit_s: float) -> Tally:
    """So many kills, then what they left."""
    tally, writer = Tally(), Writer(place / "spool", chance)
    chosen = {**CHOSEN, "FLASH_AGENT_SPOOL__FOLDERS": json.dumps({"canonical": str(writer.folder)})}
    with (
        strict_flash() as flash,
        agent_process(place / "data", flash.base_url, launch=launch, **chosen) as agent,
    ):
        for _ in range(kills):
            writer.put(FILES_A_LIFE)
            await asyncio.sleep(chance.uniform(0, LONGEST_LIFE_S))  # the moment of the kill is what is random here
            await asyncio.to_thread(_kill_and_start, agent)
            tally.tries += 1
        await _judge(agent, flash, writer, tally, limit_s)
    return tally


def _kill_and_start(agent: AgentProcess) -> None:
    agent.kill()
    agent.start()


class Writer:
    """The other system: puts whole files into the folder, some of them twice, some with a fault in them."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.put_in: list[bytes] = []
        self.numbers = 0
        self._chance = chance
        folder.mkdir()

    def put(self, count: int) -> None:
        """So many more; about every fourth is an earlier one once more."""
        for _ in range(count):
            if self.put_in and self._chance.random() < 0.25:
                content = self._chance.choice(self.put_in)
            else:
                content, self.numbers = content_of(self.numbers), self.numbers + 1
            name = f"orders-{self._chance.randrange(20)}.jsonl"  # names come back, but none that still waits
            while (self.folder / name).exists():
                name = f"more-{name}"
            draft = self.folder / f".{name}"
            draft.write_bytes(content)
            draft.rename(self.folder / name)
            self.put_in.append(content)

    def waiting(self) -> list[Path]:
        return [path for path in self.folder.glob("[!.]*") if path.is_file()]


def content_of(number: int) -> bytes:
    """Two sales and a refund of the first; in every third file a sale that nobody could send, too."""
    sales = [_record("sale", externalOrderId=f"R-{number}-{n}", customer=ADA, totalAmount=20) for n in range(2)]
    bad = [_record("sale", externalOrderId=f"bad-{number}", customer=ADA, totalAmount=-1)] if is_faulty(number) else []
    return b"".join([*sales, *bad, _record("refund", externalOrderId=f"R-{number}-0", refundId="RE", amount=5)])


def is_faulty(number: int) -> bool:
    return number % 3 == 0


def _record(kind: str, **document: object) -> bytes:
    return json.dumps({"kind": kind, "document": document}).encode() + b"\n"


async def _judge(agent: AgentProcess, flash: StrictFlash, writer: Writer, tally: Tally, limit_s: float) -> None:
    async def is_empty() -> bool:
        return not writer.waiting()

    try:
        await until(is_empty, limit_s)
        async with aiohttp.ClientSession() as session:
            await Till(agent, session).settled(flash, limit_s)
    except (AssertionError, TimeoutError):
        tally.breaches.append("the folder was not emptied, or what was taken did not drain, in its time")
    tally.breaches += [*flash.violations[:10], *_misplaced(writer)[:10]]
    refunds = Counter(effect["row"]["order"] for effect in flash.effects if effect["kind"] == "refund")
    wanted = Counter({f"R-{number}-{n}": 1 for number in range(writer.numbers) for n in range(2)})
    refunded = Counter({f"R-{number}-0": 1 for number in range(writer.numbers)})
    tally.lost = ((wanted - flash.awards) + (refunded - refunds)).total()
    tally.doubled = ((flash.awards - wanted) + (refunds - refunded)).total()
    tally.figures["taken"] = f"{len(writer.put_in):,} files; {len(flash.effects):,} effects in Flash"


def _misplaced(writer: Writer) -> list[str]:
    """What is not where it belongs, or has not its reason beside it."""
    done, failed = writer.folder / "done", writer.folder / "failed"
    faulty = {content_of(number) for number in range(writer.numbers) if is_faulty(number)}
    there = {
        done: Counter(path.read_bytes() for path in done.glob("*/*")),
        failed: Counter(path.read_bytes() for path in failed.iterdir() if not path.name.endswith(WHY)),
    }
    wanted = {
        done: Counter(content for content in writer.put_in if content not in faulty),
        failed: Counter(content for content in writer.put_in if content in faulty),
    }
    wrong = [
        f"{(wanted[at] - there[at]).total()} files are missing in {at.name}" for at in there if wanted[at] - there[at]
    ]
    wrong += [
        f"{(there[at] - wanted[at]).total()} files too many in {at.name}" for at in there if there[at] - wanted[at]
    ]
    names = {path.name for path in failed.iterdir()}
    files = {name for name in names if not name.endswith(WHY)}
    wrong += [f"{name} failed without a reason" for name in files if f"{name}{WHY}" not in names]
    wrong += [f"{name} is left without its file" for name in names - files if name.removesuffix(WHY) not in files]
    return wrong


CAMPAIGN = Campaign(
    name="spool",
    promise="A spooled file survives kill -9: it ends in done or failed, and takes effect once",
    unit="kills",
    run=run,
    controls=(
        Control(
            "a file has another name while it is taken, which nobody knows after a kill",
            (
                Change(
                    "agent/spool/taking.py",
                    "        try:\n"
                    "            await self._take_all(source, name, report)\n"
                    "        finally:\n"
                    "            await asyncio.to_thread(source.close)\n",
                    "        path = self._places.folder / entry.name\n"
                    "        path.rename(path.with_name('.taking-' + entry.name))\n"
                    "        try:\n"
                    "            await self._take_all(source, name, report)\n"
                    "        finally:\n"
                    "            source.close()\n"
                    "        path.with_name('.taking-' + entry.name).rename(path)\n",
                ),
            ),
        ),
        Control(
            "a report is written after its file was moved",
            (
                Change(
                    "agent/spool/places.py",
                    "            if report is not None:\n"
                    "                self._write(why, report)\n"
                    "            _rename(source, target)\n",
                    "            _rename(source, target)\n"
                    "            __import__('time').sleep(0.02)\n"  # a disk slow enough for a kill to fall in between
                    "            if report is not None:\n"
                    "                self._write(why, report)\n",
                ),
            ),
        ),
        Control(
            "a file that was taken before the kill takes effect under another id",
            (
                Change(
                    "agent/importing/items.py",
                    '    document = item.document.model_copy(update={"metadata": metadata})\n',
                    '    document = item.document.model_copy(update={"metadata": metadata})\n'
                    "    if isinstance(document, Sale):\n"
                    "        unique = f'{document.external_order_id}~{__import__(\"time\").time()}'\n"
                    "        document = document.model_copy(update={'external_order_id': unique})\n",
                ),
            ),
        ),
    ),
)
