"""Where an upgrade does not get ready the script goes back, but never to a version that the newer one has shut out.

The script is the package's own; the system's commands that it calls are stood in for, so that they fail when asked to.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "installer" / "linux" / "scripts" / "postinst"
pytestmark = pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg's scripts are run where there is dpkg")
_QUIET = ("systemd-sysusers", "install", "deb-systemd-helper", "sync")


class Site:
    """A till with version 1 in force, on which version 2 is configured. `said` is what was asked of the system."""

    def __init__(self, folder: Path) -> None:
        self.home, self.config, self.data = folder / "lib", folder / "etc", folder / "data"
        self.bin, self.log = folder / "bin", folder / "log"
        for each in (self.home / "versions" / "1", self.home / "program", self.config / "credentials", self.bin):
            each.mkdir(parents=True)
        self.config.joinpath("agent.toml").touch()
        self.config.joinpath("credentials", "flash-agent.key").touch()
        self.data.mkdir()
        self.put(self.home / "program" / "flash-agent", "exit 0")
        (self.home / "current").symlink_to("versions/1")
        for name in _QUIET:
            self.put(self.bin / name, "exit 0")
        self.put(self.bin / "systemctl", '[ "$1" != is-active ] || echo active')

    def put(self, path: Path, script: str) -> None:
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def answers(self, *, restarts: str, checks: str) -> None:
        """The exit codes that are given in turn: of each restart, and of the older version's `upgrade check`."""
        turn = """
n=$(cat "$0.count" 2>/dev/null || echo 0); echo $((n + 1)) >"$0.count"
set -- {codes}
shift "$n"
exit "$1"
"""
        log = f'echo "restart $(readlink {self.home}/current)" >>{self.log}'
        self.put(self.bin / "deb-systemd-invoke", log + turn.format(codes=restarts))
        self.put(self.home / "versions" / "1" / "flash-agent", f"echo check >>{self.log}" + turn.format(codes=checks))

    def configure(self) -> tuple[int, str]:
        """Run it; its exit code and what it printed."""
        text = SCRIPT.read_text("utf-8").replace("@VERSION@", "2")
        for name, path in (("home", self.home), ("config", self.config), ("data", self.data)):
            lines = [line for line in text.splitlines() if line.startswith(f"{name}=/")]
            assert len(lines) == 1
            text = text.replace(lines[0], f"{name}={path}")
        text = text.replace("/run/systemd/system", str(self.data))  # systemd runs
        environ = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", text, "postinst", "configure"], env=environ, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def in_force(self) -> str:
        return str((self.home / "current").readlink())

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_version_that_gets_ready_stays(site: Site) -> None:
    site.answers(restarts="0", checks="9")
    code, said = site.configure()
    assert (code, site.in_force, said) == (0, "versions/2", "")
    assert site.asked == ["restart versions/2"]


def test_one_that_does_not_is_switched_back(site: Site) -> None:
    site.answers(restarts="1 0", checks="0")
    code, said = site.configure()
    assert (code, site.in_force) == (1, "versions/1")
    assert site.asked == ["restart versions/2", "check", "restart versions/1"]
    assert "version 2 did not get ready; 1 runs again, with its queue" in said


def test_one_that_ended_after_it_was_ready_stays(site: Site) -> None:
    site.answers(restarts="1", checks="1")
    code, said = site.configure()
    assert (code, site.in_force) == (1, "versions/2")
    assert site.asked == ["restart versions/2", "check"]
    assert "there is no way back" in said


def test_one_that_gets_ready_between_the_question_and_the_switch_stays(site: Site) -> None:
    """The unit starts it again by itself after some seconds; the one before then refuses, and nobody would sell."""
    site.answers(restarts="1 1 0", checks="0 1")
    code, said = site.configure()
    assert (code, site.in_force) == (1, "versions/2")
    assert site.asked == ["restart versions/2", "check", "restart versions/1", "check", "restart versions/2"]
    assert "got ready late" in said


def test_where_neither_gets_ready_it_says_so(site: Site) -> None:
    site.answers(restarts="1 1", checks="0 0")
    code, said = site.configure()
    assert (code, site.in_force) == (1, "versions/1")
    assert "neither does 1" in said
