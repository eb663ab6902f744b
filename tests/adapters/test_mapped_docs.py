"""The worked examples of docs/adapters/csv.md and jsonl.md are true: each is run as it stands on the page."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from agent.adapters import registry
from agent.adapters.base import Site
from tests.adapters.golden import spelled

PAGES = Path(__file__).parents[2] / "docs" / "adapters"


def block(page: str, language: str) -> str:
    return re.search(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[1]


@pytest.mark.parametrize("name", ["csv", "jsonl"])
def test_the_example_comes_to_what_the_page_says(name):
    page = (PAGES / f"{name}.md").read_text("utf-8")
    settings = tomllib.loads(block(page, "toml"))
    site = Site("EUR", stores=settings.get("documents", {}).get("stores", {}))
    options = registry.options_of(name, settings["adapters"][name])
    items = [spelled(item) for item in registry.adapter(name).parse(block(page, name).encode(), options, site)]
    promised = [json.loads(line) for line in block(page, "json").splitlines()]
    assert [{field: value for field, value in item.items() if field != "reason"} for item in items] == promised
