"""Packages to install, and Debians to install them on."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.packaging.linux import machine as machines
from tests.packaging.linux.machine import Machine
from tests.packaging.linux.till import Till
from tests.support.agents import WRITE_KEY, strict_flash
from tests.support.commands import free_port
from tests.support.strict_flash import StrictFlash

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "dist" / "flash-agent"
_NO_MACHINE = machines.why_not()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(300))
            if _NO_MACHINE and "machine" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=_NO_MACHINE))


@pytest.fixture(scope="session")
def package() -> Path:
    """What `make deb` built last."""
    return max(ROOT.joinpath("dist").glob("flash-pos-agent_*_amd64.deb"), key=lambda path: path.stat().st_mtime)


def pack(program: Path, version: str, into: Path) -> Path:
    """The program under another version, quickly."""
    command = ["python3", "installer/linux/deb.py", "--version", version, "--compress", "none"]
    made = subprocess.run(
        [*command, "--program", str(program), "--into", str(into)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return Path(made.stdout.strip())


@pytest.fixture(scope="session")
def same(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The version of `package`, in a form that is quick to install."""
    return pack(PROGRAM, "0.1.0-1", tmp_path_factory.mktemp("same"))


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(PROGRAM, "0.1.0-2", tmp_path_factory.mktemp("newer"))


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version whose program does not start."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(PROGRAM, folder / "program")
    program = folder / "program" / "flash-agent"
    program.unlink()
    program.write_text("#!/bin/sh\necho 'this one is broken' >&2\nexit 1\n")
    return pack(folder / "program", "0.1.0-3", folder)


@pytest.fixture(scope="session")
def bookworm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The least Debian there is, and systemd; no Python in it."""
    root = tmp_path_factory.mktemp("bookworm") / "root"
    made = subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", "--include=systemd", "bookworm", str(root)],
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if made.returncode:
        pytest.skip(f"mmdebstrap made no Debian: {made.stdout[-300:]}")
    assert not list(root.glob("usr/bin/python*"))
    assert not list(root.glob("usr/lib/python*"))
    return root


@pytest.fixture
def machine(bookworm: Path, tmp_path: Path) -> Iterator[Machine]:
    """A Debian with nothing of ours in it, switched off."""
    with machines.overlay(bookworm, tmp_path / "machine") as root:
        yield Machine(root)


@pytest.fixture
def flash() -> Iterator[StrictFlash]:
    with strict_flash() as flash:
        flash.add_store("st_1")
        yield flash


@pytest.fixture
def unset(machine: Machine, package: Path) -> Iterator[Till]:
    """The package on a machine that runs, before anybody set it up."""
    machine.install(package)
    with machine.booted():
        yield Till(machine, free_port())


@pytest.fixture
def till(unset: Till, flash: StrictFlash) -> Till:
    """The same with its configuration, started."""
    unset.configure(flash.base_url, WRITE_KEY)
    unset.machine.run("systemctl", "start", "flash-agent")
    return unset
