"""The installers around a built program: NSIS's setup, wixl's MSI, and the signature where a certificate is named."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from agent import __version__

HERE = Path(__file__).parent
CERTIFICATE = "FLASH_AGENT_SIGN_CERTIFICATE"
APT = "sudo apt-get install nsis wixl msitools osslsigncode"


def make(program: Path, into: Path, version: str = __version__) -> Iterator[Path]:
    """Both of them, signed like the program; raises CalledProcessError with what the tool said."""
    into.mkdir(parents=True, exist_ok=True)
    yield setup(program, into / f"flash-pos-agent-{version}-setup.exe", version)


def setup(program: Path, out: Path, version: str, *, quick: bool = False) -> Path:
    """NSIS's, with its uninstaller, both signed by makensis itself as it makes them; `quick` leaves it uncompressed."""
    defines = {"VERSION": version, "NUMBERS": numbers(version), "PROGRAM": program.absolute(), "OUT": out.absolute()}
    if os.environ.get(CERTIFICATE):
        defines["SIGN"] = HERE / "sign.sh"
    if quick:
        defines["QUICK"] = "yes"
    words = [f"-D{name}={value}" for name, value in defines.items()]
    _run(["makensis", "-V2", "-WX", *words, str(HERE / "setup.nsi")])
    return out


def numbers(version: str) -> str:
    """A version as Windows writes it: four numbers."""
    return ".".join([*re.findall(r"\d+", version)[:3], "0"])


def sign(file: Path) -> None:
    """Sign a file in place, where FLASH_AGENT_SIGN_CERTIFICATE names a certificate."""
    if os.environ.get(CERTIFICATE):
        _run([str(HERE / "sign.sh"), str(file)])


def _run(command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        raise SystemExit(f"{command[0]} is needed: {APT}")
    subprocess.run(command, check=True)
