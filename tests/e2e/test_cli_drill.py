"""`flash-agent drill` on a running till."""

import sys

import pytest

from tests.support.agents import AgentProcess
from tests.support.commands import flash_agent, of, sell, until

pytestmark = pytest.mark.e2e


def test_a_drill_is_started_shown_and_stopped(agent: AgentProcess) -> None:
    assert of(agent, "drill", "status").stdout == "No drill runs.\n"
    started = of(agent, "drill", "start", "--minutes", "5")
    assert (started.returncode, started.stderr) == (0, "")
    assert "nothing is sent to Flash" in started.stdout
    assert started.stdout.endswith("in 5 min.\n")
    assert sell(agent, "90871", 120, wait=2)["status"] == "pending"
    assert "outage-drill" in of(agent, "status").stdout
    assert "An outage drill runs" in of(agent, "drill", "status").stdout
    stopped = of(agent, "drill", "stop")
    assert (stopped.returncode, stopped.stdout[:20]) == (0, "The drill has ended.")
    until(lambda: "succeeded" in of(agent, "operations", "list").stdout)
    assert of(agent, "drill", "stop").stdout.startswith("No drill was running.")


@pytest.mark.parametrize("minutes", ["0", "121", "ten", "1.5"])
def test_its_length_is_bounded(minutes: str) -> None:
    result = flash_agent("drill", "start", "--minutes", minutes)
    assert result.returncode == 2
    assert f"'{minutes}' is not a number from 1 to 120" in result.stderr


def test_it_loads_no_http_library(agent: AgentProcess) -> None:
    result = flash_agent("drill", "status", "--data-dir", agent.data_dir, python=(sys.executable, "-X", "importtime"))
    assert result.returncode == 0
    assert "aiohttp" not in result.stderr
