"""Parses the command line and hands over to the command's module, imported only then: `--version` stays quick."""

import argparse
import sys
from importlib import import_module
from typing import Any

from agent import __version__
from agent.errors import AgentError, ConfigError

COMMANDS = {
    "demo": "play a short story with a stand-in for Flash, then serve",
    "run": "run the agent",
    "sandbox": "run the stand-in for Flash alone",
    "status": "how the running agent is",
    "operations": "list, show, retry or discard operations of the running agent",
    "config": "check the configuration",
    "key": "confirm a new Flash key",
}
EXIT_FAILED = 1
EXIT_USAGE = 2


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="flash-agent", description="The Flash loyalty agent of a till.")
    parser.add_argument("--version", action="version", version=f"flash-agent {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        _module(name).add_arguments(command)
    return parser


def _module(name: str) -> Any:
    return import_module(f"agent.cli.{name}")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    parsed = build_parser().parse_args(arguments)
    try:
        return int(_module(parsed.command).run(parsed) or 0)
    except ConfigError as error:
        print(f"flash-agent: {error}", file=sys.stderr)
        return EXIT_USAGE
    except AgentError as error:
        print(f"flash-agent: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return EXIT_FAILED
