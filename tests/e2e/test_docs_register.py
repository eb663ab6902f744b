"""The register in docs/integrating.md does what that page asks of one: it sells, with an agent and without."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agents import AgentProcess, agent_process
from tests.support.commands import ADA, Flash, call, environment, of, until

PAGE = Path(__file__).parents[2] / "docs" / "integrating.md"
(AS_PRINTED,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
PROGRAM = AS_PRINTED.replace("wait=3", "wait=20").replace("timeout=5", "timeout=40")  # a busy machine is slow


def run(agent: AgentProcess) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, str(agent.data_dir / "register.token"), str(agent.port)]
    return subprocess.run(command, check=True, env=environment(), capture_output=True, text=True, timeout=50)


@contextlib.contextmanager
def at_the_door_of(agent: AgentProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict]:
    """What the program has by name."""
    monkeypatch.setattr(sys, "argv", ["register", str(agent.data_dir / "register.token"), str(agent.port)])
    names = {"__name__": "register"}
    exec(compile(PROGRAM, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    yield names
    names["AGENT"].close()


@pytest.fixture
def register(agent: AgentProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict]:
    with at_the_door_of(agent, monkeypatch) as names:
        yield names


def test_it_sells_with_an_agent(agent):
    done = run(agent)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "Balance: 1,814",
        "10% off",
        "Coupon accepted",
        "You earned 5 points",
        "Balance: 1,819",
        "1 point taken back",
        "Balance: 1,818",
    ]


def test_it_sells_without_one(agent):
    agent.kill()
    done = run(agent)
    assert done.stderr == ""
    assert done.stdout.split("\n")[:2] == ["The member cannot be shown now", "No discount"]


def test_what_had_no_answer_is_sent_when_there_is_one(agent, register):
    sale = {"externalOrderId": "93001", "transactionId": "T-1", "customer": ADA, "totalAmount": "108.00"}
    agent.kill()
    assert register["redeem"]("cpn_ada_10off", "T-1", ADA) == (False, [])
    assert register["post"]("/v1/sales", sale) == []
    register["send_again"]()
    assert [path for path, _ in register["UNSENT"]] == ["/v1/redemptions/void", "/v1/sales"]
    agent.start()
    register["send_again"]()
    assert register["UNSENT"] == []
    _, kept = call("GET", f"http://127.0.0.1:{agent.port}/v1/operations", agent.token)
    assert [each["request"]["externalOrderId"] for each in kept["operations"]] == ["93001"]


def test_what_can_never_be_taken_is_not_sent_for_ever(register, capsys):
    register["post"]("/v1/sales", {"externalOrderId": "93001", "totalAmount": "108,00", "customer": ADA})
    assert register["UNSENT"] == []
    assert "totalAmount" in capsys.readouterr().err


def test_a_discount_that_the_store_honors_offline_is_given(flash: Flash, tmp_path, monkeypatch) -> None:
    settings = flash.settings() | {"FLASH_AGENT_COUPONS__OFFLINE": "limited"}
    with (
        agent_process(tmp_path / "data", flash.base_url, **settings) as agent,
        at_the_door_of(agent, monkeypatch) as till,
    ):
        until(lambda: (till["look_up"](ADA["externalId"]) or {}).get("coupons"))
        assert of(agent, "drill", "start").returncode == 0
        assert till["redeem"]("cpn_ada_10off", "T-1", ADA)[0] is True
        of(agent, "drill", "stop")
