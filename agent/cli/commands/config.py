"""`config check`: what the settings come to, without their secrets, and what is unwise about them. `config receipts`:
how they word a receipt.

Exit code 2 with the setting's name and the mend when they cannot be used, by us or by the agent's own account; a
warning alone is no failure.
"""

import argparse
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agent.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from agent.config import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions, `--config` and `--language`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "load the configuration, print what it comes to, warn of what is unwise"
    check = actions.add_parser("check", help=text, description=f"{text[0].upper()}{text[1:]}.")
    options.add_config(check)
    options.add_place(check)
    text = "show every line of a receipt as the settings word it"
    receipts = actions.add_parser("receipts", help=text, description=f"{text[0].upper()}{text[1:]}.")
    receipts.add_argument("--language", metavar="TAG", help="such as fr or de-AT (default: the store's)")
    options.add_config(receipts)


def run(arguments: argparse.Namespace) -> int:
    """Load and print; raises ConfigError."""
    from agent import config

    settings = config.load(arguments.config)
    if settings.adapters or settings.spool.folders:
        from agent.adapters import registry

        registry.check(settings.adapters, settings.spool.folders)
    if settings.keys.recovery is not None:
        _check_recovery(settings.keys.recovery)
    if arguments.action == "receipts":
        from agent.cli import receipts

        return receipts.show(settings, arguments.language)
    path = config.config_path(arguments.config)
    print(f"configuration file  {path}{'' if path.exists() else ' (there is none; defaults and environment)'}")
    print(f"data directory      {config.data_dir(arguments.data_dir)}")
    for line in effective(settings):
        print(line)
    return _judge(settings, path, config.data_dir(arguments.data_dir))


def _judge(settings: "Settings", path: "Path", data_dir: "Path") -> int:
    """Print what is unwise, and what the agent's own account could not use; the exit code."""
    from agent.doctor import account, permissions
    from agent.doctor.findings import Severity

    looked = [*account.seen(settings, path, data_dir), *permissions.foreign(data_dir)]
    found = [each for each in looked if each.kind.severity is not Severity.OK]
    faults = [each for each in found if each.kind.severity is Severity.ERROR]
    warnings = [
        *_warnings(settings, data_dir),
        *(f"{each.title} {each.kind.meaning} {each.kind.mend}" for each in found if each not in faults),
    ]
    print()
    for warning in warnings:
        print(f"warning: {warning}")
    for fault in faults:
        print(f"error: {fault.title} {fault.kind.meaning} {fault.kind.mend}")
    if faults:
        print("You can use the configuration; the agent's account cannot.")
        return 2
    print("The configuration can be used." if not warnings else "The configuration can be used; see the warnings.")
    return 0


def _check_recovery(recipient: str) -> None:
    from agent import agefile
    from agent.errors import ConfigError

    try:
        agefile.check_recipient(recipient)
    except ValueError as error:
        raise ConfigError(f"[keys] recovery {error}.") from None


def effective(settings: "Settings") -> Iterator[str]:
    """All settings as lines, without their secrets."""
    for section, values in settings:
        if isinstance(values, dict):  # the adapters', each its own
            for adapter, chosen in values.items():
                yield from (
                    "",
                    f"[{section}.{adapter}]",
                    *(f"{name} = {_spell(name, chosen[name])}" for name in chosen),
                )
            continue
        yield ""
        yield f"[{section}]"
        width = max(map(len, type(values).model_fields))
        for name, value in values:
            shown = _key(settings, name) if name in {"write_key", "read_key"} else _spell(name, value)
            yield f"{name.ljust(width)} = {shown}"


def _key(settings: "Settings", name: str) -> str:
    """Whether there is a key, never a part of it."""
    key = settings.key("write" if name == "write_key" else "read")
    if key is None:
        return "not set"
    return "set" if getattr(settings.flash, name) is not None else f"set ({name}_file)"


def _spell(name: str, value: Any) -> str:
    if value is None:
        return "not set"
    if name == "proxy":
        value = _without_user(value.get_secret_value())
    return json.dumps(value if isinstance(value, bool | int | float | tuple | list | dict) else str(value), default=str)


def _without_user(url: str) -> str:
    """A proxy's address may hold a password."""
    scheme, separator, rest = url.rpartition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{separator}{'***' if user else ''}{at}{place}"


def _warnings(settings: "Settings", data_dir: "Path") -> Iterator[str]:
    from agent.config import advice

    if settings.key("write") is None and not os.path.exists(data_dir / "flash-write.key"):  # noqa: PTH110 - of others
        yield (
            "There is no write key here: sales are kept but not sent, unless the agent has one (a credential, or one "
            "that it was given). flash-agent keys list shows it; flash-agent keys set write gives one."
        )
    yield from advice.unwise(settings)
