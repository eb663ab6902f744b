"""Whatever a setting may not be is said in our words: the setting, what it must be, how it is written."""

import os
import re
from typing import Any

import pytest
from pydantic import BaseModel

from agent import config
from agent.adapters import registry
from agent.config import Settings
from agent.errors import ConfigError
from agent.setup import answers

SECTIONS = {
    name: field.annotation
    for name, field in Settings.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
TABLE = [(section, name) for section, model in SECTIONS.items() for name in model.model_fields]
WRONG = [
    "-7", "1.5", "1e99", "nan", "inf", "true", '"wrong words"', '""', '"\\u0000"', "[]", "[7]", '["wrong words"]',
    "[[1]]", "{}", "{ poslog = 7 }", '{ poslog = "wrong" }', "{ poslog = { a = 1 } }", "1979-05-27", "07:32:00",
    f'"{"x" * 3000}"',
]  # fmt: skip
FOREIGN = re.compile(r"class|pydantic|Input|Traceback|should|null byte|errors\.|instance|\bpathlib|Error|NoneType")
MEND = re.compile(
    r"must |are expected, such as|knows no field|has unbalanced|cannot be read|is required|has more than|is a folder"
)


@pytest.fixture(autouse=True)
def environ(monkeypatch):
    for name in list(os.environ):
        if name.upper().startswith("FLASH_AGENT_"):
            monkeypatch.delenv(name)
    return monkeypatch


def refusal(path, text):
    path.write_text(text, "utf-8")
    try:
        config.load(str(path))
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize(("section", "name"), TABLE, ids=lambda part: part)
def test_every_setting_of_a_wrong_kind_is_told_by_its_name_with_the_mend(tmp_path, section, name):
    path = tmp_path / "agent.toml"
    said = [(value, refusal(path, f"[{section}]\n{name} = {value}")) for value in WRONG]
    told = [(value, message) for value, message in said if message is not None]
    assert len(told) >= 5
    for value, message in told:
        assert re.search(rf"\[{section}(\] {name}|\.{name}\] poslog)", message), (value, message)
        assert message.startswith(f"{path}: [") or name.endswith(("key", "key_file")), (value, message)
        assert not FOREIGN.search(message.removeprefix(f"{path}")), (value, message)
        assert MEND.search(message), (value, message)
        assert message.endswith((".", "…")), (value, message)


SAID = """
[api] port = -1 -> [api] port: must be a whole number from 0 to 65535, without quotes, such as 8455.
[flash] attempt_timeout_s = 0 -> must be a number above 0 and of 60 at most, without quotes, such as 8.0.
[coupons] max_value = 'x' -> [coupons] max_value: must be a number of 0 or more, without quotes, such as 10.00.
[api] open_metrics = 'maybe' -> [api] open_metrics: must be true or false, without quotes.
[log] level = 'loud' -> [log] level: must be one of "debug", "info", "warning" or "error", in quotes.
[store] currency = 'usd' -> [store] currency: must be spelled as in "USD" (three capital letters).
[flash] ca_file = 7 -> must be the path of a file or folder, in quotes, such as "/etc/flash-agent/proxy.pem".
[spool] folders = 7 -> must be a table, such as a section [spool.folders] with "poslog" = "/srv/spool/poslog".
[spool.folders] poslog = 7 -> [spool.folders] poslog: must be the path of a file or folder, in quotes, such as "/srv/
[documents] currencies = ['USD', 7] -> [documents] currencies (entry 2): must be text, in quotes, such as "USD".
[documents.stores] 0018 = 7 -> [documents.stores] 0018: must be text, in quotes, such as "st_18".
"""


@pytest.mark.parametrize("line", SAID.strip().splitlines())
def test_the_words_tell_bounds_and_an_example(tmp_path, line):
    text, said = line.split(" -> ")
    assert said in refusal(tmp_path / "agent.toml", text.replace("] ", "]\n", 1))


@pytest.mark.parametrize("flags", [{"port": "x"}, {"prot": 1}])
def test_a_flags_too(tmp_path, flags):
    (name,) = flags
    with pytest.raises(ConfigError, match=rf"^The command line: \[api\] {name}: ") as caught:
        config.load(None, {"api": flags})
    assert not FOREIGN.search(str(caught.value))


def test_a_variables_too(tmp_path, environ):
    environ.setenv("FLASH_AGENT_API__PORT", "many")
    assert refusal(tmp_path / "agent.toml", "").startswith("FLASH_AGENT_API__PORT: [api] port: must be a whole number")


WRONG_OPTIONS: list[Any] = [7, 1.5, True, "wrong words", [], [7], {}, {"a": 7}, {"a": {"b": []}}, None]


def said_of(adapter, **options):
    try:
        registry.options_of(adapter, options)
    except ConfigError as error:
        return str(error)
    return None


@pytest.mark.parametrize("adapter", registry.MODULES)
def test_every_option_of_an_adapter_too(adapter):
    options = registry.adapter(adapter).options.model_fields
    said = [(name, value, said_of(adapter, **{name: value})) for name in options for value in WRONG_OPTIONS]
    assert {name for name, _, message in said if message} == set(options)
    for name, value, message in said:
        if message is not None:
            assert message.startswith(f"[adapters.{adapter}]"), message
            assert not FOREIGN.search(message), (name, value, message)


def answered(**given):
    """What setup says of one answer alone, whatever else is missing."""
    try:
        answers.Answers.model_validate(given)
    except answers.ValidationError as error:
        items = error.errors(include_input=False)
        return [answers._spell(item) for item in items if item["loc"][0] in given]
    return []


@pytest.mark.parametrize("name", sorted(set(answers.Answers.model_fields) - {"check"}))
def test_every_answer_of_setup_too(name):
    said = [message for value in (7, 1.5, [], [7], {}, {"a": 7}, "\0", "") for message in answered(**{name: value})]
    assert said
    assert [message for message in said if FOREIGN.search(message)] == []
