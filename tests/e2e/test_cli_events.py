"""`flash-agent events` beside a running till."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.agents import AgentProcess
from tests.support.commands import flash_agent, of, sell, serving

pytestmark = pytest.mark.e2e


def test_it_tells_what_happens_and_goes_on_across_a_restart(agent: AgentProcess) -> None:
    with serving("events", "--data-dir", agent.data_dir) as listener:
        assert listener.line_with("connectivity  ").rstrip().endswith("starting")
        assert listener.line_with("attention  ").rstrip().endswith("nothing")
        sell(agent, "90871", 120, wait=5)
        assert "You earned 6 points" in listener.line_with("sale  90871  succeeded")
        agent.kill()
        assert "waiting for it" in listener.line_with("away")
        agent.start()
        sell(agent, "90872", 120, wait=5)
        listener.line_with("sale  90872  succeeded")
        assert listener.said.count("90871  succeeded") == 1


def test_json_is_a_line_an_event_and_it_ends_when_told(agent: AgentProcess) -> None:
    result = of(agent, "events", "--json", "--count", "2")
    assert (result.returncode, result.stderr) == (0, "")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in events] == ["connectivity", "attention"]
    assert all(event["id"] for event in events)


def test_without_an_agent_it_says_so(tmp_path: Path) -> None:
    result = flash_agent("events", "--data-dir", tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert "No agent runs" in result.stderr


def test_it_loads_no_http_library(agent: AgentProcess) -> None:
    python = (sys.executable, "-X", "importtime")
    result = flash_agent("events", "--count", "1", "--data-dir", agent.data_dir, python=python)
    assert result.returncode == 0
    assert "aiohttp" not in result.stderr
