"""The setup's switch from one version to the next, with a stand-in for the program that writes down what it is told.

What the agent itself says is in test_life.py; here is what the setup makes of it, whatever that may be.
"""

import re
import shutil
from pathlib import Path

import pytest

from installer.windows import build, wine
from tests.packaging.windows.stand_in import Site

pytestmark = [pytest.mark.timeout(300), pytest.mark.unsteady]
# No file grows beyond 16 KiB: the setup's own parts do not need it, the program does.
NO_ROOM = ("sh", "-c", 'trap "" XFSZ; ulimit -f 32; exec "$@"', "sh")
BEGUN = ["0.2.0 --version", "0.2.0 service install", "0.2.0 service restart"]


def test_a_version_that_gets_ready_stays(site: Site) -> None:
    assert site.run() == 0
    assert site.asked == BEGUN
    assert "0.2.0" in site.command


def test_one_that_does_not_is_switched_back(site: Site) -> None:
    assert site.run(**{"0.2.0 service restart": 1}) == 14
    asked_when_stopped = ["0.2.0 service stop", "0.1.0 upgrade check"]  # or it may yet get ready
    back = [*asked_when_stopped, "0.1.0 service install", *asked_when_stopped, "0.1.0 service start"]
    assert (site.asked[:3], site.asked[3:]) == (BEGUN, back)
    assert not (site.programs / "0.2.0").exists()


@pytest.mark.parametrize("starts", [0, 1])
def test_one_that_ended_after_it_was_ready_stays(site: Site, starts: int) -> None:
    """The one before would refuse the database, and nobody would sell."""
    codes = {"0.2.0 service restart": 1, "0.1.0 upgrade check": 1, "0.2.0 service start": starts}
    assert site.run(**codes) == 18
    assert (site.asked[:3], site.asked[-1]) == (BEGUN, "0.2.0 service start")
    assert not [each for each in site.asked if each.startswith("0.1.0 service")]
    assert (site.programs / "0.2.0" / "flash-agent.exe").exists()
    assert "0.2.0" in site.command


def test_one_that_windows_started_again_and_that_got_ready_meanwhile_stays(site: Site) -> None:
    """Its recovery actions run beside the setup, until the service is pointed to the one before."""
    assert site.run(**{"0.2.0 service restart": 1, "0.1.0 upgrade check#2": 1}) == 18
    assert site.asked[-3:] == ["0.1.0 upgrade check", "0.2.0 service install", "0.2.0 service start"]
    assert (site.programs / "0.2.0" / "flash-agent.exe").exists()
    assert "0.2.0" in site.command


def test_one_that_neither_gets_ready_nor_stops_is_not_taken_for_the_one_before(site: Site) -> None:
    """It runs, from its own files."""
    assert site.run(**{"0.2.0 service restart": 1, "0.2.0 service stop": 1}) == 15
    assert site.asked[-1] == "0.1.0 upgrade check"
    assert "0.1.0 service install" in site.asked
    assert (site.programs / "0.2.0" / "flash-agent.exe").exists()


def test_a_windows_that_is_too_old_is_refused_before_anything_is_unpacked(site: Site) -> None:
    site.wine.run("winecfg", "-v", "win81")
    try:
        assert site.run() == 10
    finally:
        site.wine.run("winecfg", "-v", "win10")
    assert site.asked == []


def test_a_program_that_cannot_be_unpacked_changes_nothing(site: Site) -> None:
    in_the_way = site.programs / "0.2.0"
    shutil.rmtree(in_the_way, ignore_errors=True)
    in_the_way.parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_text("no folder")
    try:
        assert site.run() == 12
    finally:
        in_the_way.unlink()
    assert site.asked == []


def test_a_disk_that_fills_up_changes_nothing(site: Site) -> None:
    assert site.run_here(through=NO_ROOM) == 12
    assert site.asked == []
    assert not (site.programs / "0.2.0").exists()


def test_a_program_that_does_not_start_here_changes_nothing(site: Site) -> None:
    assert site.run(**{"0.2.0 --version": 1}) == 13
    assert site.asked == BEGUN[:1]
    assert not (site.programs / "0.2.0").exists()


def test_where_no_version_gets_ready_both_stay(site: Site) -> None:
    assert site.run(**{"0.2.0 service restart": 1, "0.1.0 service start": 1}) == 15
    assert (site.programs / "0.1.0" / "flash-agent.exe").exists()
    assert (site.programs / "0.2.0" / "flash-agent.exe").exists()


@pytest.fixture
def fresh(site: Site) -> Site:
    """A Windows that nothing of ours was installed on."""
    site.forget()
    return site


def test_the_files_of_a_version_are_on_the_disk_before_the_service_is_pointed_to_them(
    fresh: Site, tmp_path: Path
) -> None:
    """A power cut later on would lead to a program of zeros."""
    fresh.lay_down()
    trace = tmp_path / "trace"
    traced = ("strace", "-f", "-y", "-e", "trace=fsync,execve", "-o", str(trace))
    assert fresh.run_here(through=traced) == 0
    told = re.findall(r'fsync\(\d+<.*/(0\.2\.0/[^>]*)>\) = 0|execve\(.*"(service)", "install"\]', trace.read_text())
    assert [file or word for file, word in told][:2] == ["0.2.0/flash-agent.exe", "service"]


def test_a_version_goes_where_the_one_before_lies_and_is_removed_from_there(fresh: Site) -> None:
    """Whoever chose a folder once need not name it again; what people call is there."""
    elsewhere = fresh.wine.drive / "Flash"
    assert fresh.run_here(r"/D=C:\Flash") == 0
    (elsewhere / "0.2.0").rename(elsewhere / "0.1.0")
    fresh.register(r"C:\Flash\0.1.0\flash-agent.exe")
    assert fresh.run_here() == 0
    assert "0.2.0" in (elsewhere / "flash-agent.cmd").read_text()
    assert not fresh.programs.exists()
    assert fresh.run_here("/UNINSTALL") == 0
    assert fresh.asked == ["0.1.0 browsers remove", "0.1.0 service uninstall"]
    assert not elsewhere.exists()


def test_files_that_are_named_without_their_folder_are_those_where_the_setup_was_started(
    fresh: Site, tmp_path: Path
) -> None:
    (tmp_path / "answers.toml").touch()
    there = ("sh", "-c", f'cd "{tmp_path}" && exec "$@"', "sh")
    assert fresh.run_here("/ANSWERS=answers.toml", "/LOG=setup.log", through=there) == 0
    assert fresh.asked[-1] == f"0.2.0 setup --from {wine.windows_path(tmp_path / 'answers.toml')}"
    log = (tmp_path / "setup.log").read_text("utf-16-le")
    assert log.startswith("Flash POS Agent 0.2.0")
    assert log.rstrip().endswith("done")


@pytest.mark.parametrize("failing", ["service install", "service start"])
def test_a_first_version_that_does_not_get_ready_can_be_called_and_removed(fresh: Site, failing: str) -> None:
    config = fresh.wine.drive / "ProgramData" / "flash-agent" / "agent.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch()
    assert fresh.run_here(**{f"0.2.0 {failing}": 1}) == 15
    assert fresh.asked[-1] == f"0.2.0 {failing}"
    assert "0.2.0" in fresh.command
    assert (fresh.programs / "uninstall.exe").exists()


def test_a_policy_that_cannot_be_written_is_said_and_the_version_stays(site: Site) -> None:
    assert site.run("/POLICY", **{"0.2.0 browsers allow": 1}) == 17
    assert site.asked == [*BEGUN, "0.2.0 browsers allow"]
    assert "0.2.0" in site.command


def test_a_service_that_cannot_be_removed_keeps_everything(site: Site) -> None:
    assert site.run() == 0
    assert site.run_here("/UNINSTALL", "/PURGE", **{"0.1.0 service uninstall": 1}) == 20
    assert site.asked == ["0.1.0 browsers remove", "0.1.0 service uninstall"]
    assert (site.programs / "0.1.0" / "flash-agent.exe").exists()
    assert (site.programs / "uninstall.exe").exists()
    assert "0.2.0" in site.command
    assert site.run_here("/UNINSTALL", "/PURGE") == 0
    assert not site.programs.exists()


_HELD = (
    "held = open(r'C:\\ProgramData\\flash-agent\\agent.db'); print('held', flush=True); __import__('time').sleep(600)"
)


def test_data_that_cannot_be_deleted_is_said(program: Path, site: Site) -> None:
    """Whoever purges a till that is given away must know."""
    assert site.run() == 0
    database = site.wine.drive / "ProgramData" / "flash-agent" / "agent.db"
    database.parent.mkdir(parents=True, exist_ok=True)
    database.touch()
    with site.wine.started(build.CACHE / "python" / "python.exe", "-c", _HELD) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == b"held"
        try:
            assert site.run_here("/UNINSTALL", "/PURGE") == 21
        finally:
            holder.kill()
    assert database.exists()
    assert site.run() == 0
    assert site.run_here("/UNINSTALL", "/PURGE") == 0
    assert not database.parent.exists()
