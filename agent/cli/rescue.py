"""`rescue keygen`: the pair of keys that makes a dead till's disk readable without its system."""

import argparse
from pathlib import Path

EPILOG = "docs/rescue.md is the runbook."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    parser.epilog = EPILOG
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "make a pair: print the recipient for the tills' settings, write the identity that opens what they seal"
    keygen = actions.add_parser("keygen", help=text, description=f"{text[0].upper()}{text[1:]}.")
    keygen.add_argument("--output", metavar="FILE", type=Path, required=True, help="the identity; must not exist yet")


def run(arguments: argparse.Namespace) -> int:
    """Run the action; exit code 1 where it cannot be done."""
    return _keygen(arguments.output)


def _keygen(path: Path) -> int:
    from agent import agefile
    from agent.cli.private_file import write_new

    recipient, identity = agefile.new_pair()
    write_new(path, f"# public key: {recipient}\n{identity}\n".encode())
    print(recipient)
    print()
    print("For the settings of every till:")
    print()
    print("  [keys]")
    print(f'  recovery = "{recipient}"')
    print()
    print(f"{path} opens what the tills seal to it. Keep it at head office, and a copy elsewhere; never on a till.")
    return 0
