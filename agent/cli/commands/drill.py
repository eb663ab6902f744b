"""`drill`: rehearse an outage on a live till. Nothing is sent to Flash until the drill ends, by itself or at a word."""

import argparse
from typing import Any

from agent.cli import options, text

DEFAULT_MINUTES = 10
MAX_MINUTES = 120


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions, `--minutes` and `--data-dir`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    start = actions.add_parser("start", help="send nothing from now on", description="Send nothing from now on.")
    minutes = f"how long: 1 to {MAX_MINUTES} (default: {DEFAULT_MINUTES})"
    start.add_argument("--minutes", type=_minutes, default=DEFAULT_MINUTES, metavar="N", help=minutes)
    stop = actions.add_parser("stop", help="end the drill now", description="End the drill now.")
    status = actions.add_parser("status", help="whether a drill runs", description="Whether a drill runs.")
    for action in (start, stop, status):
        options.add_place(action)


def run(arguments: argparse.Namespace) -> int:
    """Ask the running agent; raises AgentError when none answers."""
    from agent import config
    from agent.cli.client import AgentClient

    data_dir = config.data_dir(arguments.data_dir)
    if arguments.action == "status":
        print(_state(AgentClient(data_dir, "register").call("GET", "/v1/drill")))
        return 0
    client = AgentClient(data_dir)
    if arguments.action == "start":
        print(_state(client.call("POST", "/v1/drill", {"seconds": arguments.minutes * 60})))
        return 0
    was_on = client.call("GET", "/v1/drill")["active"]
    client.call("DELETE", "/v1/drill")
    pending = client.call("GET", "/v1/status")["pending"]
    ended = "The drill has ended." if was_on else "No drill was running."
    print(f"{ended} Operations that wait to be sent: {pending}.")
    return 0


def _state(drill: dict[str, Any]) -> str:
    if not drill["active"]:
        return "No drill runs."
    end = f"at {text.local(drill['endsAt'])}, in {text.duration(drill['secondsLeft'])}"
    return f"An outage drill runs: nothing is sent to Flash. It ends by itself {end}."


def _minutes(given: str) -> int:
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"{given!r} is not a number from 1 to {MAX_MINUTES}")
    return int(given)
