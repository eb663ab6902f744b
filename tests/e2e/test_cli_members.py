"""`flash-agent members` on a running till."""

import sys

import pytest

from tests.support.agents import AgentProcess
from tests.support.commands import flash_agent, of, sell

pytestmark = pytest.mark.e2e


def test_a_member_is_shown_followed_and_forgotten(agent: AgentProcess) -> None:
    shown = of(agent, "members", "show", "--external-id", "POS-CUST-5512")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "ada@example.com" in shown.stdout
    assert "1814" in shown.stdout
    assert "cpn_ada_coffee, cpn_ada_spring (expired)\n" in shown.stdout
    synced = of(agent, "members", "sync")
    assert (synced.returncode, synced.stderr) == (0, "")
    assert "1 member is remembered" in synced.stdout
    gone = of(agent, "members", "forget", "--email", "Ada@example.com")
    assert (gone.returncode, gone.stdout) == (0, "Erased: snapshots 1, operations 0.\n")
    assert of(agent, "members", "forget", "--email", "ada@example.com").stdout.startswith("This till holds nothing")
    unknown = of(agent, "members", "show", "--member-id", "nobody")
    assert (unknown.returncode, unknown.stderr) == (1, "flash-agent: Flash knows no such member.\n")


def test_a_key_that_no_command_line_shows_is_read_from_the_input(agent: AgentProcess) -> None:
    shown = of(agent, "members", "show", "--email", "-", typed=" ada@example.com \n")
    assert (shown.returncode, "POS-CUST-5512" in shown.stdout) == (0, True)
    gone = of(
        agent, "members", "forget", "--external-id", "-", "--email", "-", typed="POS-CUST-5512\nada@example.com\n"
    )
    assert (gone.returncode, gone.stdout) == (0, "Erased: snapshots 1, operations 0.\n")
    refused = of(agent, "members", "forget", "--email", "-", typed="\n")
    assert (refused.returncode, refused.stderr) == (
        2,
        "flash-agent: The member's email is missing: type it, or pipe one line.\n",
    )


def test_one_key_is_wanted() -> None:
    assert flash_agent("members", "show").returncode == 2
    assert flash_agent("members", "show", "--email", "a@b.c", "--member-id", "x").returncode == 2
    refused = flash_agent("members", "forget")
    assert (refused.returncode, "Say whom to forget" in refused.stderr) == (2, True)


def test_forgetting_takes_every_key_that_is_known(agent: AgentProcess) -> None:
    for order, customer in (("o-1", {"externalId": "C-77"}), ("o-2", {"email": "seven@example.com"})):
        assert sell(agent, order, 3, wait=20, customer=customer)["status"] == "succeeded"
    gone = of(agent, "members", "forget", "--external-id", "C-77", "--email", "seven@example.com")
    assert (gone.returncode, gone.stdout) == (0, "Erased: snapshots 0, operations 2.\n")


def test_it_loads_no_http_library(agent: AgentProcess) -> None:
    command = (sys.executable, "-X", "importtime")
    result = flash_agent("members", "sync", "--data-dir", agent.data_dir, python=command)
    assert result.returncode == 0
    assert "aiohttp" not in result.stderr
