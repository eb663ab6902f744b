"""The README lists every setting, in its section, with the value that holds where none is given."""

import re
import tomllib
from pathlib import Path

import pytest

from agent.config.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
(BLOCK,) = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PARTS = dict(re.findall(r"^\[(\w+)\]([^\n]*\n.*?)(?=^\[|\Z)", BLOCK, re.MULTILINE | re.DOTALL))
FIELDS = {
    f"{section}.{name}": (section, name, each)
    for section, field in Settings.model_fields.items()
    for name, each in getattr(field.annotation, "model_fields", {}).items()
}
GIVEN = {f"{section}.{name}": value for section, names in tomllib.loads(BLOCK).items() for name, value in names.items()}
OF_THE_SITE = {"flash.write_key_file", "store.store_id"}  # an example of what has no default


@pytest.mark.parametrize("setting", sorted(FIELDS))
def test_a_setting_is_listed(setting):
    section, name, _ = FIELDS[setting]
    assert re.search(rf"\b{name}\b", PARTS[section])


@pytest.mark.parametrize("setting", sorted(set(GIVEN) - OF_THE_SITE))
def test_the_value_that_is_given_is_the_default(setting):
    default = FIELDS[setting][2].get_default(call_default_factory=True)
    assert GIVEN[setting] == (list(default) if isinstance(default, tuple) else default)


def test_they_were_found():
    assert {"flash.proxy", "orders.id_template", "spool.folders"} <= set(FIELDS)
    assert {"orders.id_template", "api.port"} <= set(GIVEN)
