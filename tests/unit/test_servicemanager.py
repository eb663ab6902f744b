"""The service of the operating system: what systemd's part asks and says, and the number of Windows' account."""

import os
import stat

import pytest

from agent import servicemanager
from agent.cli.main import main
from agent.errors import AgentError
from agent.servicemanager.account import service_sid

pytestmark = pytest.mark.skipif("sys.platform == 'win32'", reason="systemd's part")


@pytest.fixture
def systemctl(tmp_path, monkeypatch):
    """A stand-in for systemctl, which writes down what it is asked; returns a function that says how it answers."""
    program, asked = tmp_path / "systemctl", tmp_path / "asked"

    def answers(shown: str = "LoadState=loaded\nActiveState=active", code: int = 0, said: str = ""):
        program.write_text(
            f'#!/bin/sh\necho "$@" >> {asked}\n[ "$1" = show ] && {{ printf "{shown}\\n"; exit 0; }}\n'
            f'echo "{said}" >&2\nexit {code}\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        return lambda: asked.read_text().splitlines() if asked.exists() else []

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return answers


@pytest.mark.parametrize(
    ("load", "active", "state"),
    [
        ("loaded", "active", "running"),
        ("loaded", "activating", "starting"),
        ("loaded", "activating\\nSubState=auto-restart", "stopped"),
        ("loaded", "inactive", "stopped"),
        ("loaded", "failed", "stopped"),
        ("loaded", "maintenance", "unknown"),
        ("not-found", "inactive", "absent"),
        ("masked", "inactive", "absent"),
    ],
)
def test_the_state_is_systemds(systemctl, load, active, state):
    systemctl(f"LoadState={load}\nActiveState={active}")
    assert servicemanager.state() == state


def test_without_systemd_the_state_is_unknown_and_a_start_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert servicemanager.state() == "unknown"
    with pytest.raises(AgentError, match=r"no systemd here.*flash-agent run"):
        servicemanager.start()


def test_each_verb_is_asked_of_the_unit(systemctl):
    asked = systemctl()
    for verb in (servicemanager.install, servicemanager.start, servicemanager.restart, servicemanager.uninstall):
        verb()
    unit = "flash-agent.service"
    done = [line for line in asked() if not line.startswith("show")]
    assert done == [f"{what} {unit}" for what in ("enable", "start", "stop", "start", "disable --now")]


def test_a_missing_unit_is_named_with_its_package(systemctl):
    asked = systemctl("LoadState=not-found\nActiveState=inactive")
    for verb in (servicemanager.install, servicemanager.start, servicemanager.stop):
        with pytest.raises(AgentError, match=r"no flash-agent\.service here.*flash-pos-agent"):
            verb()
    servicemanager.uninstall()
    assert all(line.startswith("show") for line in asked())


@pytest.mark.parametrize(("who", "rights"), [(1000, " (It may need root: sudo.)"), (0, "")])
def test_what_systemctl_says_is_passed_on(systemctl, capsys, monkeypatch, who, rights):
    systemctl(code=4, said="Access denied")
    monkeypatch.setattr(os, "geteuid", lambda: who)
    assert main(["service", "start"]) == 1
    assert f"systemctl start failed: Access denied{rights} Where another" in capsys.readouterr().err


def test_a_start_that_systemd_skips_is_no_start(systemctl, capsys):
    systemctl("LoadState=loaded\\nActiveState=inactive")
    assert main(["service", "start"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "The service was not started. Was this till never set up: flash-agent setup." in said.err


def test_a_start_that_fails_says_why_in_the_program_s_own_last_words(systemctl, tmp_path, capsys):
    systemctl(code=1, said="Job for flash-agent.service failed.")
    journal = tmp_path / "journalctl"
    lines = ["flash-agent: an older fault.", "flash-agent: Port 8455 is taken. Free it.", "flash-agent.service: Failed"]
    journal.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines))
    journal.chmod(0o755)
    assert main(["service", "start"]) == 1
    said = capsys.readouterr().err
    assert "The service did not start. Its log says:\n  Port 8455 is taken. Free it.\n" in said
    assert "flash-agent doctor" in said


def test_another_program_is_not_taken_where_the_unit_names_it(systemctl, tmp_path):
    asked = systemctl()
    with pytest.raises(AgentError, match="Install the package"):
        servicemanager.install(tmp_path / "flash-agent")
    assert asked() == []


def test_the_command_prints_the_state(systemctl, capsys):
    systemctl("LoadState=loaded\nActiveState=inactive")
    assert main(["service", "state"]) == 0
    assert capsys.readouterr().out == "stopped\n"


def test_a_service_s_number_is_windows_own():
    assert service_sid("TrustedInstaller") == "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
