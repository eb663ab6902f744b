"""The installers around a built program: NSIS's setup, wixl's MSI, and the signature where a certificate is named."""

import hashlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

from agent import __version__

HERE = Path(__file__).parent
CERTIFICATE = "FLASH_AGENT_SIGN_CERTIFICATE"
_PRODUCTS = uuid.UUID("d8c0f1de-4a53-4a55-9d3c-0a1c7f6d0c5e")
# wixl puts them where it likes. The product before goes within the transaction, so that it comes back where the new one
# fails; setup.exe is run once it lies there, and while it still does.
_SEQUENCE = {"RemoveExistingProducts": 1501, "Uninstall": 3400, "Install": 6500}
APT = "sudo apt-get install nsis wixl msitools osslsigncode"


def make(program: Path, into: Path, version: str = __version__, *, quick: bool = False) -> Iterator[Path]:
    """Both of them, signed like the program, with a checksum beside each; raises CalledProcessError."""
    into.mkdir(parents=True, exist_ok=True)
    carried = setup(program, into / f"flash-pos-agent-{version}-setup.exe", version, quick=quick)
    for made in (carried, msi(carried, into / f"flash-pos-agent-{version}-x64.msi", version)):
        digest = hashlib.sha256(made.read_bytes()).hexdigest()
        made.with_name(f"{made.name}.sha256").write_text(f"{digest}  {made.name}\n")
        yield made


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


def msi(carried: Path, out: Path, version: str) -> Path:
    """wixl's, around a setup."""
    code = uuid.uuid5(_PRODUCTS, hashlib.sha256(carried.read_bytes()).hexdigest())
    defines = {"Win64": "yes", "Version": numbers(version), "Setup": carried.name, "ProductCode": str(code).upper()}
    words = ["-a", "x64", *(word for name, value in defines.items() for word in ("-D", f"{name}={value}"))]
    _run(["wixl", *words, "-o", str(out.absolute()), str(HERE / "setup.wxs")], where=carried.parent)
    for change in _changes(version):
        _run(["msibuild", str(out), "-q", change])
    sign(out)
    return out


def _changes(version: str) -> Iterator[str]:
    """What wixl does not say itself, as msibuild's SQL; every word is ours."""
    # without a version Windows would keep the file of the product before
    yield f"UPDATE `File` SET `Version`='{numbers(version)}', `Language`='1033' WHERE `File`='setup.exe'"  # noqa: S608
    for action, number in _SEQUENCE.items():
        yield f"UPDATE `InstallExecuteSequence` SET `Sequence`={number} WHERE `Action`='{action}'"  # noqa: S608


def numbers(version: str) -> str:
    """A version as Windows writes it: four numbers."""
    return ".".join([*re.findall(r"\d+", version)[:3], "0"])


def sign(file: Path) -> None:
    """Sign a file in place, where FLASH_AGENT_SIGN_CERTIFICATE names a certificate."""
    if os.environ.get(CERTIFICATE):
        _run([str(HERE / "sign.sh"), str(file)])


def _run(command: list[str], where: Path | None = None) -> None:
    if shutil.which(command[0]) is None:
        raise SystemExit(f"{command[0]} is needed: {APT}")
    subprocess.run(command, check=True, cwd=where)
