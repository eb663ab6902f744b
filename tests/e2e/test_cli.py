"""The commands as an operator meets them: real processes, an agent and a stand-in for Flash beside them."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.agents import AgentProcess, agent_process
from tests.support.commands import (
    PYTHON,
    Flash,
    call,
    environment,
    flash_agent,
    of,
    sell,
    serving,
)

pytestmark = pytest.mark.e2e

SOME_ID = "op_01m80g68bgb44wp9dzb0a15yrk"
IMPORTED = re.compile(r"^import time:.*\| +(\S+)$", re.MULTILINE)


# ---- usage and weight


def test_without_a_command_it_says_what_there_is() -> None:
    result = flash_agent()
    assert (result.returncode, result.stdout) == (2, "")
    assert all(f"\n    {name}" in result.stderr for name in ("demo", "run", "status", "operations", "config", "key"))
    assert "flash-agent demo needs no set-up" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["statsu"], "invalid choice: 'statsu'"),
        (["operations"], "ACTION"),
        (["operations", "show", "90871"], "'90871' is not an operation's id"),
        (["operations", "retry"], "one of the arguments ID --all-failed is required"),
        (["operations", "discard", SOME_ID], "--reason"),
        (["operations", "list", "--limit", "0"], "'0' is not a number from 1"),
        (["operations", "list", "--date", "14.3.2026"], "'14.3.2026' is not a date such as 2026-03-14"),
        (["operations", "list", "--status", "lost"], "invalid choice: 'lost'"),
        (["sandbox", "--port", "65536"], "must be from 0 to 65535"),
        (["key"], "ACTION"),
    ],
)
def test_wrong_usage_names_what_is_wrong(arguments: list[str], named: str) -> None:
    result = flash_agent(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert named in result.stderr


def test_quick_commands_load_no_http_library(offline: AgentProcess) -> None:
    there = ["--data-dir", str(offline.data_dir)]
    commands = (
        ["--version"],
        ["config", "check"],
        ["status", *there],
        ["operations", "list", *there],
        ["operations", "show", SOME_ID, *there],
        ["operations", "retry", "--all-failed", *there],
        ["operations", "discard", SOME_ID, "--reason", "none", *there],
        ["key", "confirm", *there],
    )
    for arguments in commands:
        result = flash_agent(*arguments, python=(sys.executable, "-X", "importtime"))
        imported = {name.partition(".")[0] for name in IMPORTED.findall(result.stderr)}
        assert "argparse" in imported
        assert not imported & {"aiohttp", "httpx", "aiosqlite", "cryptography", "uvloop"}, arguments


def test_a_reader_that_leaves_early_is_no_crash() -> None:
    command = [*PYTHON, "-m", "agent", "config", "check"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=environment(), text=True, **streams) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


# ---- status


def test_status_of_a_healthy_agent(agent: AgentProcess) -> None:
    assert sell(agent, "90871", 120, wait=10)["status"] == "succeeded"
    result = of(agent, "status")
    assert (result.returncode, result.stderr) == (0, "")
    shown = dict(re.split(r"  +", line, maxsplit=1) for line in result.stdout.splitlines())
    assert (shown["connectivity"], shown["pending"], shown["failed"]) == ("online", "0", "0")
    assert shown["oldest pending"] == "-"
    assert re.fullmatch(r"20\S+ [\d:]+[+-][\d:]+ \(\d+ s ago\)", shown["last contact"])
    assert re.search(r"[KMGT]iB free", shown["disk"])
    assert shown["store, till"] == "st_demo, till-1"


def test_status_of_an_agent_in_an_outage(offline: AgentProcess) -> None:
    sell(offline, "90871", 120, wait=10)
    result = of(offline, "status")
    assert result.returncode == 0, "an outage is no failure of the command"
    assert re.search(r"^connectivity +offline$", result.stdout, re.MULTILINE)
    assert re.search(r"^pending +1$", result.stdout, re.MULTILINE)
    assert re.search(r"^oldest pending +\d+ s$", result.stdout, re.MULTILINE)
    assert re.search(
        r"^warning: flash-offline since 20\S+ \S+\n  Flash cannot .*\n  Check the store's", result.stdout, re.MULTILINE
    )
    document = json.loads(of(offline, "status", "--json").stdout)
    assert (document["connectivity"], document["pending"]) == ("offline", 1)


def test_no_agent_is_exit_code_1(offline: AgentProcess, tmp_path: Path) -> None:
    for arguments in (["status"], ["operations", "list"], ["key", "confirm"]):
        result = flash_agent(*arguments, "--data-dir", tmp_path / "nobody")
        assert (result.returncode, result.stdout) == (1, "")
        assert "No agent runs with the data directory" in result.stderr
        assert "flash-agent service start" in result.stderr
    offline.kill()  # what it announced is still there
    result = of(offline, "status")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"The agent on port {offline.port} does not answer" in result.stderr
    assert "flash-agent doctor" in result.stderr


# ---- config, key, sandbox


def test_config_check_shows_what_holds_and_never_a_key(tmp_path: Path) -> None:
    file, key = tmp_path / "agent.toml", tmp_path / "read.key"
    key.write_text("fl_live_read_SECRET")
    file.write_text(
        '[flash]\nwrite_key = "fl_live_SECRET_write"\nproxy = "http://user:SECRET@proxy:3128"\n'
        f'read_key_file = "{key.as_posix()}"\n[store]\nstore_id = "st_1"\ntill_id = "till-2"\n'
        '[orders]\nid_template = "{store_id}-{till_id}-{business_date}-{external_order_id}"\n'
    )
    place = tmp_path / "elsewhere"
    result = flash_agent("config", "check", "--config", file, "--data-dir", place, FLASH_AGENT_STORE__TILL_ID="till-3")
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(rf"^data directory +{re.escape(str(place))}$", result.stdout, re.MULTILINE)
    assert not place.exists()
    assert re.search(r"^write_key +=  ?set$", result.stdout, re.MULTILINE)
    assert re.search(r"^read_key +=  ?set \(read_key_file\)$", result.stdout, re.MULTILINE)
    assert re.search(r'^till_id +=  ?"till-3"$', result.stdout, re.MULTILINE), "the environment is above the file"
    assert '"http://***@proxy:3128"' in result.stdout
    assert "SECRET" not in result.stdout
    assert "fl_live" not in result.stdout
    assert "warning" not in result.stdout


def test_config_check_shows_adapters_and_judges_them(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    sale = 'sale = { externalOrderId = "No", totalAmount = "Sum", "customer.email" = "Mail" }'
    file.write_text(f"[adapters.csv.mappings.receipts]\n{sale}\n[documents.stores]\nS18 = 'st_18'\n")
    result = flash_agent("config", "check", "--config", file)
    assert (result.returncode, result.stderr) == (0, "")
    assert '\n[adapters.csv]\nmappings = {"receipts": {"sale": {"externalOrderId": "No", ' in result.stdout
    assert '{"S18": "st_18"}' in result.stdout
    file.write_text(f"[adapters.csv.mappings.receipts]\ndelimeter = ';'\n{sale}\n")
    wrong = flash_agent("config", "check", "--config", file)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "[adapters.csv] mappings.receipts: delimeter is unknown; there are: " in wrong.stderr


def test_config_check_warns_of_what_is_unwise(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("")
    result = flash_agent("config", "check", "--config", file)
    assert result.returncode == 0
    warnings = [line for line in result.stdout.splitlines() if line.startswith("warning: ")]
    for words in ("no write key", "id_template does not tell apart every store or till or day", "store_id is not set"):
        assert sum(words in warning for warning in warnings) == 1
    assert len(warnings) == 3


def test_config_check_names_the_fault(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[orders]\nid_templat = "x"\n')
    result = flash_agent("config", "check", "--config", file)
    assert (result.returncode, result.stdout) == (2, "")
    assert "unknown setting [orders] id_templat. Did you mean 'id_template'?" in result.stderr


def test_config_check_names_unknown_and_malformed_settings_at_once(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[orders]\nid_templat = "x"\n[api]\nport = "abc"\n')
    result = flash_agent("config", "check", "--config", file)
    assert (result.returncode, result.stdout) == (2, "")
    for words in ("[orders] id_templat.", "[api] port"):
        assert sum(words in line for line in result.stderr.splitlines()) == 1, result.stderr
    assert len(result.stderr.splitlines()) == 2


def test_config_shows_the_lines_of_receipts_and_refuses_faulty_ones(tmp_path: Path) -> None:
    file, own = tmp_path / "agent.toml", tmp_path / "own.toml"
    file.write_text(f'[store]\nlanguage = "de"\ncurrency = "EUR"\n[receipt]\ntemplates_file = "{own.as_posix()}"\n')
    own.write_text(f'[de]\nsale_pending = "{{amount}}: {"x" * 40}"\nrefund_pending = ""\n')
    result = flash_agent("config", "receipts", "--config", file)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("language de\n")
    assert "  Sie haben 12.345 Punkte gesammelt\n  Punktestand: 1.234.567\n" in result.stdout
    assert f"  1.234,50 €: {'x' * 40}   <- 52 columns, a narrow printer has 40\n" in result.stdout
    assert "refund, pending:\n  (prints nothing)\n" in result.stdout
    assert result.stdout.count("<-") == 1
    french = flash_agent("config", "receipts", "--config", file, "--language", "fr-CH")
    assert "language fr-CH\n" in french.stdout
    assert "Vous avez gagné 1 point\n" in french.stdout
    assert flash_agent("config", "receipts", "--config", file, "--language", "it").returncode == 2
    own.write_text('[de]\nsale_earnd = "x"\n')
    for action in ("check", "receipts"):
        refused = flash_agent("config", action, "--config", file)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "[de] sale_earnd is no line of a receipt (did you mean 'sale_earned'?)" in refused.stderr


def test_key_confirm_lifts_the_hold_on_a_new_key(flash: Flash, tmp_path: Path) -> None:
    place = tmp_path / "data"
    elsewhere = {"FLASH_AGENT_STORE__STORE_ID": "st_elsewhere"}
    with agent_process(place, flash.base_url, FLASH_AGENT_FLASH__WRITE_KEY=flash.write_key, **elsewhere):
        pass
    with agent_process(place, flash.base_url, FLASH_AGENT_FLASH__WRITE_KEY=flash.read_key, **elsewhere) as agent:
        sell(agent, "90871", 120)
        assert "flash-key-unverified" in of(agent, "status").stdout
        result = of(agent, "key", "confirm")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout == "The write key is confirmed. Operations that wait to be sent: 1.\n"
        assert "flash-key-unverified" not in of(agent, "status").stdout


def test_key_confirm_without_a_key_fails(tmp_path: Path) -> None:
    with serving("run", "--port", "0", "--data-dir", tmp_path / "data") as agent:
        agent.line_with("flash-agent listens on")
        result = flash_agent("key", "confirm", "--data-dir", tmp_path / "data")
    assert (result.returncode, result.stdout) == (1, "")
    assert "There is no key to confirm" in result.stderr


def test_what_can_be_no_key_is_not_sent_and_not_repeated(offline: AgentProcess) -> None:
    command = [*PYTHON, "-m", "agent", "keys", "rotate", "write", "--data-dir", str(offline.data_dir)]
    before = of(offline, "keys", "list").stdout
    done = subprocess.run(
        command, input="fl_live_a fl_live_b\n", env=environment(), text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "That is no Flash key: it must be 8 to 512 printable characters" in done.stderr
    assert "Nothing was changed." in done.stderr
    assert "fl_live_a" not in done.stderr
    assert of(offline, "keys", "list").stdout == before


def test_config_check_misses_no_key_that_the_agent_keeps(tmp_path: Path) -> None:
    assert "no write key" in flash_agent("config", "check", "--data-dir", tmp_path).stdout
    (tmp_path / "flash-write.key").write_bytes(b"{}")
    assert "no write key" not in flash_agent("config", "check", "--data-dir", tmp_path).stdout


def test_a_taken_port_is_named(flash: Flash) -> None:
    port = flash.base_url.split(":")[2].split("/")[0]
    result = flash_agent("sandbox", "--port", port)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"cannot listen on port {port}" in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_sandbox_serves_until_told_to_stop(number: int) -> None:
    with serving("sandbox", "--port", "0") as sandbox:
        line = sandbox.line_with("curl -s ")
        sandbox.line_with("Stop it with Ctrl-C.")
        (key,) = re.findall(r"Bearer (\S+?)\"", line)
        (url,) = re.findall(r"\"(http://\S+)\"", line)
        status, found = call("GET", url, key)
        assert (status, found["data"][0]["id"]) == (200, "mem_ada")
        assert "cpn_ada_10off" in sandbox.said
        assert "run --data-dir sandbox-till" in sandbox.said
        assert sandbox.end(number) == 0
