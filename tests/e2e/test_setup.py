"""`flash-agent setup --from answers.toml` as store IT runs it: real processes, and nothing half done."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.support.agents import AgentProcess
from tests.support.canaries import files_below
from tests.support.commands import NOWHERE, PYTHON, Flash, call, environment, flash_agent, free_port

pytestmark = pytest.mark.e2e


class Till:
    """A machine before setup: an answers file, and a place for configuration and data."""

    def __init__(self, folder: Path, flash: Flash) -> None:
        self.folder = folder
        self.flash = flash
        self.config = folder / "etc" / "agent.toml"
        self.data = folder / "data"
        self.port = free_port()
        self.place = ("--no-service", "--config", self.config, "--data-dir", self.data)

    def answers(self, **more: object) -> Path:
        """The answers file, with these answers beside the least that is needed; None leaves one out."""
        told = {
            "base_url": self.flash.base_url,
            "write_key": self.flash.write_key,
            "store_id": self.flash.store_id,
            "till_id": "lane-3",
            "currency": "USD",
            "order_numbers": "repeat-by-till-and-day",
            "port": self.port,
            **more,
        }
        path = self.folder / "answers.toml"
        lines = (f"{name} = {json.dumps(value)}" for name, value in told.items() if value is not None)
        path.write_text("\n".join(lines), "utf-8")
        return path

    def setup(self, *options: object, **answers: object) -> "subprocess.CompletedProcess[str]":
        return flash_agent("setup", "--from", self.answers(**answers), *self.place, *options)

    @property
    def settings(self) -> dict:
        return tomllib.loads(self.config.read_text("utf-8"))

    @contextlib.contextmanager
    def running(self):
        """The agent as this user would start it, by what setup wrote alone."""
        agent = AgentProcess(self.data, "", FLASH_AGENT_CONFIG=str(self.config))
        agent.port = self.settings["api"]["port"]
        for name in ("FLASH__BASE_URL", "FLASH__WRITE_KEY", "STORE__STORE_ID"):
            del agent.environment[f"FLASH_AGENT_{name}"]
        try:
            agent.start()
            yield agent
        finally:
            agent.kill()


@pytest.fixture
def till(tmp_path: Path, flash: Flash) -> Till:
    return Till(tmp_path, flash)


def stores_of(flash: Flash) -> list[dict]:
    return call("GET", f"{flash.base_url}/stores", flash.read_key)[1]["data"]


def test_from_answers_to_a_sale_that_earns(till: Till) -> None:
    done = till.setup(read_key=till.flash.read_key)
    assert (done.returncode, done.stderr) == (0, "")
    assert "delete that file now" in done.stdout
    assert till.settings["store"]["till_id"] == "lane-3"
    assert till.settings["orders"]["id_template"] == "{store_id}-{till_id}-{business_date}-{external_order_id}"
    with till.running() as agent:
        body = {"externalOrderId": "1", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 50}
        url = f"http://127.0.0.1:{agent.port}/v1/sales"
        sale = {**body, "businessDate": "2026-11-22"}
        status, answer = call("POST", url, agent.token, sale, Prefer="wait=20")
        assert (status, answer["status"]) == (200, "succeeded"), answer
        assert answer["upstreamOrderId"] == f"{till.flash.store_id}-lane-3-2026-11-22-1"
        _, about = call("GET", f"http://127.0.0.1:{agent.port}/v1/status", agent.token)
        assert about["flashKeys"] == {"write": "kept", "read": "kept"}


def test_no_key_is_in_the_output_or_in_a_file_that_anybody_reads(till: Till) -> None:
    path = till.folder / "write.key"
    path.write_text(till.flash.write_key)
    done = till.setup(write_key=None, write_key_file=str(path), read_key=till.flash.read_key)
    assert done.returncode == 0, done.stderr
    refused = till.setup(write_key="fl_live_canary_0001", read_key=None)
    assert refused.returncode == 1
    for said in (done.stdout, done.stderr, refused.stdout, refused.stderr):
        assert "fl_live_" not in said.replace("fl_live_…", "")
    protected = {till.data / f"flash-{which}.key" for which in ("write", "read")}
    own = {path, till.folder / "answers.toml"}
    seen = {}
    for file, content in files_below(till.folder):
        seen[file] = content
        if file not in own | protected:
            assert b"fl_live_" not in content.replace("fl_live_…".encode(), b""), file
    assert protected <= seen.keys()
    if os.name == "posix":
        assert all(file.stat().st_mode & 0o777 == 0o600 for file in protected)


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        ({"write_key": "fl_live_nobody_0001"}, 1, "it knows no such key"),
        ({"store_id": "st_9"}, 1, "does not show a store st_9"),
        ({"order_numbers": None, "currency": None}, 2, "order_numbers is missing"),
        ({"base_url": NOWHERE}, 1, "add --unchecked or answer check = false"),
        ({"store_id": None, "store_external_id": "0018"}, 1, "Add register_store = true"),
        ({"base_url": "https://flash.invalid/api/v2"}, 1, "The name flash.invalid is not known here"),
    ],
)
def test_nothing_is_written_where_a_check_fails(till: Till, answers: dict, code: int, words: str) -> None:
    done = till.setup(**answers)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in till.folder.iterdir()} == {"answers.toml"}
    assert len(stores_of(till.flash)) == 1


def test_a_read_only_key_is_named(till: Till) -> None:
    done = till.setup(write_key=till.flash.read_key)
    assert done.returncode == 1
    assert "it is a read-only key" in done.stderr


def test_without_network_it_goes_on_where_that_was_said(till: Till) -> None:
    done = till.setup("--unchecked", base_url=NOWHERE)
    assert done.returncode == 0, done.stderr
    assert "note: Flash was not asked" in done.stdout
    again = till.setup(base_url=NOWHERE, check=False, till_id="lane-4")
    assert again.returncode == 0, again.stderr
    assert till.settings["store"]["till_id"] == "lane-4"


def test_a_store_is_registered_once_however_often_it_is_run(till: Till) -> None:
    new = {"store_id": None, "store_external_id": "0018", "store_name": "Main Street", "register_store": True}
    rehearsed = till.setup("--dry-run", **new)
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert "will be registered" in rehearsed.stdout
    assert (len(stores_of(till.flash)), till.config.exists()) == (1, False)
    for told in (True, False):
        done = till.setup(**new)
        assert done.returncode == 0, done.stderr
        assert ("done: store 0018 registered as " in done.stdout) is told
    (made,) = (store for store in stores_of(till.flash) if store["externalId"] == "0018")
    assert till.settings["store"]["store_id"] == made["id"]
    assert len(stores_of(till.flash)) == 2


def test_run_again_it_keeps_comments_and_shows_what_changes(till: Till) -> None:
    assert till.setup().returncode == 0
    text = till.config.read_text("utf-8").replace('currency = "USD"', 'currency = "USD"  # head office says so')
    till.config.write_text(f"{text}\n[relay]\nbatch_size = 50\n", "utf-8")
    (till.folder / "more.toml").write_text('till_id = "lane-5"')
    done = flash_agent("setup", "--from", till.folder / "more.toml", *till.place)
    assert done.returncode == 0, done.stderr
    assert '-till_id = "lane-3"' in done.stdout
    assert '+till_id = "lane-5"' in done.stdout
    assert "# head office says so" in till.config.read_text("utf-8")
    assert till.settings["relay"] == {"batch_size": 50}
    assert 'till_id = "lane-3"' in till.config.with_name("agent.toml.before").read_text("utf-8")
    before = till.config.stat().st_mtime_ns
    done = flash_agent("setup", "--from", till.folder / "more.toml", *till.place)
    assert f"{till.config} is as it should be." in done.stdout
    assert till.config.stat().st_mtime_ns == before


def test_a_taken_port_is_said_with_its_holder_and_a_free_one(till: Till) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = till.setup(port=port)
        assert (done.returncode, done.stdout) == (1, "")
        assert f"Port {port} is taken by " in done.stderr
        assert f"(process {os.getpid()})" in done.stderr
        assert "is free." in done.stderr
        assert not till.config.exists()


def test_the_port_of_our_own_agent_is_ours(till: Till) -> None:
    assert till.setup().returncode == 0
    with till.running():
        done = till.setup(write_key=None)
        assert done.returncode == 0, done.stderr
        assert "The agent runs. Flash:" in done.stdout
        assert till.setup(port="auto", write_key=None).returncode == 0
        assert till.settings["api"]["port"] == till.port


def test_a_running_agent_is_handed_its_keys(till: Till) -> None:
    assert till.setup("--unchecked").returncode == 0
    (till.data / "flash-write.key").unlink()
    with till.running():
        done = till.setup()
        assert done.returncode == 0, done.stderr
        assert "Flash keys handed to the agent" in done.stdout
        assert (till.data / "flash-write.key").exists()


def test_answers_from_standard_input_and_the_till_from_the_command_line(till: Till) -> None:
    command = [*PYTHON, "-m", "agent", "setup", "--from", "-", "--till", "lane-9", *map(str, till.place)]
    text = till.answers().read_text("utf-8")
    done = subprocess.run(command, input=text, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert till.settings["store"]["till_id"] == "lane-9"
    assert "delete that file" not in done.stdout


def test_killed_at_any_moment_it_goes_on(till: Till) -> None:
    """kill -9 after ever longer times until one run gets through: each leaves a whole configuration or none."""
    new = {"store_id": None, "store_external_id": "0018", "store_name": "Main Street", "register_store": True}
    command = [*PYTHON, "-m", "agent", "setup", "--from", str(till.answers(**new)), *map(str, till.place)]
    delay_s, killed = 0.3, 0
    while True:
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as run:
            try:
                _, said = run.communicate(timeout=delay_s)
            except subprocess.TimeoutExpired:
                run.send_signal(signal.SIGKILL)
                run.communicate()
                killed += 1
                delay_s *= 1.25
            else:
                assert run.returncode == 0, said
                break
        if till.config.exists():
            assert till.settings["store"]["till_id"] == "lane-3"
    assert killed > 0
    assert [store["externalId"] for store in stores_of(till.flash)].count("0018") == 1
    with till.running() as agent:
        _, about = call("GET", f"http://127.0.0.1:{agent.port}/v1/status", agent.token)
        assert about["flashKeys"]["write"] == "kept"


def test_the_example_is_printed(till: Till) -> None:
    done = flash_agent("setup", "--example")
    assert done.returncode == 0
    assert 'order_numbers = "repeat-by-till-and-day"' in done.stdout


def test_without_a_terminal_it_asks_nothing(till: Till) -> None:
    done = flash_agent("setup", *till.place)
    assert done.returncode == 2
    assert "Give the answers with --from FILE" in done.stderr


def test_the_service_has_its_own_place(till: Till) -> None:
    done = flash_agent("setup", "--from", till.answers(), "--config", till.config)
    assert done.returncode == 2
    assert "Leave --config out, or set up without it: --no-service." in done.stderr
