"""The frame of the campaigns itself: a check that cannot fail would prove nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaigns import ALL
from tests.support.campaign import BROKEN, FAULTY, HELD, Campaign, Report, Size, Tally, run_one
from tests.support.weakened import ROOT, Change, environment_of, weakened, weakened_copy


def campaign(tally: Tally | Exception) -> Campaign:
    def run(size: Size, seed: int) -> Tally:
        if isinstance(tally, Exception):
            raise tally
        return tally

    return Campaign("toy", "Nothing breaks", "tries", run)


@pytest.mark.parametrize(
    ("tally", "code"),
    [
        (Tally(tries=1), HELD),
        (Tally(tries=0), FAULTY),
        (Tally(tries=0, breaches=["it did not start"]), BROKEN),
        (Tally(tries=1, lost=1), BROKEN),
        (Tally(tries=1, doubled=1), BROKEN),
        (Tally(tries=1, breaches=["late"]), BROKEN),
        (OSError("no disk"), FAULTY),
    ],
)
def test_the_exit_code_says_how_it_went(tally: Tally | Exception, code: int, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert run_one([campaign(tally)], ["toy", "--report", str(report)]) == code
    if isinstance(tally, Tally):
        assert Report.read(report).tally == tally
    else:
        assert not report.exists()


def test_a_weakened_copy_is_what_runs(tmp_path: Path) -> None:
    change = Change(
        "agent/__init__.py",
        '"""',
        '"""Weakened. ',
    )
    with pytest.raises(ValueError, match=r"occurs \d+ times instead of once"):
        weakened_copy(tmp_path / "one", [change])
    first = (ROOT / "agent/errors.py").read_text(encoding="utf-8").splitlines()[0]
    folder = weakened_copy(tmp_path / "two", [Change("agent/errors.py", first, '"""Weakened.')])
    shown = subprocess.run(
        [sys.executable, "-c", "import agent.errors; print(agent.errors.__doc__[:9], agent.errors.__file__)"],
        cwd=folder,
        env=environment_of(folder),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert shown.split() == ["Weakened.", str(folder / "agent" / "errors.py")]


def test_every_control_still_fits_the_code() -> None:
    controls = [control for each in ALL for control in each.controls]
    assert all(weakened(ROOT, control.changes) for control in controls if control.changes)
    assert len(controls) > len(ALL)


def test_the_campaigns_have_names_of_their_own() -> None:
    assert len({each.name for each in ALL}) == len(ALL) > 0
