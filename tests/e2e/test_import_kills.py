"""An import of ten thousand documents, killed at random moments and taken up again: each lands once at Flash."""

import contextlib
import json
import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from tests.support.agents import AgentProcess, agent_process, strict_flash
from tests.support.commands import LIMIT_S, PYTHON, environment, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.chaos,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal"),
]

SALES, REFUNDS = 9_800, 200
MAPPING = {
    "kind": {"column": "Type", "values": {"S": "sale", "R": "refund"}},
    "sale": {"externalOrderId": "erp-{No}", "totalAmount": "Total", "customer.externalId": "Card"},
    "refund": {"externalOrderId": "erp-{Of}", "refundId": "erp-{No}", "amount": "Total", "customer.externalId": "Card"},
}
SETTINGS = {
    "FLASH_AGENT_ADAPTERS__CSV": json.dumps({"mappings": {"receipts": MAPPING}}),
    "FLASH_AGENT_RELAY__BATCH_SIZE": "100",
}


def written(file: Path) -> Path:
    """Sales, and behind each fiftieth or so a refund of one before it."""
    rows, every = ["Type,No,Of,Total,Card"], SALES // REFUNDS
    for number in range(SALES):
        rows.append(f"S,{number},,20.00,POS-CUST-5512")
        if number % every == every - 1:
            rows.append(f"R,{SALES + number},{number - random.randrange(every)},5.00,POS-CUST-5512")
    file.write_text("\n".join(rows) + "\n", "utf-8")
    return file


class Import:
    """`flash-agent import` as a process, and how far it says that it has come."""

    def __init__(self, agent: AgentProcess, file: Path) -> None:
        self._folder = agent.data_dir / "imports"
        command = [*PYTHON, "-m", "agent", "import", file, "--adapter", "csv", "--data-dir", agent.data_dir, "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.process = subprocess.Popen([*map(str, command)], env=environment(), text=True, **pipes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """It does not outlive a test that failed: its pipes would be found open in a later one."""
        self.process.kill()
        self.process.communicate()

    @property
    def items(self) -> int:
        for kept in self._folder.glob("*.json"):
            with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
                return json.loads(kept.read_text())["items"]
        return 0

    def reaches(self, items: int) -> bool:
        """Wait until it has come so far; False where it has ended before."""
        ends: Callable[[], bool] = lambda: self.process.poll() is not None  # noqa: E731
        until(lambda: ends() or self.items >= items)
        return not ends()

    def end(self, number: int) -> str:
        """Send it a signal; what it had said."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=LIMIT_S)[1]


def test_an_import_killed_at_random_points_lands_each_document_once(tmp_path: Path) -> None:
    file = written(tmp_path / "receipts.csv")
    with strict_flash() as flash, agent_process(tmp_path / "data", flash.base_url, **SETTINGS) as agent:
        stood = 0
        for part in range(1, 6):  # the import itself, in the first half
            with Import(agent, file) as importing:
                assert importing.reaches(stood + random.randrange(1, 1_000 * part - stood + 1))
                said, before, stood = importing.end(signal.SIGKILL), stood, importing.items
            assert (f"goes on behind item {before:,}, where an earlier run stood" in said) == (before > 0)
        with Import(agent, file) as importing:
            assert importing.reaches(stood + 200)
            said = importing.end(signal.SIGINT)
        assert importing.process.returncode == 130
        assert f"{importing.items:,} items of receipts.csv are taken care of. Run the same command again" in said
        with Import(agent, file) as importing:
            for part in range(6, 9):  # the agent under it, in the second
                assert importing.reaches(random.randrange(1_000 * part - 1_000, 1_000 * part))
                agent.kill()
                agent.start()
            told, said = importing.process.communicate(timeout=LIMIT_S)
        assert importing.process.returncode == 0, said
        assert said.count("Waiting up to 5 min for it.") >= 1
        totals = json.loads(told)["files"][0]["totals"]
        assert totals["accepted"] + totals["replayed"] == SALES + REFUNDS
        assert list((agent.data_dir / "imports").iterdir()) == []

        landed = ("award", "refund")
        assert flash.wait_for(lambda seen: sum(e["kind"] in landed for e in seen.effects) >= SALES + REFUNDS, 60)
        kinds = [effect["kind"] for effect in flash.effects]
        assert (kinds.count("award"), kinds.count("refund")) == (SALES, REFUNDS)
        assert {f"erp-{number}": flash.awards[f"erp-{number}"] for number in range(SALES)} == {
            f"erp-{number}": 1 for number in range(SALES)
        }
        assert (flash.doubles(), flash.violations) == ({}, [])
