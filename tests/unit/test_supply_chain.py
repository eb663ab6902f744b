"""What is installed is what was locked: pinned, with hashes, from nowhere in particular."""

import re
import tomllib

import pytest

from tools.lockfile import LOCKED, ROOT, read

LOCKS = sorted(LOCKED.glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def name_of(requirement):
    return re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._\-]+", requirement)[0]).lower()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_requirement_is_pinned_with_hashes(lock):
    pinned = read(lock)  # which knows no other kind of line
    assert len(pinned) > 20
    for each in pinned:
        assert each.hashes, each.name
        assert each.via, each.name
    assert len({each.name for each in pinned}) == len(pinned)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_file_names_no_place_to_download_from(lock):
    text = lock.read_text("utf-8")
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host|@ file|git\+", text)
    assert not re.search(r"\b[a-z0-9\-]+\.(org|com|net|io|example|internal|local)\b", text)


def test_all_that_the_project_asks_for_is_locked():
    locked = {lock.stem: {name_of(each.name) for each in read(lock)} for lock in LOCKS}
    assert {name_of(each) for each in PROJECT["project"]["dependencies"]} <= locked["run"]
    assert {name_of(each) for each in PROJECT["project"]["optional-dependencies"]["fast"]} <= locked["run"]
    for group, requirements in PROJECT["dependency-groups"].items():
        assert {name_of(each) for each in requirements} <= locked[group]
    versions = {each.name: each.version for each in read(LOCKED / "run.txt")}
    for name in ("dev", "bench", "supply"):  # what is tested is what is shipped
        others = {each.name: each.version for each in read(LOCKED / f"{name}.txt")}
        assert versions.items() <= others.items()


@pytest.mark.parametrize(
    "line",
    [
        "aiohttp>=3",
        "-e .",
        "--index-url x",
        "aiohttp @ file:///x",
        "    --hash=md5:00",
        "aiohttp==3.14.5 --hash=sha256:0",
    ],
)
def test_any_other_line_is_refused(tmp_path, line):
    lock = tmp_path / "run.txt"
    lock.write_text(f"attrs==26.1.0 \\\n    --hash=sha256:{'0' * 64}\n{line}\n")
    with pytest.raises(ValueError, match=r"run\.txt:3"):
        read(lock)


def test_the_build_is_pinned_to_a_backend_that_builds_the_same_bytes():
    assert PROJECT["build-system"]["build-backend"] == "hatchling.build"
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"].get("reproducible", True)
