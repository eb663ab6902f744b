"""`operations`: list, show, retry, close or discard operations of the running agent. Answers hold no personal data."""

import argparse
import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from agent.cli import options, text
from agent.delivery import Kind
from agent.outbox.state import Status

if TYPE_CHECKING:
    from agent.cli.client import AgentClient

DEFAULT_LIMIT = 50
_HEADER = ("ID", "KIND", "STATUS", "ORDER", "AMOUNT", "ACCEPTED", "OUTCOME")
_AMOUNT_COLUMN = 4
_EFFECTS = {"discarded": "discarded with it", "goes-on": "goes on without it"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_list(actions.add_parser("list", help="the newest operations", description="The newest operations."))
    show = actions.add_parser("show", help="one operation in full", description="One operation in full.")
    show.add_argument("id", type=_operation_id, metavar="ID")
    show.add_argument("--json", action="store_true", help="print the answer of GET /v1/operations/ID")
    retry = actions.add_parser("retry", help="send failed operations again", description="Send failed ones again.")
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", default=[], type=_operation_id, metavar="ID")
    which.add_argument("--all-failed", action="store_true", help="all that failed")
    discard = actions.add_parser("discard", help="give an operation up", description="Give an operation up.")
    discard.add_argument("id", type=_operation_id, metavar="ID")
    discard.add_argument("--reason", required=True, metavar="TEXT", help="why, for the next person who looks")
    close = actions.add_parser(
        "close",
        help="settle a redemption's credit, say whether a failed one was burned, leave a catalog's refused rows",
        description="Settle a redemption's open credit, or say of a failed one whether the coupon was burned; "
        "of a catalog, leave the rows that Flash did not take as they are, until they say something else.",
    )
    close.add_argument("id", type=_operation_id, metavar="ID")
    burned = close.add_mutually_exclusive_group()
    burned.add_argument("--burned", action="store_true", default=None, help="Flash shows that this till burned it")
    burned.add_argument("--not-burned", action="store_false", dest="burned", help="this till did not burn it")
    close.add_argument("--reason", required=True, metavar="TEXT", help="why, for the next person who looks")
    for action in (show, retry, discard, close):
        options.add_place(action)


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--status", choices=[status.value for status in Status])
    parser.add_argument("--kind", choices=[kind.value for kind in Kind])
    parser.add_argument("--order", metavar="NUMBER", help="the order number as the register sent it; refunds of it too")
    parser.add_argument("--date", type=options.day, metavar="YYYY-MM-DD", help="the business date")
    parser.add_argument(
        "--limit", type=options.count, default=DEFAULT_LIMIT, help=f"how many (default: {DEFAULT_LIMIT})"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON array of the operations")
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the action; raises AgentError when no agent answers or it says no."""
    from agent import config
    from agent.cli.client import AgentClient

    actions = {"list": _list, "show": _show, "retry": _retry, "discard": _discard, "close": _close}
    scope = "register" if arguments.action in {"list", "show"} else "operator"
    return actions[arguments.action](AgentClient(config.data_dir(arguments.data_dir), scope), arguments)


def _list(client: "AgentClient", arguments: argparse.Namespace) -> int:
    names = {"status": "status", "kind": "kind", "order": "externalOrderId", "date": "businessDate"}
    query = {field: getattr(arguments, name) for name, field in names.items() if getattr(arguments, name) is not None}
    found = list(islice(client.operations(query, page=min(arguments.limit, 200)), arguments.limit))
    if arguments.json:
        print(text.json_text(found))
    elif found:
        for line in text.table([_HEADER, *map(_row, found)], right={_AMOUNT_COLUMN}):
            print(line)
    else:
        print("There are no such operations.")
    return 0


def _row(operation: dict[str, Any]) -> tuple[Any, ...]:
    request = operation["request"]
    names = ("externalOrderId", "couponId", "source", "externalId")
    order = operation["upstreamOrderId"] or next((request[name] for name in names if name in request), None)
    return (
        operation["id"],
        operation["kind"],
        operation["status"],
        order,
        _amount(operation["request"]),
        text.local(operation["acceptedAt"]),
        _outcome_with_origin(operation),
    )


def _outcome_with_origin(operation: dict[str, Any]) -> str | None:
    outcome, came_from = _outcome(operation), operation.get("rescuedFrom")
    return ", ".join(filter(None, [outcome, f"of till {came_from['tillId']}"])) if came_from else outcome


def _amount(request: dict[str, Any]) -> str | None:
    amount = request.get("totalAmount", request.get("amount"))
    return None if amount is None else " ".join(filter(None, [f"{amount}", request.get("currency")]))


def _outcome(operation: dict[str, Any]) -> str | None:
    result = operation["result"]
    if "honor" in operation:
        credit = f", credit {operation['credit']}" if operation["credit"] else ""
        return f"{'honored' if operation['honor'] else 'not honored'} ({operation['basis']}{credit})"
    if operation["waitingFor"]:
        return f"waits for {', '.join(operation['waitingFor'])}"
    if operation["error"]:
        return str(operation["error"]["code"])
    if "awarded" in result:
        return _points(result["awarded"]) if result["awarded"] else str(result.get("reason", _points(0)))
    if "clawedBack" in result:
        return _points(-result["clawedBack"])
    return _catalog_outcome(operation) if operation["kind"] == "catalog" and result else None


def _points(change: int) -> str:
    return f"{change:+d} points" if change else "0 points"


def _catalog_outcome(operation: dict[str, Any]) -> str:
    counts = [each for each in operation["result"].values() if isinstance(each, dict)]
    told = [f"{sum(each.get(name) or 0 for each in counts)} {name}" for name in ("inserted", "updated")]
    return ", ".join([*told, "rows refused"] if operation["warnings"] else told)


def _show(client: "AgentClient", arguments: argparse.Namespace) -> int:
    operation = client.call("GET", f"/v1/operations/{arguments.id}")
    if arguments.json:
        print(text.json_text(operation))
        return 0
    for line in text.table(list(_fields(operation))):
        print(line)
    return 0


def _fields(fields: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values, one a line; lists joined, but sentences; objects as `outer.inner`; times are the till's."""
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield from _fields(value, f"{above}{name}.")
        elif name == "warnings" and value:
            yield f"{above}{name}", value[0]
            yield from (("", line) for line in value[1:])
        elif isinstance(value, list | dict):
            plain = all(isinstance(item, str) for item in value)
            yield f"{above}{name}", (", ".join(value) or None) if plain else text.one_line(value)
        elif isinstance(value, bool):
            yield f"{above}{name}", "yes" if value else "no"
        elif name.endswith("At") and isinstance(value, str) and not above.startswith("metadata"):
            yield f"{above}{name}", text.local(value)
        else:
            yield f"{above}{name}", value


def _retry(client: "AgentClient", arguments: argparse.Namespace) -> int:
    from agent.cli.client import ApiError

    ids = arguments.ids
    if arguments.all_failed:
        ids = [operation["id"] for operation in client.operations({"status": Status.FAILED.value})]
        if not ids:
            print("Nothing has failed.")
    refused = 0
    for operation_id in ids:
        try:
            operation = client.call("POST", f"/v1/operations/{operation_id}/retry")
        except ApiError as error:
            refused += 1
            print(f"{operation_id}  not retried: {text.printable(error)}")
        else:
            print(f"{operation_id}  {operation['status']}")
    return 1 if refused else 0


def _discard(client: "AgentClient", arguments: argparse.Namespace) -> int:
    answer = client.call("POST", f"/v1/operations/{arguments.id}/discard", {"reason": arguments.reason})
    print(f"{answer['id']}  {answer['kind']}  {answer['status']}")
    rows = [
        (f"  {each['id']}", each["kind"], _EFFECTS.get(each["effect"], each["effect"])) for each in answer["dependents"]
    ]
    for line in text.table(rows):
        print(line)
    return 0


def _close(client: "AgentClient", arguments: argparse.Namespace) -> int:
    said = {} if arguments.burned is None else {"burned": arguments.burned}
    answer = client.call("POST", f"/v1/operations/{arguments.id}/close", {"reason": arguments.reason, **said})
    left = f"credit: {answer['credit'] or 'none'}" if "credit" in answer else "its refused rows are left as they are"
    print(f"{answer['id']}  {answer['kind']}  {answer['status']}  {left}")
    return 0


def _operation_id(given: str) -> str:
    if not re.fullmatch(r"op_[0-9a-f]{32}", given):
        raise argparse.ArgumentTypeError(f"{given!r} is not an operation's id (op_ and 32 hex digits)")
    return given
