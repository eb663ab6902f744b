"""A spool folder's agent is killed again and again between taking a file and moving it: each effect comes once."""

import json
import random
from collections import Counter
from pathlib import Path

import aiohttp
import pytest

from tests.support.agents import agent_process, strict_flash, until
from tests.support.forking import quickly
from tests.support.tills import Till

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.timeout(180)]
LIVES, FILES = 25, 120
ADA = {"externalId": "POS-CUST-5512"}


def record(kind: str, **document: object) -> bytes:
    return json.dumps({"kind": kind, "document": document}).encode() + b"\n"


def content(number: int) -> bytes:
    """Two sales and a refund of the first; in every fifth file a sale that nobody could send, too."""
    sales = [record("sale", externalOrderId=f"R-{number}-{n}", customer=ADA, totalAmount=20) for n in range(2)]
    refund = record("refund", externalOrderId=f"R-{number}-0", refundId=f"RE-{number}", amount=5)
    bad = [record("sale", externalOrderId=f"bad-{number}", customer=ADA, totalAmount=-1)] if number % 5 == 0 else []
    return b"".join([*sales, *bad, refund])


def waiting(folder: Path) -> int:
    return sum(entry.is_file() and not entry.name.startswith(".") for entry in folder.iterdir())


async def test_killed_at_any_moment_nothing_is_lost_nothing_counts_twice(tmp_path: Path) -> None:
    folder, chance = tmp_path / "spool", random.Random(11)
    folder.mkdir()
    for number in range(FILES):
        (folder / f"{number:03}.jsonl").write_bytes(content(number))
    chosen = {
        "FLASH_AGENT_SPOOL__FOLDERS": json.dumps({"canonical": str(folder)}),
        "FLASH_AGENT_SPOOL__SETTLE_S": "0.05",
        "FLASH_AGENT_SPOOL__PATIENCE_S": "0",
    }
    with (
        strict_flash() as flash,
        quickly() as launch,
        agent_process(tmp_path / "data", flash.base_url, launch=launch, **chosen) as agent,
    ):
        left = waiting(folder)
        for life in range(LIVES):
            goal = max(0, left - chance.randint(0, 2 * FILES // LIVES))

            async def is_reached(goal: int = goal) -> bool:
                return waiting(folder) <= goal

            await until(is_reached, 30)
            for _ in range(chance.randrange(60)):  # anywhere in the next file
                waiting(folder)
            agent.kill()
            left = waiting(folder)
            if life % 5 == 0:  # the same once more, under the name that it had
                (folder / "000.jsonl").write_bytes(content(0))
            agent.start()

        async def is_empty() -> bool:
            return waiting(folder) == 0

        await until(is_empty, 60)
        async with aiohttp.ClientSession() as session:
            await Till(agent, session).settled(flash)
        assert flash.violations == []
        assert flash.doubles() == {}
        assert flash.awards == {f"R-{number}-{n}": 1 for number in range(FILES) for n in range(2)}
        refunds = [effect for effect in flash.effects if effect["kind"] == "refund"]
        assert len(refunds) == FILES
    put_away = [path for path in folder.rglob("*.jsonl") if path.parent != folder]
    again = Counter(path.read_bytes() for path in put_away)
    assert again == Counter([*map(content, range(FILES)), *[content(0)] * (again[content(0)] - 1)])
    in_failed = {path.name for path in (folder / "failed").iterdir()}
    faulty = {name for name in in_failed if not name.endswith(".why.json")}
    assert in_failed == faulty | {f"{name}.why.json" for name in faulty}
    assert sum(path.read_bytes() == content(0) for path in (folder / "failed").iterdir()) == again[content(0)]
    assert len(faulty) == FILES // 5 + again[content(0)] - 1
