"""Property tests measure nothing and leave nothing behind; time passes only when a test says so."""

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings

from agent import config
from agent.clock import Clock

settings.register_profile("unit", deadline=None, database=None)
settings.load_profile("unit")


class ManualClock(Clock):
    """A clock that shows what it is told."""

    def __init__(self):
        super().__init__()
        self.elapsed_s = 1000.0
        self.wall = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def now(self):
        return self.wall

    def monotonic(self):
        return self.elapsed_s

    def steady_ms(self):
        return int(self.elapsed_s * 1000)

    def advance(self, seconds):
        self.elapsed_s += seconds
        self.wall += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def environ(monkeypatch):
    """The environment without this machine's own settings of the agent; what a test sets in it goes with the test."""
    for name in list(os.environ):
        if name.upper().startswith("FLASH_AGENT_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def load(tmp_path):
    """Loads settings from a configuration file of this text (or bytes), and flags."""

    def load_text(text="", flags=None):
        path = tmp_path / "agent.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return config.load(str(path), flags)

    return load_text
