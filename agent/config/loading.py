"""Reads the settings, once: TOML file, then environment, then flags; refused whole when anything is off.

An unknown or malformed setting stops the start with its name and the mend, for a misspelt `id_template` that is
silently ignored costs a store its points.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from agent import plainfile
from agent.config import faults
from agent.config.places import CONFIG_VARIABLE, MAX_FILE_BYTES, config_path
from agent.config.settings import Settings
from agent.errors import ConfigError


def load(config: str | None = None, flags: Mapping[str, Mapping[str, Any]] | None = None) -> Settings:
    """Read the settings; raises ConfigError naming every fault and its mend.

    `flags` are settings by section that override file and environment.
    """
    path = config_path(config)
    table = _read_table(path, must_exist=bool(config or os.environ.get(CONFIG_VARIABLE)))
    unknown, unreadable = list(faults.unknown(table, path)), [*faults.unknown_environment(), *faults.malformed_lists()]
    if unreadable:
        raise ConfigError("\n".join([*unknown, *unreadable]))
    try:
        settings = Settings(**table)
    except ValidationError as error:
        items = [item for item in error.errors(include_input=False) if not unknown or item["type"] != "extra_forbidden"]
        raise ConfigError("\n".join([*unknown, *(faults.spell(item, path) for item in items)])) from None
    if unknown:
        raise ConfigError("\n".join(unknown))
    settings = _with_flags(settings, flags or {})
    settings.key("write")
    settings.key("read")
    return settings


def _with_flags(settings: Settings, flags: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings with those that were given on the command line in their place."""
    changed = {}
    for name, values in flags.items():
        section: BaseModel = getattr(settings, name)
        try:
            changed[name] = type(section).model_validate({**section.model_dump(), **values})
        except ValidationError as error:
            items = error.errors(include_input=False)
            said = (f"The command line: {faults.of_section(name, item, item['loc'])}." for item in items)
            raise ConfigError("\n".join(said)) from None
    return settings.model_copy(update=changed)


def _read_table(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(plainfile.read(path, follow=True, limit=MAX_FILE_BYTES).decode("utf-8-sig"))
    except FileNotFoundError:
        if must_exist:
            raise ConfigError(f"There is no configuration file {path}. Name another with --config.") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"The configuration file {path} cannot be read: {reason}.") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The configuration file {path} is not valid TOML: {error}.") from None
