"""The demo, as somebody meets it who has just installed the agent."""

import json
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from agent.app import Agent
from agent.cli.story import Story
from agent.cli.till import Till
from agent.sandbox import Sandbox
from tests.support.agents import settings
from tests.support.commands import call, flash_agent, serving

# A machine under load; an idle one needs a second or two.
DEADLINE_S = 15.0
BOOKED = re.compile(r"(9\d{4})  (sale|refund) +([+-]\d+|none) +([+-]\d+|none)$", re.MULTILINE)
EXPECTED = {
    ("90871", "sale", "+6"),
    ("90872", "sale", "+10"),
    ("90872", "refund", "-2"),
    ("90873", "sale", "+4"),
    ("90874", "sale", "+4"),
    ("90875", "sale", "+2"),
    ("90876", "sale", "+2"),
    ("90877", "sale", "+2"),
}


@pytest.mark.e2e
def test_the_story_ends_with_both_ledgers_agreeing(tmp_path: Path) -> None:
    began = time.monotonic()
    # A developer's own settings have no say in the demo.
    result = flash_agent("demo", "--once", FLASH_AGENT_FLASH__BASE_URL="https://x.invalid", TMPDIR=str(tmp_path))
    assert time.monotonic() - began < DEADLINE_S
    assert (result.returncode, result.stderr) == (0, "")
    rows = BOOKED.findall(result.stdout)
    assert {(order, what, agent) for order, what, agent, _ in rows} == EXPECTED
    assert all(agent == flash for _, _, agent, flash in rows)
    assert len(rows) == len(EXPECTED)
    assert result.stdout.rstrip().endswith("each booked once, each after what it needs.")
    assert not list(tmp_path.iterdir()), "the data directory is gone"


@pytest.mark.e2e
def test_the_story_shows_what_it_claims() -> None:
    said = flash_agent("demo", "--once").stdout
    assert re.search(r"90871  120\.00  Ada +200 in .*You earned 6 points, Balance: 1,820", said)
    assert len(re.findall(r" 202 in +\d+ ms  pending", said)) == 5
    assert "pending, waits for the enrollment" in said
    assert "pending, waits for the sale" in said
    assert "The agent is offline, keeps 5;" in said
    assert said.index("new member  Mary Jackson") < said.index("90873          +4  Mary Jackson")
    assert "Idempotency-Replayed: true; Flash has booked sale 90872 once." in said
    assert re.search(r"The agent sent it (twice|\d+ times), Flash has booked it once\.", said)


@pytest.mark.e2e
def test_the_story_shows_the_counter() -> None:
    said = flash_agent("demo", "--once").stdout
    offline, online = said.index("The network goes"), said.index("The network returns")
    outage, after = said[offline:online], said[online:]
    assert re.search(
        r"Ada .*remembered for \d+ s: balance 1,820; not counted yet: 1 sale of 200\.00, 1 refund$",
        outage,
        re.MULTILINE,
    )
    assert re.search(r"Mary .*enrolled here: no balance yet; not counted yet: 1 sale of 80\.00$", outage, re.MULTILINE)
    assert re.search(r"Mary .*Flash says: balance 4$", after, re.MULTILINE)
    assert re.search(r"The agent asked (twice|\d+ times), Flash has burned it once\.", after)
    assert re.search(r"90877 .* succeeded, Coupon accepted\n.*burned  Ada Lovelace\n.*honor: true", after)
    assert re.search(r"90878 .* declined\n.*honor: false", after)
    assert "Coupons: honored once, burned once." in after


@pytest.mark.e2e
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_it_serves_until_interrupted_and_the_printed_call_works(tmp_path: Path) -> None:
    with serving("demo", TMPDIR=str(tmp_path)) as demo:
        line = demo.line_with("curl -s ")
        demo.line_with("Stop with Ctrl-C.")
        (url,) = re.findall(r"http://\S+/v1/sales", line)
        (token,) = re.findall(r"\$\(cat (\S+)\)", line)
        (body,) = re.findall(r"-d '(.*)'", line)
        sale = json.loads(body)
        status, operation = call("POST", url, Path(token).read_text(), sale, Prefer="wait=5")
        assert (status, operation["status"], operation["result"]["awarded"]) == (200, "succeeded", 3)
        (data_dir,) = re.findall(r"--data-dir (\S+)", demo.said)
        assert "online" in flash_agent("status", "--data-dir", data_dir).stdout
        assert "sale never came" not in flash_agent("summary", "--data-dir", data_dir).stdout
        assert demo.end(signal.SIGINT) == 0
    assert not list(tmp_path.iterdir()), "the data directory is gone"


async def test_a_sale_that_flash_booked_twice_is_not_called_agreement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Sandbox() as sandbox:
        sandbox.state.tenant().ledger.post("award", "mem_ada", 6, order_id="90871")
        chosen = settings(sandbox.base_url, flash={"write_key": sandbox.write_key})
        agent = Agent(chosen, tmp_path)
        await agent.start()
        try:
            token = agent.data_dir.token_path("register").read_text()
            async with Till(f"http://127.0.0.1:{agent.port}", token) as till:
                assert await Story(till, sandbox).play() is False
        finally:
            await agent.stop()
    said = capsys.readouterr().out
    assert re.search(r"90871  sale +\+6 +\+6 \+6  <- differs", said)
    assert "The two sides do NOT agree." in said
    assert "Both sides agree" not in said
