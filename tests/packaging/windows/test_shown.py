"""The setup with its windows: what whoever sits at the till is shown and may press."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.windows.stand_in import Site

pytestmark = [pytest.mark.timeout(300), pytest.mark.unsteady]


@pytest.fixture
def shown(program: Path, site: Site) -> Iterator[Site]:
    """A Windows that nothing of ours was installed on, and that opens windows. `program` brought our hand's Python."""
    site.show_windows()
    site.forget()
    yield site
    (site.wine.drive / "ProgramData" / "flash-agent" / "agent.toml").unlink(missing_ok=True)


def test_cancelled_before_it_began_it_has_done_nothing(shown: Site) -> None:
    code, (asked,) = shown.run_shown(press=["Cancel"])
    assert code == 1
    assert "in the following folder" in asked
    assert shown.asked == []
    assert not shown.programs.exists()
    assert shown.listed == {}


def test_there_is_no_way_back_or_out_while_it_works_or_once_it_is_done(shown: Site) -> None:
    code, (first, last) = shown.run_shown("/ANSWERS=C:\\codes.txt", press=["Install", "Close"])
    assert code == 0
    assert "Back" not in first
    assert last.endswith("Completed [Close]")
    assert shown.asked == ["0.2.0 --version", r"0.2.0 setup --from C:\codes.txt"]
    assert shown.listed == {"FlashPosAgent": "0.2.0"}


def test_answers_that_are_not_taken_are_said_and_can_be_mended(shown: Site) -> None:
    answers = "/ANSWERS=C:\\codes.txt"
    code, (_, said) = shown.run_shown(answers, press=["Install", "OK"], **{r"0.2.0 setup --from C:\codes.txt": 2})
    assert code == 16
    assert "flash-agent setup did not take the answers" in said
    assert "0.2.0" in shown.command
    assert shown.listed == {"FlashPosAgent": "0.2.0"}


def test_an_answers_file_that_is_not_there_is_said_at_once(shown: Site) -> None:
    code, (said,) = shown.run_shown(r"/ANSWERS=C:\nowhere.toml", press=["OK"])
    assert code == 11
    assert r"There is no file C:\nowhere.toml, which /ANSWERS names." in said
    assert shown.asked == []


def test_a_till_that_is_new_is_set_up_at_once_or_later(shown: Site) -> None:
    code, (*_, offered) = shown.run_shown(press=["Install", "Close", "No"])
    assert code == 0
    assert "This till is not set up yet: set it up now?" in offered
    assert shown.asked == ["0.2.0 --version"]

    code, _ = shown.run_shown(press=["Install", "Close", "Yes"])
    assert code == 0
    assert shown.wait_until_asked("0.2.0 setup")


def test_a_till_that_was_set_up_is_asked_nothing(shown: Site) -> None:
    config = shown.wine.drive / "ProgramData" / "flash-agent" / "agent.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch()
    code, said = shown.run_shown(press=["Install", "Close"])
    assert code == 0
    assert len(said) == 2
    assert shown.asked[-1] == "0.2.0 service start"
