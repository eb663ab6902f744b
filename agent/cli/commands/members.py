"""`members`: show or forget one member, and follow what changed at Flash, on the running agent."""

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from agent.cli import options, text
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.cli.client import AgentClient

_POLL_S = 0.2
_KEYS = {"member_id": "memberId", "external_id": "externalId", "email": "email"}
_FROM_INPUT = "-"
_LONGEST = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="look a member up", description="Look a member up, as a register would.")
    show.add_argument("--json", action="store_true", help="print the answer of GET /v1/members")
    forget = actions.add_parser(
        "forget",
        help="erase what this till holds of a member",
        description="Erase what this till holds of a member. Operations that Flash has not confirmed are still sent, "
        "and erased when they are settled. Flash is not told. Give every key of the member that you know.",
    )
    for which in (show.add_mutually_exclusive_group(required=True), forget):
        which.add_argument("--member-id", metavar="ID", help="Flash's id; - asks for it, as with the others")
        which.add_argument("--external-id", metavar="ID", help="the store's own id of the member")
        which.add_argument(
            "--email", metavar="ADDRESS", help="- asks for it: no shell history and no sudo log keeps it then"
        )
    sync = actions.add_parser(
        "sync",
        help="follow what changed at Flash, now",
        description="Follow what changed at Flash since the last time, and show how it goes. Ctrl-C leaves it running.",
    )
    for action in (show, forget, sync):
        options.add_place(action)


def run(arguments: argparse.Namespace) -> int:
    """Run the action; raises AgentError when no agent answers or it says no."""
    from agent import config
    from agent.cli.client import AgentClient

    if arguments.action == "forget" and not _key(arguments):
        raise ConfigError("Say whom to forget: --member-id, --external-id, --email; as many of them as you know.")
    for name in _KEYS:
        _ask_for(arguments, name)
    client = AgentClient(config.data_dir(arguments.data_dir), "register" if arguments.action == "show" else "operator")
    return {"show": _show, "forget": _forget, "sync": _sync}[arguments.action](client, arguments)


def _ask_for(arguments: argparse.Namespace, name: str) -> None:
    """In the place of `-` a line of standard input; raises ConfigError for an empty one."""
    if getattr(arguments, name, None) != _FROM_INPUT:
        return
    what = f"The member's {name.replace('_', '-')}"
    if sys.stdin.isatty():
        print(f"{what}: ", end="", file=sys.stderr, flush=True)
    given = options.typed(lambda: sys.stdin.readline(_LONGEST), what)
    if not given:
        raise ConfigError(f"{what} is missing: type it, or pipe one line.")
    setattr(arguments, name, given)


def _key(arguments: argparse.Namespace) -> dict[str, str]:
    return {field: getattr(arguments, name) for name, field in _KEYS.items() if getattr(arguments, name) is not None}


def _show(client: "AgentClient", arguments: argparse.Namespace) -> int:
    found = client.call("GET", "/v1/members", query=_key(arguments))
    if arguments.json:
        print(text.json_text(found))
        return 0
    member, pending = found["member"], found["pending"] or {}
    rows = [
        ("id", member["id"]),
        ("external id", member["externalId"]),
        ("e-mail", member["email"]),
        ("name", member["fullName"]),
        ("points", (found["points"] or {}).get("balance")),
        ("tier", (found["tier"] or {}).get("name")),
        ("coupons", ", ".join(map(_coupon, found["coupons"] or ())) or None),
        ("source", f"{found['source']}{', stale' if found['stale'] else ''}"),
        ("as of", text.ago(found["asOf"])),
        ("not known", ", ".join(found["missing"]) or None),
        ("pending sales", f"{pending.get('sales')} of {pending.get('amount')}" if pending.get("sales") else None),
    ]
    for line in text.table([row for row in rows if row[1] is not None]):
        print(line)
    return 0


def _coupon(coupon: dict[str, Any]) -> str:
    """Its id; what it is where it is no longer to be had."""
    status = coupon.get("status")
    return str(coupon.get("id")) if status in (None, "active") else f"{coupon.get('id')} ({status})"


def _forget(client: "AgentClient", arguments: argparse.Namespace) -> int:
    gone = client.call("POST", "/v1/members/forget", _key(arguments))
    if not any(gone.values()):
        print("This till holds nothing of that member.")
        return 0
    print(f"Erased: snapshots {gone['snapshots']}, operations {gone['operations']}.")
    if gone["operationsPending"]:
        print(f"Still to be sent, and erased then: {gone['operationsPending']}.")
    return 0


def _sync(client: "AgentClient", _arguments: argparse.Namespace) -> int:
    state = client.call("POST", "/v1/sync")
    shows = sys.stdout.isatty()
    while state["state"] != "idle":
        if shows:
            print(f"\r{_progress(state)}\x1b[K", end="", flush=True)
        time.sleep(_POLL_S)
        state = client.call("GET", "/v1/sync")
    if shows:
        print("\r\x1b[K", end="")
    print(_progress(state))
    if state["error"]:
        print(f"It ended early: {text.printable(state['error']['detail'])}")
        return 1
    return 0


def _progress(state: dict[str, Any]) -> str:
    """`Followed 12,000 of 100,000 (12 %), kept 40; asked for again 3, 37 to go; 512 members are remembered.`"""
    total = state["total"]
    share = f" of {total:,} ({min(100, 100 * state['seen'] // total)} %)" if total else ""
    held = "1 member is" if state["members"] == 1 else f"{state['members']:,} members are"
    waits = " Waiting as Flash asked." if state["state"] == "waiting" else ""
    return (
        f"Followed {state['seen']:,}{share}, kept {state['kept']:,}; asked for again {state['refreshed']:,}, "
        f"{state['due']:,} to go; {held} remembered.{waits}"
    )
