"""A Windows under Wine with a stand-in for the program, which writes down what the installers ask of it."""

import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from installer.windows import build, installers, wine

SERVICE_KEY = r"HKLM\System\CurrentControlSet\Services\FlashAgent"
LIST = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall"
_OLD = r"C:\Program Files\Flash POS Agent\0.1.0\flash-agent.exe"


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
        self.lay_down()
        return self.run_here(*switches, **codes)

    def run_msi(self, msi: Path, *words: str, **codes: int) -> int:
        """Have msiexec install or remove (`/i`, `/x`) it; its exit code, of which Linux sees the last eight bits."""
        self._prepare(codes)
        return self.wine.run("msiexec", words[0], wine.windows_path(msi), "/qn", *words[1:], check=False).returncode

    def lay_down(self) -> None:
        """The version that the service runs before."""
        old = self.programs / "0.1.0"
        old.mkdir(parents=True, exist_ok=True)
        (old / "flash-agent.exe").write_bytes(self._program)
        self.register(_OLD)

    def register(self, program: str) -> None:
        """Have the service run it."""
        self.wine.run("reg", "add", SERVICE_KEY, "/v", "ImagePath", "/d", f'"{program}" service host', "/f")

    def run_here(self, *switches: str, through: Sequence[str] = (), **codes: int) -> int:
        """The same on whatever is there; `through` is what starts it."""
        self._prepare(codes)
        return self.wine.run(self.installer, "/S", *switches, check=False, through=through).returncode

    def run_shown(self, *switches: str, press: Sequence[str], **codes: int) -> tuple[int, list[str]]:
        """The same with windows; each of these buttons is pressed as soon as it can be.

        Returns the exit code, and of each window in which one was pressed what it said and its buttons, as one text.
        """
        self._prepare(codes)
        hand = Path(__file__).with_name("hand.py")
        python = build.CACHE / "python" / "python.exe"
        with self.wine.started(self.installer, *switches) as setup:
            try:
                said = self.wine.run(python, wine.windows_path(hand), *press).stdout
                return setup.wait(30), said.splitlines()
            finally:
                setup.kill()  # where a button never came

    def show_windows(self) -> None:
        """Without a screen Wine opens none unless it is told that there is nothing to be seen."""
        self.wine.run("reg", "add", r"HKCU\Software\Wine\Drivers", "/v", "Graphics", "/d", "null", "/f")

    def forget(self) -> None:
        """As if nothing of ours had ever been installed."""
        self.wine.run("reg", "delete", SERVICE_KEY, "/f", check=False)
        self.wine.run("reg", "delete", rf"{LIST}\FlashPosAgent", "/f", check=False)
        shutil.rmtree(self.programs, ignore_errors=True)

    @property
    def listed(self) -> dict[str, str]:
        """What the list of installed programs shows: by key, the version."""
        said = self.wine.run("reg", "query", LIST, "/s", check=False).stdout
        return dict(re.findall(r"Uninstall\\(\S+)\n(?:    .*\n)*?    DisplayVersion    REG_SZ    (\S+)", said))

    def _prepare(self, codes: Mapping[str, int]) -> None:
        (self.wine.drive / "asked.txt").write_text("")
        lines = [f"{asked}={code}\n" for asked, code in codes.items()]
        (self.wine.drive / "codes.txt").write_text("".join(lines))

    @property
    def asked(self) -> list[str]:
        return (self.wine.drive / "asked.txt").read_text().splitlines()

    def wait_until_asked(self, wanted: str, within_s: float = 30) -> bool:
        """Whether the stand-in is asked so in that time, by a program that nobody waits for."""
        until = time.monotonic() + within_s
        while wanted not in self.asked and time.monotonic() < until:
            time.sleep(0.05)
        return wanted in self.asked

    @property
    def log(self) -> str:
        """What the setup wrote down."""
        return (self.programs / "setup.log").read_text("utf-16-le")

    @property
    def command(self) -> str:
        """What people call."""
        return (self.programs / "flash-agent.cmd").read_text()
