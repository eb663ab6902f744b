"""`rescue`: what a dead till still holds is read from its disk, sealed, and delivered through another till.

`keygen` makes the pair of keys that makes a disk readable without its system. The runbook is docs/rescue.md.
"""

import argparse
from pathlib import Path

from agent.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    parser.epilog = "docs/rescue.md is the runbook, for whoever stands before a dead till."
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "make a pair: print the recipient for the tills' settings, write the identity that opens what they seal"
    keygen = actions.add_parser("keygen", help=text, description=f"{text[0].upper()}{text[1:]}.")
    keygen.add_argument("--output", metavar="FILE", type=Path, required=True, help="the identity; must not exist yet")
    _add_export(actions)
    text = "take a sealed file into the running agent of another till, which delivers it in the dead till's name"
    into = actions.add_parser("import", help=text, description=f"{text[0].upper()}{text[1:]}.")
    into.add_argument("file", metavar="FILE", type=Path, help="what rescue export wrote")
    ways = into.add_mutually_exclusive_group()
    ways.add_argument("--identity", metavar="FILE", type=Path, help="the age identity that it was sealed for")
    ways.add_argument("--passphrase-file", metavar="FILE", help="the passphrase; - for standard input (else asked for)")
    into.add_argument("--store-differs", action="store_true", help="take it although that till stood in another store")
    options.add_place(into)


def _add_export(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    text = "read what a till that does not run has not delivered, and seal it in a file; its disk is only read"
    out = actions.add_parser("export", help=text, description=f"{text[0].upper()}{text[1:]}.")
    out.add_argument("--data-dir", metavar="DIR", required=True, help="its data directory, of a mounted disk say")
    out.add_argument("--output", metavar="FILE", type=Path, required=True, help="the sealed file; must not exist yet")
    seals = out.add_mutually_exclusive_group(required=True)
    seals.add_argument("--to", metavar="RECIPIENT", help="seal for this age recipient (age1…)")
    seals.add_argument("--passphrase", action="store_true", help="seal with a passphrase, which is asked for")
    seals.add_argument("--passphrase-file", metavar="FILE", help="seal with the one in a file; - for standard input")
    out.add_argument(
        "--identity", metavar="FILE", type=Path, help="the recovery identity, where data.key does not open"
    )
    out.add_argument("--credential", metavar="FILE", type=Path, help="the dead system's credential flash-agent.key")
    out.add_argument("--till-id", metavar="NAME", help="which till it is, where the disk does not say")
    out.add_argument("--store-id", metavar="ID", help="where it stood; with --till-id")


def run(arguments: argparse.Namespace) -> int:
    """Run the action; exit code 1 where it cannot be done."""
    match arguments.action:
        case "keygen":
            return _keygen(arguments.output)
        case "export":
            from agent.cli import rescue_export

            return rescue_export.run(arguments)
        case _:
            from agent.cli import rescue_import

            return rescue_import.run(arguments)


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
