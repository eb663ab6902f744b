"""What is wrong with the settings, in words: the place, the setting's name, and the mend."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent import settingwords
from agent.config.places import CONFIG_VARIABLE, DATA_DIR_VARIABLE, ENV_PREFIX
from agent.config.settings import Settings

ADAPTERS = "adapters"  # sections of their own, whose names and settings the adapters know
_IN_JSON: Mapping[str, tuple[type, str]] = {
    "API__ALLOWED_ORIGINS": (list, '["https://pos.example.com"]'),
    "DOCUMENTS__CURRENCIES": (list, '["USD", "CAD"]'),
    "DOCUMENTS__STORES": (dict, '{"0018": "st_18"}'),
    "SPOOL__FOLDERS": (dict, '{"poslog": "/srv/spool/poslog"}'),
}


_EXAMPLES = {
    "flash.base_url": '"https://flash.socialhub.ai/api/v2"',
    "flash.write_key_file": '"/etc/flash-agent/write.key"',
    "flash.read_key_file": '"/etc/flash-agent/read.key"',
    "flash.proxy": '"http://proxy.example.com:3128"',
    "flash.ca_file": '"/etc/flash-agent/proxy.pem"',
    "store.store_id": '"st_18"',
    "store.till_id": '"till-1" (letters, digits and . _ - alone)',
    "store.currency": '"USD" (three capital letters)',
    "store.language": '"de-AT"',
    "orders.id_template": '"{store_id}-{till_id}-{business_date}-{external_order_id}"',
    "orders.refund_id_template": '"{refund_id}"',
    "coupons.max_value": "10.00",
    "receipt.templates_file": '"/etc/flash-agent/receipt.toml"',
}


def _names() -> dict[str, list[str]]:
    sections = {}
    for name, field in Settings.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            sections[name] = list(section.model_fields)
    return sections


def _no_tables(values: Any) -> list[str]:
    if not isinstance(values, dict):
        return ["NAME"]
    return [name for name, value in values.items() if not isinstance(value, dict)]


def _hint(name: str, known: list[str]) -> str:
    import difflib  # noqa: PLC0415 - for a misspelt name alone

    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" There are: {', '.join(known)}."


def unknown(table: Mapping[str, Any], path: Path) -> Iterator[str]:
    """Sections and settings of the file `path` that there are not."""
    sections = _names()
    for section, values in table.items():
        if section == ADAPTERS:
            yield from (
                f"{path}: adapters must hold sections, written [adapters.{name}]." for name in _no_tables(values)
            )
        elif section not in sections:
            yield f"{path}: unknown section [{section}].{_hint(section, list(sections))}"
        elif not isinstance(values, dict):
            yield f"{path}: {section} must be a section, written [{section}]."
        else:
            for name in values:
                if name not in sections[section]:
                    yield f"{path}: unknown setting [{section}] {name}.{_hint(name, sections[section])}"


def unknown_environment() -> Iterator[str]:
    """Variables with our prefix that set nothing."""
    sections = _names()
    known = {f"{ENV_PREFIX}{section}__{name}".upper() for section, names in sections.items() for name in names}
    known |= {CONFIG_VARIABLE, DATA_DIR_VARIABLE}
    for variable in os.environ:
        name = variable.upper()
        of_an_adapter = name.startswith(f"{ENV_PREFIX}{ADAPTERS.upper()}__")
        if name.startswith(ENV_PREFIX) and name not in known and not of_an_adapter:
            yield f"Unknown environment variable {variable}.{_hint(variable.upper(), sorted(known))}"


def malformed_lists() -> Iterator[str]:
    """Lists and tables in the environment are JSON; the library would say neither which one is wrong nor how."""
    for name, (kind, example) in _IN_JSON.items():
        variable = f"{ENV_PREFIX}{name}"
        value = next((value for given, value in os.environ.items() if given.upper() == variable), None)
        if value is None:
            continue
        try:
            sound = isinstance(json.loads(value), kind)
        except ValueError:
            sound = False
        if not sound:
            yield f"{variable} must be a JSON {'list' if kind is list else 'object'}, such as '{example}'."


def spell(item: Any, path: Path) -> str:
    """One fault that pydantic found (an item of its `errors()`), by the place where the value came from."""
    section, *rest = (str(step) for step in item["loc"]) if item["loc"] else ("?",)
    variable = f"{ENV_PREFIX}{'__'.join([section, *rest[:1]]).upper()}"
    source = variable if variable in {name.upper() for name in os.environ} else str(path)
    return f"{source}: {of_section(section, item, item['loc'][1:])}."


def of_section(section: str, item: Any, steps: Sequence[str | int]) -> str:
    """The setting's name and what is wrong with it; `steps` lead to it within its section."""
    setting, *inside = steps or ("?",)
    field = _fields(section).get(str(setting))
    name, entry = f"[{section}] {setting}", ""
    if inside and isinstance(inside[0], int):
        entry = f" (entry {inside[0] + 1})"
    elif inside:
        name = f"[{section}.{setting}] {inside[0]}"
    said = settingwords.words(item, None if inside else field, _example(f"{section}.{setting}", within=bool(inside)))
    return f"{name}{entry}: {said}"


def _fields(section: str) -> dict[str, FieldInfo]:
    found = Settings.model_fields.get(section)
    kind = found.annotation if found else None
    return kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else {}


def _example(setting: str, *, within: bool) -> str:
    """How it is written in the file; of one of several, how that one is."""
    _, example = _IN_JSON.get(setting.replace(".", "__").upper(), (None, ""))
    if not example:
        return _EXAMPLES.get(setting, "")
    whole = json.loads(example)
    if within:
        return json.dumps(next(iter(whole.values() if isinstance(whole, dict) else whole)))
    if isinstance(whole, dict):
        return (
            f"a section [{setting}] with {' and '.join(f'{json.dumps(k)} = {json.dumps(v)}' for k, v in whole.items())}"
        )
    return example
