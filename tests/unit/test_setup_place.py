"""Where setup puts things, and that it says so before the first question where it may not."""

import os
import socket
from pathlib import Path

import pytest

from agent import config
from agent.errors import AgentError, ConfigError
from agent.setup import place, ports

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="the system's answers are Linux'"),
    pytest.mark.usefixtures("environ"),
]


def test_the_service_has_one_place_whatever_this_user_has_set(environ):
    environ.setattr(os, "geteuid", lambda: 0)
    environ.setenv("FLASH_AGENT_DATA_DIR", "/somewhere/else")
    found = place.find(None, "/var/lib/flash-agent", service=True)
    assert found == place.Place(Path("/etc/flash-agent/agent.toml"), Path("/var/lib/flash-agent"), service=True)
    assert (found.options, found.config_option) == ("", "")
    with pytest.raises(ConfigError, match=r"The service uses /var/lib/flash-agent. Leave --data-dir out"):
        place.find(None, "/somewhere/else", service=True)


def test_a_service_takes_an_administrator(environ):
    environ.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ConfigError, match=r"is set up as root .* or add --no-service"):
        place.find(None, None, service=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_root_is_told_before_all_questions_that_the_directory_is_the_services(tmp_path):
    (tmp_path / "data").mkdir()
    os.chown(tmp_path / "data", 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to the user nobody"):
        place.find(str(tmp_path / "agent.toml"), str(tmp_path / "data"), service=False)


def test_a_developers_place_is_the_one_that_was_named(environ, tmp_path):
    environ.setenv("FLASH_AGENT_CONFIG", str(tmp_path / "environment.toml"))
    found = place.find(None, str(tmp_path / "data"), service=False)
    assert (found.config, found.data_dir) == (tmp_path / "environment.toml", tmp_path / "data")
    assert found.options == f" --data-dir {tmp_path / 'data'}"
    assert place.find(str(tmp_path / "flag.toml"), None, service=False).config == tmp_path / "flag.toml"


@pytest.mark.parametrize("option", ["--config", "--data-dir"])
def test_a_place_that_is_closed_to_this_user_is_said_at_once(environ, tmp_path, option):
    closed = tmp_path / "closed"
    closed.mkdir()
    environ.setattr(os, "access", lambda path, mode: Path(path) != closed)  # root may write anywhere
    named = {"--config": tmp_path / "agent.toml", "--data-dir": tmp_path / "data"}
    named[option] = closed / "below" / "it"
    with pytest.raises(ConfigError, match=f"You may not write into {closed}. Name another place with {option}"):
        place.find(str(named["--config"]), str(named["--data-dir"]), service=False)


def test_auto_keeps_the_usual_port_and_passes_over_taken_ones(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        usual = free.getsockname()[1]
        assert usual < ports.settle("auto", tmp_path, usual) < usual + ports.NEIGHBOURS
        with pytest.raises(AgentError, match=f"Port {usual} is taken by .*process {os.getpid()}"):
            ports.settle(usual, tmp_path, usual)
    assert ports.settle("auto", tmp_path, usual) == usual


def test_what_an_agent_announced_long_ago_holds_no_port(tmp_path):
    """Its file is left after a kill; somebody else listens there now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "agent.json").write_text(f'{{"pid": 1, "port": {port}}}')
        assert not ports.is_free(port, tmp_path)
        (tmp_path / "agent.json").write_text(f'{{"pid": {os.getpid()}, "port": {port}}}')
        assert ports.is_free(port, tmp_path)
    assert config.site_data_dir() == Path("/var/lib/flash-agent")
