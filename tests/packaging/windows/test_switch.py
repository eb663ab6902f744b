"""The setup's switch from one version to the next, with a stand-in for the program that writes down what it is told.

What the agent itself says is in test_life.py; here is what the setup makes of it, whatever that may be.
"""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from installer.windows import build, installers, wine

pytestmark = pytest.mark.timeout(300)
_KEY = r"HKLM\System\CurrentControlSet\Services\FlashAgent"
_OLD = r"C:\Program Files\Flash POS Agent\0.1.0\flash-agent.exe"
# No file grows beyond 16 KiB: the setup's own parts do not need it, the program does.
NO_ROOM = ("sh", "-c", 'trap "" XFSZ; ulimit -f 32; exec "$@"', "sh")
BEGUN = ["0.2.0 --version", "0.2.0 service install", "0.2.0 service restart"]


class Site:
    """A Windows whose service runs 0.1.0, and a setup of 0.2.0."""

    def __init__(self, folder: Path) -> None:
        self.wine = wine.Wine(folder / "prefix")
        if (build.CACHE / "prefix" / "made").exists():  # quicker than a new one
            subprocess.run(["cp", "-a", build.CACHE / "prefix", self.wine.prefix], check=True)
        self.wine.boot()
        program = folder / "program"
        program.mkdir()
        source = Path(__file__).with_name("stand_in.c")
        subprocess.run([wine.COMPILER, "-O2", "-s", "-o", program / "flash-agent.exe", source], check=True)
        self.installer = installers.setup(program, folder / "agent-setup.exe", "0.2.0", quick=True)
        self.programs = self.wine.drive / "Program Files" / "Flash POS Agent"
        self._program = (program / "flash-agent.exe").read_bytes()

    def run(self, *switches: str, **codes: int) -> int:
        """Upgrade; `codes` are the exit codes by what is asked, 0 where nothing is said. Returns the setup's own."""
        old = self.programs / "0.1.0"
        old.mkdir(parents=True, exist_ok=True)
        (old / "flash-agent.exe").write_bytes(self._program)
        self.wine.run("reg", "add", _KEY, "/v", "ImagePath", "/d", f'"{_OLD}" service host', "/f")
        return self.run_here(*switches, **codes)

    def run_here(self, *switches: str, through: Sequence[str] = (), **codes: int) -> int:
        """The same on whatever is there; `through` is what starts it."""
        (self.wine.drive / "asked.txt").write_text("")
        lines = [f"{asked}={code}\n" for asked, code in codes.items()]
        (self.wine.drive / "codes.txt").write_text("".join(lines))
        return self.wine.run(self.installer, "/S", *switches, check=False, through=through).returncode

    @property
    def asked(self) -> list[str]:
        return (self.wine.drive / "asked.txt").read_text().splitlines()

    @property
    def command(self) -> str:
        """What people call."""
        return (self.programs / "flash-agent.cmd").read_text()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("switch"))
    with made.wine.kept_alive():
        yield made


def test_a_version_that_gets_ready_stays(site: Site) -> None:
    assert site.run() == 0
    assert site.asked == BEGUN
    assert "0.2.0" in site.command


def test_one_that_does_not_is_switched_back(site: Site) -> None:
    assert site.run(**{"0.2.0 service restart": 1}) == 14
    back = ["0.2.0 service stop", "0.1.0 upgrade check", "0.1.0 service install", "0.1.0 service start"]
    assert (site.asked[:3], site.asked[-4:]) == (BEGUN, back)  # asked when it is stopped, or it may yet get ready
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
    site.wine.run("reg", "delete", _KEY, "/f", check=False)
    shutil.rmtree(site.programs, ignore_errors=True)
    return site


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
