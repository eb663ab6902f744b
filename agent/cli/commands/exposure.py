"""`exposure`: a day's coupons honored without Flash's word. Exit code 1 when no agent answers."""

import argparse
from collections.abc import Iterator
from typing import Any

from agent.cli import options, text

_FIGURES = ("count", "value", "confirmed", "open", "lost", "lostValue")
_HEADER = ("", "COUNT", "VALUE", "CONFIRMED", "OPEN", "LOST", "LOSS")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--date`, `--json`, `--data-dir`."""
    parser.add_argument("--date", type=options.day, metavar="YYYY-MM-DD", help="the business date (default: today)")
    parser.add_argument("--json", action="store_true", help="print the answer of GET /v1/exposure")
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and print; raises AgentError when no agent answers."""
    from agent import config
    from agent.cli.client import AgentClient

    query = {"businessDate": arguments.date} if arguments.date else {}
    sheet = AgentClient(config.data_dir(arguments.data_dir), "register").call("GET", "/v1/exposure", query=query)
    if arguments.json:
        print(text.json_text(sheet))
        return 0
    for line in _lines(sheet):
        print(line)
    return 0


def _lines(sheet: dict[str, Any]) -> Iterator[str]:
    limits = sheet["limits"]
    yield f"Coupons honored without Flash's word on {sheet['businessDate']} (offline policy: {sheet['policy']})"
    yield f"limits: {limits['maxPerDay']} a day, {limits['maxPerMember']} a member"
    rows = [("all", sheet["total"])]
    rows += [(f"till {till['tillId']}", till) for till in sheet["tills"]]
    rows += [(f"member {member['member']}", member) for member in sheet["members"]]
    right = set(range(1, len(_HEADER)))
    yield from text.table(
        [_HEADER, *((name, *(row[figure] for figure in _FIGURES)) for name, row in rows)], right=right
    )
    if sheet["total"]["unvalued"]:
        yield f"{sheet['total']['unvalued']} of them do not say what they are worth."
    for each in sheet["redemptions"]:
        if each["lost"]:
            yield f"lost: {each['id']}"
