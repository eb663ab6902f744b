"""The adapters there are, by name. Explicit: what is not in this list does not exist. Each is loaded when used."""

import functools
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pydantic import ValidationError

from agent.adapters.base import Adapter, Options
from agent.errors import ConfigError, NotFoundError
from agent.settingwords import words

MODULES: Mapping[str, str] = {
    "amazon": "agent.adapters.amazon",
    "canonical": "agent.adapters.canonical",
    "csv": "agent.adapters.csv",
    "dynamics": "agent.adapters.dynamics",
    "jsonl": "agent.adapters.jsonl",
    "manhattan": "agent.adapters.manhattan",
    "poslog": "agent.adapters.poslog",
    "salesforce": "agent.adapters.salesforce",
    "sap": "agent.adapters.sap",
    "shopify": "agent.adapters.shopify",
    "sterling": "agent.adapters.sterling",
    "tiktok": "agent.adapters.tiktok",
}


@functools.cache
def adapter(name: str) -> Adapter:
    """The adapter of that name; raises NotFoundError naming those there are."""
    if name not in MODULES:
        raise NotFoundError(f"There is no such adapter; there are: {', '.join(MODULES)}.", code="adapter-not-found")
    found: Adapter = import_module(MODULES[name]).ADAPTER
    return found


def options_of(name: str, settings: Mapping[str, Any]) -> Options:
    """The options of one adapter from `[adapters.NAME]`; raises ConfigError naming the setting and the mend."""
    model = adapter(name).options
    try:
        return model.model_validate(dict(settings))
    except ValidationError as error:
        faults = []
        for item in error.errors(include_url=False, include_input=False):
            field = ".".join(str(step) for step in item["loc"])
            known = ", ".join(model.model_fields) or "none"
            own = model.model_fields.get(str(item["loc"][0])) if len(item["loc"]) == 1 else None
            said = words(item, own) if item["type"] != "extra_forbidden" else f"is unknown; there are: {known}"
            faults.append(f"[adapters.{name}] {field}: {said}.".replace(" : ", ": "))
        raise ConfigError("\n".join(faults)) from None


def check(adapters: Mapping[str, Mapping[str, Any]], spooled: Mapping[str, Any]) -> None:
    """Raise ConfigError where a section names a system that there is not, or an option that is none of its."""
    for section, names in (("adapters", adapters), ("spool.folders", spooled)):
        for name in names:
            if name not in MODULES:
                there_are = ", ".join(MODULES)
                raise ConfigError(f"[{section}] {name}: there is no such adapter; there are: {there_are}.")
    for name in {**adapters, **spooled}:
        options_of(name, adapters.get(name, {}))
