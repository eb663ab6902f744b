"""`data-key rotate`: a new data key seals what is stored; what older ones sealed is sealed anew behind."""

import argparse

from agent.cli import options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action, and `--data-dir`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    text = "make a new data key and seal with it from now on; older rows are sealed anew while the agent goes on"
    options.add_place(actions.add_parser("rotate", help=text, description=f"{text[0].upper()}{text[1:]}."))


def run(arguments: argparse.Namespace) -> int:
    """Rotate; exit code 1 when no agent answers or it refuses."""
    from agent import config
    from agent.cli.client import AgentClient

    state = AgentClient(config.data_dir(arguments.data_dir)).call("POST", "/v1/data-key/rotate")
    print(f"Data key {state['current']} seals from now on. Older rows are sealed anew behind; status shows when it is")
    print("over. Older keys leave data.key at the first start after that: back data.key up again then, and now.")
    return 0
