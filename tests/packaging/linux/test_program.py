"""The program as it is packed: the same bytes each time, and all in it that the agent loads by name."""

import ctypes
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from agent.adapters.registry import MODULES
from agent.receipt import LANGUAGES
from tests.packaging.linux.conftest import PROGRAM, ROOT, pack

TAGS = sorted({*LANGUAGES, "de-AT", "de-CH", "en-GB", "fr-CA", "es-MX"})


def sums(folder: Path) -> dict[str, str]:
    return {
        str(each.relative_to(folder)): hashlib.sha256(each.read_bytes()).hexdigest()
        for each in folder.rglob("*")
        if each.is_file()
    }


def said(*command: str) -> str:
    done = subprocess.run(
        command, env={"PATH": "/usr/bin:/bin"}, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_same_source_gives_the_same_bytes(package: Path, tmp_path: Path):
    subprocess.run(
        ["make", "-s", "binary", f"OUT={tmp_path / 'dist'}", f"WORK={tmp_path / 'work'}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    again = sums(tmp_path / "dist" / "flash-agent")
    assert again == sums(PROGRAM)
    first, second = (pack(PROGRAM, "0.1.0-9", tmp_path / name) for name in ("first", "second"))
    assert first.read_bytes() == second.read_bytes()


def test_its_sqlite_has_the_mend_of_the_log(package: Path):
    sqlite = ctypes.CDLL(str(PROGRAM / "_internal" / "libsqlite3.so.0"))
    assert sqlite.sqlite3_libversion_number() >= 3_051_003
    assert sqlite.sqlite3_threadsafe() == 1


def test_nothing_in_it_names_the_place_where_it_was_built(package: Path):
    here = str(ROOT).encode()
    assert [path for path in PROGRAM.rglob("*") if path.is_file() and here in path.read_bytes()] == []


@pytest.mark.parametrize("tag", TAGS)
def test_receipts_in_every_language_are_those_of_the_tree(package: Path, tmp_path: Path, tag: str):
    config = tmp_path / "agent.toml"
    config.write_text(f'[store]\nlanguage = "{tag}"\ncurrency = "EUR"\n')
    words = ["config", "receipts", "--config", str(config)]
    assert said(str(PROGRAM / "flash-agent"), *words) == said(sys.executable, "-m", "agent", *words)


@pytest.mark.parametrize("name", MODULES)
def test_every_adapter_is_in_it(package: Path, tmp_path: Path, name: str):
    config = tmp_path / "agent.toml"
    config.write_text(f"[adapters.{name}]\nno_such_option = 1\n")
    words = ["config", "check", "--config", str(config)]
    done = subprocess.run([str(PROGRAM / "flash-agent"), *words], capture_output=True, text=True, check=False)
    assert f"[adapters.{name}] no_such_option: is unknown" in done.stderr
