"""What the Windows part is tested with: the program, built from this tree, and a Windows of its own for each module."""

import contextlib
import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.windows import build, installers, wine
from tests.packaging.windows.stand_in import Site
from tests.packaging.windows.till import Till, timed
from tests.support.commands import free_port

TOOLS = {"makensis": "nsis", "wixl": "wixl", "msibuild": "msitools", "osslsigncode": "osslsigncode", "npm": "npm"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if not wine.is_here():
        missing += ["wine64", "gcc-mingw-w64-x86-64-win32"]
    for item in items:
        if missing and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=f"sudo apt-get install {' '.join(missing)}"))
    items.sort(key=lambda item: item.path.stem != "test_life")  # the longest first, or one process ends long after all


@pytest.fixture(scope="session")
def program() -> Path:
    """The folder of the program, made from nothing but what was fetched before; once for all of pytest's processes."""
    with timed("the program"), one_at_a_time():
        build.build(print, installers_too=False)
    return build.PROGRAM


@pytest.fixture(scope="session")
def setup(program: Path) -> Path:
    """A setup of this tree's version."""
    return made(program, "0.1.0")


@pytest.fixture(scope="session")
def next_setup(program: Path) -> Path:
    """The same program as the version that follows."""
    return made(program, "0.1.1")


def made(program: Path, version: str) -> Path:
    """A setup of a version, made by whichever process is the first to want it."""
    of = (build.CACHE / "program-made-of").read_bytes() + (build.HERE / "setup.nsi").read_bytes()
    out = build.CACHE / "setups" / f"{version}-{hashlib.sha256(of).hexdigest()[:16]}" / "agent-setup.exe"
    with timed(f"setup of {version}"), one_at_a_time():
        if not out.exists():
            for old in out.parent.parent.glob(f"{version}-*"):
                shutil.rmtree(old)
            out.parent.mkdir(parents=True)
            installers.setup(program, out.with_suffix(".new"), version, quick=True).rename(out)
    return out


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Pytest's processes build into the same place."""
    build.CACHE.mkdir(parents=True, exist_ok=True)
    with (build.CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def till(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """A Windows with nothing of ours in it, and a program that waits, so that services live on."""
    machine = wine.Wine(tmp_path_factory.mktemp("windows") / "prefix")
    subprocess.run(["cp", "-a", build.CACHE / "prefix", machine.prefix], check=True)  # quicker than a new one
    there = Till(machine, free_port())
    there.power_on()
    try:
        yield there
    finally:
        there.power_off()
    shutil.rmtree(machine.prefix)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("switch"))
    with made.wine.kept_alive():
        yield made
