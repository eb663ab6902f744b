"""What the tests of rescues share: a dead till's disk, and the two commands."""

import shutil
import subprocess
from pathlib import Path

from agent import agefile
from tests.support.commands import flash_agent

RECIPIENT, IDENTITY = agefile.new_pair()
PASSPHRASE = "seven red lorries in a row"


def buried(data_dir: Path, target: Path) -> Path:
    """The data directory of a killed agent as it is found on its disk: a copy, all files, quarantine too."""
    shutil.copytree(data_dir, target)
    return target


def with_passphrase(folder: Path) -> Path:
    path = folder / "passphrase.txt"
    path.write_text(PASSPHRASE)
    return path


def with_identity(folder: Path) -> Path:
    path = folder / "identity.key"
    path.write_text(IDENTITY)
    return path


def export(disk: Path, output: Path, *options: object, **settings: str) -> "subprocess.CompletedProcess[str]":
    """`rescue export`; sealed to RECIPIENT where nothing else is said, which is quicker than a passphrase."""
    seal = () if {"--to", "--passphrase", "--passphrase-file"} & {*options} else ("--to", RECIPIENT)
    return flash_agent("rescue", "export", "--data-dir", disk, "--output", output, *seal, *options, **settings)


def take_in(data_dir: Path, file: Path, *options: object) -> "subprocess.CompletedProcess[str]":
    """`rescue import` at the till whose agent runs there."""
    named = {"--identity", "--passphrase-file"} & {*options}
    seal = () if named else ("--identity", with_identity(file.parent))
    return flash_agent("rescue", "import", file, "--data-dir", data_dir, *seal, *options)
