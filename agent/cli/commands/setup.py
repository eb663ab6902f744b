"""`setup`: from a machine with the program on it to a till that sells; asks, or takes its answers from a file.

Exit codes: 0 done, 1 a check or a step failed (it says what was done; the same again goes on), 2 the answers or the
options cannot be used. Keys are never arguments: they are typed unseen, or come from the answers file, from files that
it names, or from the environment.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli import options

if TYPE_CHECKING:
    from agent.cli.client import AgentClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the answers come from, where things go, and how far to go."""
    parser.add_argument(
        "--from", dest="source", metavar="FILE", help="take the answers from this TOML file (-: standard input)"
    )
    parser.add_argument("--example", action="store_true", help="print a commented answers file, and do nothing else")
    parser.add_argument("--till", metavar="ID", help="the till's id, whatever the answers say")
    parser.add_argument(
        "--dry-run", action="store_true", help="check everything, say what would be done, change nothing"
    )
    parser.add_argument("--unchecked", action="store_true", help="do not ask Flash whether keys and store are right")
    parser.add_argument("--no-service", action="store_true", help="write the configuration and install no service")
    options.add_config(parser)
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Set up; raises ConfigError (exit code 2) or AgentError."""
    if arguments.example:
        from agent.setup.example import EXAMPLE

        print(EXAMPLE, end="")
        return 0
    from agent.cli.terminal import Terminal
    from agent.setup import place
    from agent.setup.flow import STANDARD_INPUT, Setup, Wish

    where = place.find(arguments.config, arguments.data_dir, service=not arguments.no_service)
    wish = Wish(
        where,
        source=STANDARD_INPUT if arguments.source == "-" else arguments.source,
        text=_text(arguments.source),
        till=arguments.till,
        unchecked=arguments.unchecked,
        dry_run=arguments.dry_run,
    )
    return Setup(wish, _Outside(), Terminal()).run()


class _Outside:
    """This machine's service manager, and the client of its agent."""

    def __init__(self) -> None:
        from agent import servicemanager

        self.service = servicemanager

    def connect(self, data_dir: Path) -> "AgentClient":
        from agent.cli.client import AgentClient

        return AgentClient(data_dir)


def _text(source: str | None) -> str:
    from agent.errors import ConfigError

    if source is None:
        if not sys.stdin.isatty():
            raise ConfigError("There is no terminal to ask at. Give the answers with --from FILE (see --example).")
        return ""
    try:
        return sys.stdin.read() if source == "-" else Path(source).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"The answers file {source} cannot be read: {reason}.") from None
