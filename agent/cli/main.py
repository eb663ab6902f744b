"""Parses the command line and hands over to the command's module. The modules import what is heavy only when they run,
so that `--version` and the commands that talk to a running agent stay quick.
"""

import argparse
import contextlib
import io
import keyword
import os
import sys
from importlib import import_module
from typing import Any

from agent import __version__
from agent.errors import AgentError, ConfigError

COMMANDS = {
    "demo": "play a short story with a stand-in for Flash, then serve",
    "run": "run the agent",
    "service": "install, start or stop the agent as a service of this machine",
    "sandbox": "run the stand-in for Flash alone",
    "status": "how the running agent is",
    "doctor": "what is wrong with this till, what it means and what to do",
    "support-bundle": "what support needs, in one file without personal data and without a key",
    "operations": "list, show, retry, close or discard operations of the running agent",
    "import": "take in a file of another system",
    "summary": "a day in numbers, to compare with the Z report",
    "reconcile": "compare what this till sent with what Flash has",
    "events": "what happens at the running agent, as it happens",
    "exposure": "a day's coupons that were honored without Flash's word",
    "members": "show or forget a member, or follow what changed at Flash",
    "drill": "rehearse an outage: send nothing to Flash for a while",
    "setup": "set this till up: settings, keys, service; asks, or takes its answers from a file",
    "config": "check the configuration",
    "browsers": "let web registers reach the agent without the browser asking (Windows)",
    "keys": "change the Flash keys without a restart, list or confirm them",
    "key": "another name of keys",
    "token": "give a client a token of its own, list or revoke them",
    "upgrade": "whether this version can run over a data directory",
    "data-key": "change the key that seals what is stored",
    "rescue": "bring what a dead till still holds to Flash through another one",
}
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


def build_parser(chosen: str | None = None) -> argparse.ArgumentParser:
    """The command line, with the arguments of all commands or of the one that was chosen."""
    parser = argparse.ArgumentParser(
        prog="flash-agent",
        description="The Flash loyalty agent of a till.",
        epilog="New here? flash-agent demo needs no set-up. flash-agent COMMAND --help tells of a command's options.",
    )
    parser.add_argument("--version", action="version", version=f"flash-agent {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if chosen is None or name == chosen:
            _module(name).add_arguments(command)
    return parser


def _module(name: str) -> Any:
    module = name.replace("-", "_")
    return import_module(f"agent.cli.commands.{module}{'_' if keyword.iskeyword(module) else ''}")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an order number may hold what an old console cannot show
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:] if arguments is None else arguments
    parsed = _parsed(words)
    if parsed is None:
        return EXIT_USAGE
    try:
        code = int(_module(parsed.command).run(parsed) or 0)
        if sys.stdout:  # there is none where we were started with it closed
            sys.stdout.flush()
    except ConfigError as error:
        print(f"flash-agent: {error}", file=sys.stderr)
        return EXIT_USAGE
    except AgentError as error:
        print(f"flash-agent: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _let_go_of_stdout()
        return EXIT_FAILED
    return code


def _parsed(words: list[str]) -> argparse.Namespace | None:
    """What was asked for; None where no command was named. The parser goes, for `run` may stay for weeks."""
    parser = build_parser(words[0] if words and words[0] in COMMANDS else None)
    parsed = parser.parse_args(words)
    if parsed.command is None:
        parser.print_help(sys.stderr)
        return None
    return parsed


def _let_go_of_stdout() -> None:
    """Whoever read our output has gone; the interpreter's own flush at exit must not complain about it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
