"""`operations close` and `exposure`, as a store meets them: real processes beside a running agent."""

import json
import subprocess

import pytest

from tests.support.agents import AgentProcess, agent_process
from tests.support.commands import ADA, Flash, call, flash_agent, of, post

pytestmark = pytest.mark.e2e


def redeem(agent: AgentProcess, coupon_id: str, basket: str = "T-1", **fields: object) -> dict:
    return post(agent, "redemptions", {"couponId": coupon_id, "transactionId": basket, "customer": ADA, **fields}, 3)


def look_up(agent: AgentProcess) -> list[dict]:
    url = f"http://127.0.0.1:{agent.port}/v1/members?externalId={ADA['externalId']}"
    return call("GET", url, agent.token)[1]["coupons"]


def a_coupon(agent: AgentProcess) -> str:
    return next(coupon["id"] for coupon in look_up(agent) if coupon["status"] == "active")


def test_a_credit_is_closed_with_a_reason(agent: AgentProcess) -> None:
    coupon_id = a_coupon(agent)
    operation = redeem(agent, coupon_id)
    assert operation["honor"]
    (row,) = of(agent, "operations", "list", "--kind", "redemption").stdout.splitlines()[1:]
    assert "honored (flash)" in row
    assert coupon_id in row
    post(agent, "redemptions/void", {"couponId": coupon_id, "transactionId": "T-1"})
    assert "coupon-credits-open" in of(agent, "status").stdout
    refused = of(agent, "operations", "close", operation["id"])
    assert refused.returncode == 2
    closed = of(agent, "operations", "close", operation["id"], "--reason", "paid out in cash")
    assert (closed.returncode, closed.stdout.split()[-1]) == (0, "closed")
    again = of(agent, "operations", "close", operation["id"], "--burned", "--reason", "again")
    assert again.returncode == 1
    assert "nothing to close" in again.stderr
    assert "coupon-credits-open" not in of(agent, "status").stdout


def test_the_sheet_of_a_day(tmp_path, flash: Flash) -> None:
    settings = flash.settings() | {"FLASH_AGENT_COUPONS__OFFLINE": "limited"}
    with agent_process(tmp_path / "data", flash.base_url, **settings) as agent:
        coupon_id = a_coupon(agent)
        drill = of(agent, "drill", "start")
        assert drill.returncode == 0
        answer = redeem(agent, coupon_id, businessDate="2026-11-25")
        assert (answer["honor"], answer["basis"]) == (True, "offline-policy")
        sheet = json.loads(of(agent, "exposure", "--date", "2026-11-25", "--json").stdout)
        assert (sheet["total"]["count"], sheet["total"]["open"]) == (1, 1)
        lines = of(agent, "exposure", "--date", "2026-11-25").stdout.splitlines()
        assert "2026-11-25" in lines[0]
        assert any(line.startswith("till till-1") for line in lines)
        assert of(agent, "exposure", "--date", "soon").returncode == 2
        of(agent, "drill", "stop")


def test_without_an_agent_it_says_so(tmp_path) -> None:
    result: subprocess.CompletedProcess[str] = flash_agent("exposure", "--data-dir", tmp_path)
    assert result.returncode == 1
    assert "No agent runs" in result.stderr
