"""`events`: what the running agent tells its listeners, line by line, until Ctrl-C.

Goes on where it was when the connection or the agent was away for a while; a note on standard error says so.
"""

import argparse
import http.client
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agent.cli import options, text

if TYPE_CHECKING:
    from agent.cli.client import AgentClient

SILENCE_S = 45.0  # three heartbeats
LOOK_AGAIN_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--json`, `--count`, `--data-dir`."""
    parser.add_argument("--json", action="store_true", help="print each event as a line of JSON")
    parser.add_argument("--count", type=options.count, metavar="N", help="end after N events")
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Listen and print; raises AgentError when no agent answers at the start, or it says no."""
    left = arguments.count
    for event in _events(arguments.data_dir):
        if arguments.json:
            print(text.one_line(event), flush=True)
        else:
            print(f"{time.strftime('%H:%M:%S')}  {event['event']:<12}  {_told(event)}".rstrip(), flush=True)
        if left is not None and (left := left - 1) == 0:
            break
    return 0


def _events(place: str | None) -> Iterator[dict[str, Any]]:
    """Every event, across connections: `event`, `id` (or None) and `data`."""
    from agent import config
    from agent.cli.client import AgentClient
    from agent.errors import AgentError

    data_dir = config.data_dir(place)
    client = AgentClient(data_dir, "register")
    last_id, was_away = None, False
    while True:
        try:
            for event in _listen(client, last_id):
                last_id = event["id"] or last_id
                yield event
        except (OSError, ValueError, http.client.HTTPException):
            if last_id is None:
                raise AgentError(f"The agent on port {client.port} does not answer.") from None
        if not was_away:
            print("flash-agent: the agent is away; waiting for it", file=sys.stderr, flush=True)
        was_away = True
        time.sleep(LOOK_AGAIN_S)
        try:
            client = AgentClient(data_dir, "register")
        except AgentError:
            continue


def _listen(client: "AgentClient", last_id: str | None) -> Iterator[dict[str, Any]]:
    """The events of one connection; ends or raises when that does."""
    with client.stream("/v1/events", {"Last-Event-ID": last_id} if last_id else {}, SILENCE_S) as response:
        fields: dict[str, str] = {}
        for raw in response:
            name, _, value = raw.decode().rstrip("\n").partition(": ")
            if name and value:
                fields[name] = value
            elif fields:
                yield _event(fields)
                fields = {}


def _event(fields: dict[str, str]) -> dict[str, Any]:
    from agent import jsons

    return {"event": fields["event"], "id": fields.get("id"), "data": jsons.loads(fields["data"])}


def _told(event: dict[str, Any]) -> str:
    data = event["data"]
    match event["event"]:
        case "operation":
            order = data["upstreamOrderId"] or data["request"].get("externalOrderId") or data["id"]
            words = [data["kind"], order, data["status"], (data["error"] or {}).get("code"), *data["receipt"]]
            return "  ".join(text.printable(word) for word in words if word)
        case "connectivity":
            return text.printable(data["connectivity"])
        case "attention":
            changes = [f"+{code}" for code in data["raised"]] + [f"-{code}" for code in data["cleared"]]
            return text.printable(" ".join(changes) or "nothing")
        case _:
            return text.printable(data.get("detail", ""))
