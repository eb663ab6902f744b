"""`key confirm`: the operator's word that a new write key belongs to this till's tenant."""

import argparse

from agent.cli import options

_MISSING = "flash-key-missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action, and `--data-dir`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "say that the new write key belongs to this till's tenant; what was held is then sent with it"
    options.add_place(actions.add_parser("confirm", help=text, description=f"{text[0].upper()}{text[1:]}."))


def run(arguments: argparse.Namespace) -> int:
    """Confirm; exit code 1 when the agent has no key at all."""
    from agent import config
    from agent.cli.client import AgentClient
    from agent.errors import AgentError

    status = AgentClient(config.data_dir(arguments.data_dir)).call("POST", "/v1/key/confirm")
    if any(condition["code"] == _MISSING for condition in status["conditions"]):
        raise AgentError("There is no key to confirm: set [flash] write_key or write_key_file and restart the agent.")
    print(f"The write key is confirmed. Operations that wait to be sent: {status['pending']}.")
    return 0
