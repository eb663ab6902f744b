"""`support-bundle`: a zip for support, without personal data and without a key. It prints what is in it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli import options, text

if TYPE_CHECKING:
    from agent.doctor.case import Case


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--output`, `--offline`, `--config`, `--data-dir`."""
    parser.add_argument("--output", metavar="FILE", help="the zip to be made, or its directory (default: this one)")
    parser.add_argument("--offline", action="store_true", help="leave out Flash and the network")
    options.add_config(parser)
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look, write and print; raises AgentError where it cannot be written."""
    from agent import config
    from agent.cli.commands.doctor import connect
    from agent.doctor import bundle
    from agent.doctor.case import gather_in_time
    from agent.doctor.running import examine

    data_dir = config.data_dir(arguments.data_dir)
    case = gather_in_time(arguments.config, data_dir, connect, offline=arguments.offline)
    output = Path(arguments.output) if arguments.output else None
    target, entries = bundle.write(case, examine(case), _settings(case), output)
    rows = [(entry.name, text.size(entry.size), entry.what) for entry in entries]
    for line in text.table(rows, right={1}):
        print(line)
    print()
    print(f"{target}")
    print("No customer's data and no key is in it. It is a zip of plain text: look through it before you send it.")
    return 0


def _settings(case: "Case") -> str:
    """The effective settings as `config check` prints them, or why there are none."""
    from agent.cli.commands.config import effective

    if case.settings is None:
        return f"{case.config_fault}\n"
    return "\n".join(effective(case.settings)) + "\n"
