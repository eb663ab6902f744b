"""docs/security.md names a test for each attack; they are there."""

import re
from pathlib import Path

import pytest

from tests.campaigns import ALL

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "security.md"


@pytest.mark.skipif(not PAGE.exists(), reason="the documents are not packaged")
def test_every_test_that_the_attack_list_names_exists():
    table = PAGE.read_text(encoding="utf-8").split("| attack | answer | test |")[1].split("\n\n")[0]
    rows = [row.split("|")[1:-1] for row in table.splitlines()[2:]]
    assert len(rows) > 25
    named = set(re.findall(r"def test_(\w+)", "".join(path.read_text("utf-8") for path in TESTS.rglob("test_*.py"))))
    known = {campaign.name for campaign in ALL} | named
    for attack, answer, proof in rows:
        quoted = re.findall(r"`([^`]+)`", proof)
        assert quoted, attack
        assert answer.strip(), attack
        for name in quoted:
            if name.endswith(".py"):
                assert (TESTS / name).exists(), (attack, name)
            else:
                stem = name.removesuffix("…")
                assert name in known or any(test.startswith(stem) for test in named if stem != name), (attack, name)
