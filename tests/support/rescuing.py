"""What the tests of rescues share: a dead till's disk, and the two commands."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agent import agefile, jsons
from agent.outbox.till import Till
from agent.rescue.disk import borrowed
from agent.rescue.exporting import Keys, read
from agent.rescue.travelling import VERSION, Load, Rescue
from agent.storage import DataDir
from tests.support.agents import Answer, Register
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


async def left_on(disk: Path, named: Till | None = None) -> Rescue:
    """What `rescue export` would seal, read in this process."""
    place = DataDir(disk)
    with borrowed(place) as copy:
        return await read(copy, Keys(place, credential=None, identity=None), named)


def load_of(rescue: Rescue, **changes: Any) -> Load:
    return replace(Load(VERSION, rescue.till, rescue.origin, rescue.operations), **changes)


async def carry(rescue: Rescue, register: Register, **changes: Any) -> list[str]:
    """Into a running agent; what became of each."""
    answer = await hand_over(register, jsons.encode(load_of(rescue, **changes)))
    assert answer.status == 200, answer
    return [each["fate"] for each in answer.json["operations"]]


async def hand_over(register: Register, body: bytes, scope: str = "operator", **headers: str) -> Answer:
    return await register.call("POST", "/v1/rescue", raw=body, scope=scope, **headers)
