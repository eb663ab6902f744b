"""What the Windows part is tested with: the program, built from this tree, and a Windows of its own for each module."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from installer.windows import build, installers, wine
from tests.packaging.windows.till import Till

TOOLS = {"makensis": "nsis", "wixl": "wixl", "msibuild": "msitools", "osslsigncode": "osslsigncode", "npm": "npm"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = [package for tool, package in TOOLS.items() if shutil.which(tool) is None]
    if not wine.is_here():
        missing += ["wine64", "gcc-mingw-w64-x86-64-win32"]
    for item in items:
        if missing and item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.skip(reason=f"sudo apt-get install {' '.join(missing)}"))


@pytest.fixture(scope="session")
def program() -> Path:
    """The folder of the program, made from nothing but what was fetched before."""
    began = time.monotonic()
    build.build(print, installers_too=False)
    print(f"built in {time.monotonic() - began:.0f} s")
    return build.PROGRAM


@pytest.fixture(scope="session")
def setup(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A setup of this tree's version."""
    return installers.setup(program, tmp_path_factory.mktemp("setup") / "agent-setup.exe", "0.1.0", quick=True)


@pytest.fixture(scope="session")
def next_setup(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same program as the version that follows."""
    return installers.setup(program, tmp_path_factory.mktemp("next") / "agent-setup.exe", "0.1.1", quick=True)


@pytest.fixture(scope="module")
def till(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Till]:
    """A Windows with nothing of ours in it, and a program that waits, so that services live on."""
    machine = wine.Wine(tmp_path_factory.mktemp("windows") / "prefix")
    subprocess.run(["cp", "-a", build.CACHE / "prefix", machine.prefix], check=True)  # quicker than a new one
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    there = Till(machine, port)
    there.power_on()
    try:
        yield there
    finally:
        there.power_off()
    shutil.rmtree(machine.prefix)
