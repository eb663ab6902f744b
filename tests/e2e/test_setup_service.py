"""Setup with a service: a manager of the test's own starts real agents as the system's would."""

import contextlib
import os
import subprocess
import sys
import tomllib

import pytest

from agent.cli.client import AgentClient
from agent.cli.terminal import Terminal
from agent.errors import AgentError, ConfigError
from agent.setup import agents
from agent.setup.flow import Setup, Wish
from agent.setup.place import Place
from tests.support.commands import Flash, environment, free_port

pytestmark = pytest.mark.e2e


class Manager:
    """What the system's manager does, with processes of the test: `asked` is what it was told."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.asked: list[str] = []
        self.process: subprocess.Popen | None = None
        self.program = [sys.executable, "-m", "agent", "run"]
        self.known = "stopped"

    def connect(self, data_dir):
        return AgentClient(data_dir)

    @property
    def service(self):
        return self

    def state(self):
        return "running" if self.process is not None and self.process.poll() is None else self.known

    def install(self):
        self.asked.append("install")

    def start(self):
        self.asked.append("start")
        place = ("--config", str(self.place.config), "--data-dir", str(self.place.data_dir))
        with self.place.config.with_name("log").open("ab") as log:
            self.process = subprocess.Popen([*self.program, *place], env=environment(), stderr=log)

    def restart(self):
        self.asked.append("restart")
        self.end()
        self.start()

    def end(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


class Said(Terminal):
    """A terminal that nobody sits at."""

    def __init__(self) -> None:
        self.text = ""

    def say(self, text: str = "") -> None:
        self.text += f"{text}\n"


@pytest.fixture(autouse=True)
def environ(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("FLASH_AGENT_"):
            monkeypatch.delenv(name)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "etc" / "agent.toml", tmp_path / "data", service=True)


@pytest.fixture
def manager(place):
    made = Manager(place)
    with contextlib.closing(contextlib.ExitStack()) as stack:
        stack.callback(made.end)
        yield made


@pytest.fixture
def setup(place, manager, flash: Flash):
    port = free_port()

    def run(**more):
        told = {
            "base_url": flash.base_url,
            "write_key": flash.write_key,
            "store_id": flash.store_id,
            "till_id": "lane-3",
            "currency": "USD",
            "order_numbers": "unique",
            "port": port,
            **more,
        }
        text = "\n".join(f'{name} = "{value}"' for name, value in told.items() if value is not None)
        said = Said()
        code = Setup(Wish(place, "answers.toml", text), manager, said).run()
        assert code == 0
        return said.text

    return run


def test_the_service_is_started_and_handed_its_keys(setup, manager, place, flash):
    said = setup(read_key=flash.read_key)
    assert manager.asked == ["install", "start"]
    assert "done: the service runs" in said
    assert "keys: write: kept, read: kept" in said
    assert f"token        {place.data_dir / 'register.token'}" in said
    assert flash.write_key not in said + place.config.read_text("utf-8") + place.config.with_name("log").read_text()


def test_the_same_again_restarts_nothing_and_a_change_does(setup, manager, place):
    setup()
    first = manager.process.pid
    manager.asked.clear()
    setup(write_key=None)
    assert manager.asked == ["install"]
    assert manager.process.pid == first
    said = setup(write_key=None, till_id="lane-4")
    assert manager.asked[1:] == ["install", "restart", "start"]
    assert "The agent runs." in said
    assert AgentClient(place.data_dir).call("GET", "/v1/status")["tillId"] == "lane-4"


def test_what_was_done_is_said_where_the_service_does_not_start(setup, manager, place, monkeypatch):
    monkeypatch.setattr(agents, "READY_WITHIN_S", 0.5)
    manager.program = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(AgentError, match="did not get ready") as caught:
        setup()
    assert f"Done before: the service is switched on, {place.config} written. Run the same again to go on." in str(
        caught.value
    )
    assert tomllib.loads(place.config.read_text("utf-8"))["store"]["till_id"] == "lane-3"
    manager.program = [sys.executable, "-m", "agent", "run"]
    monkeypatch.undo()
    assert "keys: write: kept" in setup()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows' service needs no package")
@pytest.mark.parametrize("state", ["absent", "unknown"])
def test_without_the_package_nothing_is_begun(setup, manager, place, state):
    manager.known = state
    with pytest.raises(AgentError, match="Install the package flash-pos-agent"):
        setup()
    assert (manager.asked, place.config.exists()) == ([], False)


def test_settings_that_others_may_write_get_no_key(setup, manager, place):
    """Somebody laid them down before the keys come, with an address of his own."""
    place.config.parent.mkdir()
    place.config.write_text('[flash]\nbase_url = "https://elsewhere.example/api/v2"\n', "utf-8")
    place.config.chmod(0o666)
    with pytest.raises(ConfigError, match=r"agent\.toml may be written by others than root"):
        setup()
    assert manager.asked == []


def test_where_the_keys_go_is_always_said(setup, flash):
    assert f"Flash          {flash.base_url}" in setup()
