"""`upgrade check`: whether this version can run over a data directory; whoever installs or goes back asks it first.

It reads one small file, changes nothing, and may be asked while an agent runs. Exit code 0: it can, and whatever is
there is kept; 1: a newer version has run there, and this one would refuse to start.
"""

import argparse

from agent.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action and `--data-dir`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "whether this version can run over the data directory: exit code 0, or 1 with the reason"
    check = actions.add_parser("check", help=text, description=f"{text[0].upper()}{text[1:]}.")
    options.add_place(check)


def run(arguments: argparse.Namespace) -> int:
    """Say it."""
    from agent import app, config

    can_start, text = app.upgrade_of(config.data_dir(arguments.data_dir)).check()
    print(text)
    return 0 if can_start else 1
