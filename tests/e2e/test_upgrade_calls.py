"""A few of the campaign's points, always the same: an upgrade that is ended at a call of the kernel, there and back."""

import pytest

from tests.campaigns import upgrade
from tests.campaigns.upgrade import Attempt
from tests.support import tracing

pytestmark = [pytest.mark.e2e, pytest.mark.chaos]

POINTS = {
    "there": [
        ("kill", "mkdir:when=1"),  # of the folder for the copy
        ("kill", "fsync:when=2"),
        ("kill", "rename:when=1"),  # the record that it has begun
        ("kill", "rename:when=2"),  # migrated; the record that it is ready
        ("full", "pwrite64:when=30"),  # within the copy
    ],
    "back": [
        ("kill", "rename:when=1"),  # the newer database
        ("kill", "rename:when=2"),  # its log
        ("kill", "rename:when=3"),  # the copy
        ("kill", "rename:when=4"),  # the record that it was put back
        ("full", "pwrite64:when=1"),
    ],
}


@pytest.mark.timeout(150)
@pytest.mark.parametrize("act", POINTS)
async def test_an_upgrade_that_is_ended_anywhere_loses_nothing(tmp_path, act):
    if why := tracing.missing():
        pytest.skip(why)
    async with upgrade.staged(tmp_path, 100) as stage:
        assert stage.made["there"]["rename"] >= 2
        assert stage.made["back"]["rename"] >= 4
        for number, (how, point) in enumerate(POINTS[act]):
            await upgrade.try_one(stage, Attempt(act, how, point, ("older", "newer")[number % 2]))
        assert stage.tally.breaches == []
        assert (stage.tally.tries, stage.tally.lost, stage.tally.doubled) == (len(POINTS[act]), 0, 0)
        assert sum(count for what, count in stage.seen.items() if what.startswith("ended")) >= 4
