"""`keys`: change the Flash keys of the running agent, list them, look for them again, vouch for a new one.

`key` is another name for it, which scripts may know (`key set`, `key confirm`).
"""

import argparse
import sys
from typing import Any

from agent.cli import options

_MISSING = "flash-key-missing"
_LONGEST = 1024
_WHERE = {  # by the source that the answer names
    "setting": "[flash] {which}_key of the settings",
    "file": "the file that [flash] {which}_key_file names",
    "credential": "the service's credential flash-{which}-key",
}
_DRAIN_S = 65.0  # longer than any call may take
_LOOK_S = 0.2
_HOW = {True: "verified", False: "not verified", None: "not checked"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions, and `--data-dir`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add(
        actions,
        "rotate",
        "use a new Flash key from now on, without a restart; say when the old one can be revoked",
        True,
    )
    _add(actions, "set", "give the agent a Flash key: it checks, keeps and uses it, without a restart", False)
    for name, text in (
        ("list", "the keys by their fingerprints: where they come from, since when, and whether they are verified"),
        ("reload", "look again at the files and credentials that keys come from"),
        ("confirm", "say that the new write key belongs to this till's tenant; what was held is then sent with it"),
    ):
        action = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        options.add_place(action)


def _add(actions: Any, name: str, text: str, writes: bool) -> None:
    action = actions.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}. The key is read from standard input, or asked for.",
    )
    default = {"nargs": "?", "default": "write"} if writes else {}
    action.add_argument("which", choices=("write", "read"), metavar="write|read", **default)
    action.add_argument("--force", action="store_true", help="keep it although Flash says no to it; it then waits")
    options.add_place(action)


def run(arguments: argparse.Namespace) -> int:
    """Run the action; exit code 1 when no agent answers, or it says no, or a new key is not in force."""
    from agent import config
    from agent.cli.client import AgentClient

    client = AgentClient(config.data_dir(arguments.data_dir))
    match arguments.action:
        case "set":
            return _set(client, arguments)
        case "rotate":
            return _rotate(client, arguments)
        case "confirm":
            return _confirm(client)
        case "reload":
            return _print(client.call("POST", "/v1/key/reload")["keys"])
        case _:
            return _print(client.call("GET", "/v1/key")["keys"])


def _give(client: Any, arguments: argparse.Namespace) -> Any:
    which = arguments.which
    key = _asked_for(which)
    _check(key)
    order = {"which": which, "key": key, "force": arguments.force}
    return client.call("POST", "/v1/key", order)


def _set(client: Any, arguments: argparse.Namespace) -> int:
    given = _give(client, arguments)
    print(f"The {given['which']} key is kept (protected by: {given['protectedBy']}). {_became(given)}")
    _warn_outranked(given)
    return 0


def _rotate(client: Any, arguments: argparse.Namespace) -> int:
    given = _give(client, arguments)
    print(f"The new {given['which']} key is {given['fingerprint']}. {_became(given)}")
    _warn_outranked(given)
    if given["state"] != "in-force":
        return 1
    previous = given["previous"]
    if previous is None:
        print("There was no other key in force before it, or it is the same one.")
        return 0
    return _let_end(client, given["which"], previous)


def _became(given: Any) -> str:
    if given["state"] == "in-force":
        return "It is in force for all new calls, without a restart."
    if given["state"] == "outranked":
        return "It is not used."
    why = given["waiting"]["text"] if given["waiting"] else "Flash has not shown this till's store under it."
    return f"It is not in force yet: {why} flash-agent keys list shows how it stands."


def _warn_outranked(given: Any) -> None:
    if given["state"] == "outranked":
        where = _WHERE.get(given["source"], given["source"]).format(which=given["which"])
        print(f"Another goes before it; replace or remove that: {where}.", file=sys.stderr)


def _let_end(client: Any, which: str, previous: Any) -> int:
    """Wait for the calls that still are under way with the old key."""
    import time

    until = time.monotonic() + _DRAIN_S
    name = previous["fingerprint"]
    while previous["callsUnderWay"] and time.monotonic() < until:
        time.sleep(_LOOK_S)
        shown = next(key for key in client.call("GET", "/v1/key")["keys"] if key["which"] == which)
        previous = shown["previous"] or previous
    if previous["inUse"]:
        print(f"The old key {name} is still used, as the till's other key. Do not revoke it at Flash.")
    elif previous["callsUnderWay"]:
        print(f"Calls with the old key {name} are still under way; see flash-agent keys list.", file=sys.stderr)
        return 1
    else:
        print(f"The old key {name} can now be revoked at Flash.")
    return 0


def _confirm(client: Any) -> int:
    from agent.errors import AgentError

    status = client.call("POST", "/v1/key/confirm")
    if any(condition["code"] == _MISSING for condition in status["conditions"]):
        raise AgentError(
            "There is no key to confirm: give it to flash-agent keys set write, or set [flash] write_key or "
            "write_key_file and restart the agent."
        )
    print(f"The write key is confirmed. Operations that wait to be sent: {status['pending']}.")
    return 0


def _print(keys: list[Any]) -> int:
    from agent.cli import text

    rows = [("key", "source", "fingerprint", "in force since", "state")]
    for key in keys:
        state = _HOW[key["verified"]] if key["fingerprint"] else "none"
        if key["refusedCalls"]:
            state += f", refused: {', '.join(key['refusedCalls'])}"
        rows.append((key["which"], key["source"], key["fingerprint"], text.local(key["since"]), state))
    for line in text.table(rows):
        print(line)
    for key in keys:
        for line in _besides(key):
            print(text.printable(line))
    return 0


def _besides(key: Any) -> list[str]:
    from agent.cli import text

    lines = []
    if waiting := key["waiting"]:
        lines.append(
            f"{key['which']}: {waiting['fingerprint']} waits since {text.local(waiting['since'])}: {waiting['text']}"
        )
    if key["outranked"]:
        lines.append(f"{key['which']}: {key['outranked']} is kept and not used; the {key['source']} goes before it.")
    if previous := key["previous"]:
        calls, used = previous["callsUnderWay"], previous["inUse"]
        end = "still in use." if used else f"{calls} calls under way." if calls else "it can be revoked at Flash."
        lines.append(
            f"{key['which']}: {previous['fingerprint']} was replaced at {text.local(previous['replacedAt'])}; {end}"
        )
    return lines


def _check(key: str) -> None:
    """What can be no key is not sent; a line that was cut or doubled by copying is the usual fault."""
    from agent.errors import AgentError
    from agent.fields import FLASH_KEY

    if not FLASH_KEY.fullmatch(key):
        raise AgentError(
            "That is no Flash key: it must be 8 to 512 printable characters without blanks, such as fl_live_…. Copy it "
            "whole, and nothing else. Nothing was changed."
        )


def _asked_for(which: str) -> str:
    """Never an argument: the list of processes and the shell's history show those to others."""
    if sys.stdin.isatty():
        from getpass import getpass

        return options.typed(lambda: getpass(f"The {which} key (not shown): "), f"The {which} key")
    return options.typed(lambda: sys.stdin.read(_LONGEST), f"The {which} key")
