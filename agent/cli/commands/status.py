"""`status`: how the running agent is. Exit code 1 when no agent answers; conditions alone are no failure."""

import argparse
from collections.abc import Iterator
from typing import Any

from agent.cli import options, text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--json`, `--data-dir`."""
    parser.add_argument("--json", action="store_true", help="print the answer of GET /v1/status")
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and print; raises AgentError when no agent answers."""
    from agent import config
    from agent.cli.client import AgentClient

    status = AgentClient(config.data_dir(arguments.data_dir), "register").call("GET", "/v1/status")
    if arguments.json:
        print(text.json_text(status))
        return 0
    for line in [*text.table(rows(status)), *_conditions(status["conditions"])]:
        print(line)
    return 0


def rows(status: dict[str, Any]) -> list[tuple[str, Any]]:
    disk = status["disk"]
    skew = status["clockSkewSeconds"]
    return [
        ("connectivity", status["connectivity"]),
        ("pending", status["pending"]),
        ("failed", status["failed"]),
        ("oldest pending", text.duration(status["oldestPendingAgeSeconds"])),
        ("last contact", text.ago(status["lastContactAt"])),
        ("last success", text.ago(status["lastSuccessAt"])),
        *_exposure(status["exposure"]),
        *map(_spool, status["spool"]),
        ("clock skew", None if skew is None else f"{skew} s"),
        ("disk", f"{text.size(disk['freeBytes'])} free, journal {text.size(disk['walBytes'])}"),
        ("store, till", f"{text.printable(status['storeId'])}, {text.printable(status['tillId'])}"),
        ("data key", _data_key(status["dataKey"])),
        ("Flash keys", _flash_keys(status)),
        ("version", status["version"]),
    ]


def _data_key(state: dict[str, Any] | None) -> str | None:
    if state is None:
        return None
    older = f"; older ones kept: {', '.join(map(str, state['older']))}" if state["older"] else ""
    under_way = ", rows are being sealed anew" if state["resealing"] else ""
    return f"number {state['current']} ({state['protectedBy']}){older}{under_way}"


def _flash_keys(status: dict[str, Any]) -> str | None:
    if status["dataKey"] is None:  # then they were not looked for
        return None
    return ", ".join(f"{which}: {source or 'none'}" for which, source in status["flashKeys"].items())


def _exposure(exposure: dict[str, Any]) -> list[tuple[str, Any]]:
    if not exposure["count"]:
        return []
    lost = f", {exposure['lost']} of them lost" if exposure["lost"] else ""
    return [("honored offline", f"{exposure['count']} coupons today{lost}; see flash-agent exposure")]


def _spool(folder: dict[str, Any]) -> tuple[str, str]:
    counts = f"{folder['waiting']} waiting, {folder['doneToday']} done today, {folder['failed']} failed"
    return f"spool {folder['adapter']}", f"{counts}, last taken {text.ago(folder['lastTakenAt'])}"


def _conditions(conditions: list[dict[str, Any]]) -> Iterator[str]:
    for condition in conditions:
        yield ""
        yield text.printable(f"{condition['severity']}: {condition['code']} since {text.local(condition['since'])}")
        yield f"  {text.printable(condition['text'])}"
        yield f"  {text.printable(condition['mend'])}"
