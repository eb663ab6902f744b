"""Files that a page, a docstring or a comment names are there, under that name."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *ROOT.glob("docs/**/*.md")])
SOURCES = sorted(ROOT.glob("agent/**/*.py"))
NAMED = re.compile(r"`((?:[\w-]+/)*[\w-]+\.(?:py|sql))(?:::\w+)?`")
THERE = [
    f"/{path.relative_to(ROOT).as_posix()}" for suffix in ("py", "sql") for path in ROOT.glob(f"[!.]*/**/*.{suffix}")
]


def lost(text):
    return [name for name in NAMED.findall(text) if not any(path.endswith(f"/{name}") for path in THERE)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_files_that_are_there(page):
    assert lost(page.read_text("utf-8")) == []


def test_the_program_names_files_that_are_there():
    found = {path.relative_to(ROOT).as_posix(): lost(path.read_text("utf-8")) for path in SOURCES}
    assert {name: files for name, files in found.items() if files} == {}


def test_what_is_not_there_is_found():
    assert lost("`agent/app/agent.py`, `line.py`, `schema.sql`; `agent/nowhere.py` and `outbox/app.py`") == [
        "agent/nowhere.py",
        "outbox/app.py",
    ]
