"""`key confirm`: the operator's word that a new write key belongs to this till's tenant. `key set`: keep a key."""

import argparse
import sys

from agent.cli import options

_MISSING = "flash-key-missing"
_LONGEST = 1024
_WHERE = {  # by the source that the answer names
    "setting": "[flash] {which}_key of the settings",
    "file": "the file that [flash] {which}_key_file names",
    "credential": "the service's credential flash-{which}-key",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions, and `--data-dir`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "say that the new write key belongs to this till's tenant; what was held is then sent with it"
    options.add_place(actions.add_parser("confirm", help=text, description=f"{text[0].upper()}{text[1:]}."))
    text = "keep a Flash key in the data directory for the next start; it is read from standard input, or asked for"
    keep = actions.add_parser("set", help=text, description=f"{text[0].upper()}{text[1:]}.")
    keep.add_argument("which", choices=("write", "read"), metavar="write|read")
    options.add_place(keep)


def run(arguments: argparse.Namespace) -> int:
    """Run the action; exit code 1 when no agent answers, or it says no."""
    from agent import config
    from agent.cli.client import AgentClient
    from agent.errors import AgentError

    client = AgentClient(config.data_dir(arguments.data_dir))
    if arguments.action == "set":
        kept = client.call("POST", "/v1/key", {"which": arguments.which, "key": _asked_for(arguments.which)})
        print(f"The {kept['which']} key is kept (protected by: {kept['protectedBy']}). Restart the agent to use it.")
        if kept["source"] not in {None, "kept"}:
            where = _WHERE.get(kept["source"], kept["source"]).format(which=kept["which"])
            print(f"But another goes before it; remove that first: {where}.", file=sys.stderr)
        return 0
    status = client.call("POST", "/v1/key/confirm")
    if any(condition["code"] == _MISSING for condition in status["conditions"]):
        raise AgentError(
            "There is no key to confirm: set [flash] write_key or write_key_file, or give it to flash-agent key set, "
            "and restart the agent."
        )
    print(f"The write key is confirmed. Operations that wait to be sent: {status['pending']}.")
    return 0


def _asked_for(which: str) -> str:
    """Never an argument: the list of processes and the shell's history show those to others."""
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass(f"The {which} key (not shown): ").strip()
    return sys.stdin.read(_LONGEST).strip()
