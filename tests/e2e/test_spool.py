"""A spool folder's agent is killed again and again between taking a file and moving it: each effect comes once."""

import random
from pathlib import Path

import pytest

from tests.campaigns.spool import torment
from tests.support.forking import quickly

pytestmark = [pytest.mark.e2e, pytest.mark.chaos, pytest.mark.timeout(180)]


async def test_killed_at_any_moment_nothing_is_lost_nothing_counts_twice(tmp_path: Path) -> None:
    with quickly() as launch:
        tally = await torment(tmp_path, launch, 20, random.Random(11), 60)
    assert (tally.tries, tally.lost, tally.doubled, tally.breaches) == (20, 0, 0, [])
