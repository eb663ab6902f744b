"""The setup's switch from one version to the next, with a stand-in for the program that writes down what it is told.

What the agent itself says is in test_life.py; here is what the setup makes of it, whatever that may be.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.windows import build, installers, wine

pytestmark = pytest.mark.timeout(300)
_KEY = r"HKLM\System\CurrentControlSet\Services\FlashAgent"
_OLD = r"C:\Program Files\Flash POS Agent\0.1.0\flash-agent.exe"
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

    def run(self, **codes: int) -> int:
        """Upgrade; `codes` are the exit codes by what is asked, 0 where nothing is said. Returns the setup's own."""
        old = self.programs / "0.1.0"
        old.mkdir(parents=True, exist_ok=True)
        (old / "flash-agent.exe").write_bytes(self._program)
        self.wine.run("reg", "add", _KEY, "/v", "ImagePath", "/d", f'"{_OLD}" service host', "/f")
        (self.wine.drive / "asked.txt").unlink(missing_ok=True)
        lines = [f"{asked}={code}\n" for asked, code in codes.items()]
        (self.wine.drive / "codes.txt").write_text("".join(lines))
        return self.wine.run(self.installer, "/S", check=False).returncode

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
