"""What the commands print for people: times by the till's own clock, and commands that can be copied."""

import time

import pytest

from agent.cli import text
from agent.clock import local_text

SUMMER, WINTER = "2026-07-01T17:03:11.250Z", "2026-11-26T17:03:11.250Z"


@pytest.fixture
def berlin(monkeypatch):
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone is the system's, and cannot be set for one process")
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("given", "shown"), [(SUMMER, "2026-07-01 19:03:11+02:00"), (WINTER, "2026-11-26 18:03:11+01:00")]
)
def test_a_time_is_shown_by_the_tills_own_clock(given, shown):
    assert text.local(given) == shown
    assert text.ago(given).startswith(f"{shown} (")


@pytest.mark.parametrize("given", ["yesterday", "", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00"])
def test_what_is_no_time_is_shown_as_it_came(given):
    """A rescue file and Flash's rows are others' words."""
    assert local_text(given) == given


def test_no_time_is_shown_as_nothing():
    assert (text.local(None), text.ago(None)) == ("-", "-")


def test_a_command_in_a_paragraph_is_never_cut():
    command = "flash-agent setup --no-service --config /etc/flash-agent/a-till-with-a-long-name.toml"
    for width in range(20, 60):
        words = [word for line in text.wrapped(f"Type: {command}", width, "-> ", "   ") for word in line.split()]
        assert words == ["->", "Type:", *command.split()]


@pytest.mark.parametrize(("count", "shown"), [(0, "0 checks"), (1, "1 check"), (2, "2 checks")])
def test_one_is_not_counted_as_many(count, shown):
    assert text.counted(count, "check") == shown
