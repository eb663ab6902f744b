"""`token`: give a client a token of its own, list them, revoke one.

The running agent is asked, so that it counts at once.
"""

import argparse
import sys
from typing import TYPE_CHECKING, Any

from agent.cli import options, text

if TYPE_CHECKING:
    from agent.cli.client import AgentClient

_HEADER = ("NAME", "SCOPE", "ORIGIN", "CREATED", "BY", "ID")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser(
        "create",
        help="make a token for one client",
        description="Make a token for one client. It is printed here and kept nowhere: give it to the client now.",
    )
    create.add_argument("--name", required=True, metavar="NAME", help="whose it is, such as lane-3")
    scopes = "what it may do (default: register); operator includes register"
    create.add_argument("--scope", choices=("register", "operator"), default="register", help=scopes)
    create.add_argument(
        "--origin",
        metavar="ORIGIN",
        help="for a register in a browser: the token is good in pages of this origin alone, which may call the agent",
    )
    every = actions.add_parser("list", help="the tokens that are good", description="The tokens that are good.")
    every.add_argument("--json", action="store_true", help="print the answer of GET /v1/tokens")
    revoke = actions.add_parser("revoke", help="refuse a token from now on", description="Refuse a token from now on.")
    revoke.add_argument("token", metavar="NAME|ID")
    for action in (create, every, revoke):
        options.add_place(action)


def run(arguments: argparse.Namespace) -> int:
    """Run the action; raises AgentError when no agent answers or it says no."""
    from agent import config
    from agent.cli.client import AgentClient

    actions = {"create": _create, "list": _list, "revoke": _revoke}
    return actions[arguments.action](AgentClient(config.data_dir(arguments.data_dir)), arguments)


def _create(client: "AgentClient", arguments: argparse.Namespace) -> int:
    asked = {"name": arguments.name, "scope": arguments.scope, "origin": arguments.origin}
    made = client.call("POST", "/v1/tokens", asked)
    where = f", in pages of {made['origin']} alone" if made["origin"] else ""
    print(f"A token for {made['name']}, scope {made['scope']}{where}. It is not shown again:", file=sys.stderr)
    print(made["token"])
    return 0


def _list(client: "AgentClient", arguments: argparse.Namespace) -> int:
    answer = client.call("GET", "/v1/tokens")
    if arguments.json:
        print(text.json_text(answer))
    elif answer["tokens"]:
        for line in text.table([_HEADER, *map(_row, answer["tokens"])]):
            print(line)
    else:
        print("No client has a token of its own; register.token and operator.token of the data directory are in use.")
    return 0


def _row(token: dict[str, Any]) -> tuple[Any, ...]:
    made = text.local(token["createdAt"])
    return (token["name"], token["scope"], token["origin"], made, token["createdBy"], token["id"])


def _revoke(client: "AgentClient", arguments: argparse.Namespace) -> int:
    from urllib.parse import quote

    revoked = client.call("DELETE", f"/v1/tokens/{quote(arguments.token, safe='')}")
    print(f"The token of {revoked['name']} ({revoked['id']}) is refused from now on.")
    return 0
