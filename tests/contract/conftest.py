"""Pauses of the agent in this process that are made shorter where a test would only sit them out."""

import pytest

from agent.outbox import housekeeping


@pytest.fixture
def tidied_soon(monkeypatch):
    """Housekeeping takes a twentieth of a second without writing for the end of it."""
    monkeypatch.setattr(housekeeping, "IDLE_S", 0.05)
