"""`flash-agent summary` on a running till."""

import json
import re
import sys
from datetime import date, timedelta

import pytest

from tests.support.agents import AgentProcess
from tests.support.commands import Flash, fail, flash_agent, of, post, sell

pytestmark = pytest.mark.e2e
DAY = (date.today() - timedelta(days=3)).isoformat()  # noqa: DTZ011 - the till's own day


def test_a_days_sheet(agent: AgentProcess, flash: Flash) -> None:
    sell(agent, "1", 1234.5, wait=10, businessDate=DAY)
    sell(agent, "2", 10, wait=10, businessDate=DAY, currency="EUR")
    flash.place("3", 10)
    assert sell(agent, "3", 20, wait=10, businessDate=DAY)["status"] == "failed"
    post(agent, "refunds", {"externalOrderId": "1", "refundId": "r", "amount": 100, "businessDate": DAY}, wait=10)
    result = of(agent, "summary", "--date", DAY)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Business date {DAY}, as of ")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["sales", "3", "10.00", "EUR"] in lines
    assert ["1,254.50", "USD"] in lines
    assert ["failed:", "see", "operations", "list", "1", "20.00", "USD"] in lines
    assert ["refunds", "1", "100.00", "USD"] in lines
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert not re.search(r"\dT\d", result.stdout), "times are the till's own, for people"
    shown = json.loads(of(agent, "summary", "--date", DAY, "--json").stdout)
    assert shown["sales"]["amounts"] == {"EUR": "10.00", "USD": "1254.50"}
    points = shown["points"]
    assert points["awarded"] > points["clawedBack"] > 0
    assert ["points", "awarded", f"{points['awarded']:,}"] in lines


def test_today_is_the_default_and_says_what_has_no_date(agent: AgentProcess, flash: Flash) -> None:
    fail(agent, flash, "1")
    result = of(agent, "summary")
    assert result.returncode == 0
    assert "Without a business date: 1. They count by" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.parametrize("day", ["today", "2026-13-01", "20261125", ""])
def test_a_day_is_a_date(day: str) -> None:
    result = flash_agent("summary", "--date", day)
    assert result.returncode == 2
    assert "is not a date such as" in result.stderr


def test_a_day_past_its_retention_is_said_to_be_so(agent: AgentProcess) -> None:
    result = of(agent, "summary", "--date", "2020-01-01")
    assert result.returncode == 1
    assert "past its retention" in result.stderr


def test_it_loads_no_http_library(agent: AgentProcess) -> None:
    result = flash_agent("summary", "--data-dir", agent.data_dir, python=(sys.executable, "-X", "importtime"))
    assert result.returncode == 0
    assert not any(name in result.stderr for name in ("aiohttp", "babel"))
