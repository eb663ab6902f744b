"""What the commands are tried on: a stand-in for Flash and an agent, each a process of its own."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agents import AgentProcess, agent_process
from tests.support.commands import NOWHERE, Flash, serving


@pytest.fixture
def flash() -> Iterator[Flash]:
    with serving("sandbox", "--port", "0") as sandbox:
        sandbox.line_with("Stop it with Ctrl-C.")
        names = ("base URL", "write key", "read key", "store")
        yield Flash(*(re.search(rf"^{name} +(\S+)$", sandbox.said, re.MULTILINE)[1] for name in names))


@pytest.fixture
def agent(flash: Flash, tmp_path: Path) -> Iterator[AgentProcess]:
    patient = {"FLASH_AGENT_MEMBERS__LOOKUP_BUDGET_MS": "10000"}  # a busy machine is slow
    with agent_process(tmp_path / "data", flash.base_url, **flash.settings(), **patient) as started:
        yield started


@pytest.fixture
def offline(tmp_path: Path) -> Iterator[AgentProcess]:
    with agent_process(tmp_path / "data", NOWHERE) as started:
        yield started
