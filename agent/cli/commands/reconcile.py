"""`reconcile`: what this till sent against what Flash has. Exit code 1: a person must look, or nothing was compared.

Reads the till's operations, then Flash's feed; then once more whatever differs, on both sides, so that what was settled
or overlooked meanwhile is no difference.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli import options, text
from agent.clock import rfc3339, to_ms
from agent.errors import ConfigError

if TYPE_CHECKING:
    from agent.cli.client import AgentClient
    from agent.reconcile.ledger import Ledger

MARGIN = timedelta(minutes=5)  # of the clocks, on Flash's side alone: too many rows do no harm
MAX_READINGS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--since`, `--all`, `--json`, `--report`, `--data-dir`."""
    parser.add_argument(
        "--since",
        type=_moment,
        required=True,
        metavar="DATE|TIME",
        help="from when on: 2026-11-22 (the till's own midnight), 2026-11-22T06:00 or with an offset",
    )
    parser.add_argument("--all", action="store_true", help="list the store's orders too that this till did not send")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the report as JSON to a file as well")
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare and print; raises AgentError when agent or Flash does not answer, ConfigError for a wrong argument."""
    from agent import config
    from agent.cli.client import AgentClient
    from agent.cli.reconciled import as_json, sheet
    from agent.reconcile.ledger import Ledger

    if arguments.since > datetime.now(UTC):
        raise ConfigError("--since lies in the future.")
    if arguments.report is not None:
        _write(arguments.report, "")  # an hour's work must not end at a folder that is not there
    client = AgentClient(config.data_dir(arguments.data_dir))
    status = client.call("GET", "/v1/status")
    ledger = Ledger(status["storeId"], _spelled(arguments.since), everything=arguments.all)
    progress = _Progress()
    _compare(client, ledger, arguments.since, timedelta(seconds=float(status["clockSkewSeconds"] or 0)), progress)
    progress.end()
    report = as_json(ledger, status, arguments.since, everything=arguments.all)
    if arguments.report is not None:
        _write(arguments.report, f"{text.json_text(report)}\n")
    for line in [text.json_text(report)] if arguments.json else sheet(report):
        print(line)
    return int(report["mustLook"] > 0 or report["counts"]["unread"] > 0)


def _compare(client: "AgentClient", ledger: "Ledger", since: datetime, skew: timedelta, progress: "_Progress") -> None:
    """Fill the ledger. `skew` is Flash's clock less the till's."""
    for number, operation in enumerate(_operations(client, _spelled(since)), 1):
        ledger.sent(operation)
        if number % 200 == 0:
            progress.say(f"This till: {number:,} operations")
    _read_feed(client, ledger, since, skew, progress)
    for order_id in ledger.earlier():
        ledger.replace(order_id, _of_order(client, order_id))
    for reading in range(MAX_READINGS):
        doubtful = ledger.doubtful()
        progress.say(f"Once more: {len(doubtful):,} orders")
        for order_id in doubtful:
            ledger.replace(order_id, _of_order(client, order_id))
        again_from = ledger.feed_again_from()
        if again_from is None or reading == MAX_READINGS - 1:
            return
        _read_feed(client, ledger, datetime.fromisoformat(again_from), skew, progress)
        if len(ledger.doubtful()) >= len(doubtful):
            break  # it was not overlooked
    for order_id in ledger.doubtful():
        ledger.replace(order_id, _of_order(client, order_id))


def _read_feed(
    client: "AgentClient", ledger: "Ledger", since: datetime, skew: timedelta, progress: "_Progress"
) -> None:
    from agent.cli import flash_feed

    now = datetime.now(UTC)
    ledger.begin_reading(_spelled(now))
    begin = since + min(skew, timedelta(0)) - MARGIN
    for page in flash_feed.read(client, _spelled(begin), now + max(skew, timedelta(0)) + MARGIN, progress.say):
        for row in page["orders"]:
            ledger.changed(row)
        ledger.unread += page["unread"]


def _operations(client: "AgentClient", since: str) -> Iterator[dict[str, Any]]:
    """The till's operations accepted since then, newest first.

    Its clock may have jumped: the search ends where a whole page's worth in a row is older.
    """
    from agent.cli.client import PAGE

    older = 0
    for operation in client.operations({}):
        if operation["acceptedAt"] >= since:
            older = 0
            yield operation
        elif (older := older + 1) >= PAGE:
            return


def _of_order(client: "AgentClient", order_id: str) -> Iterator[dict[str, Any]]:
    return client.operations({"externalOrderId": order_id})


class _Progress:
    """One line on a terminal, written over and over; nothing elsewhere."""

    def __init__(self) -> None:
        self._shows = sys.stderr is not None and sys.stderr.isatty()

    def say(self, words: str) -> None:
        """Show what is going on."""
        if self._shows:
            print(f"\r{words}\x1b[K", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Take the line away."""
        if self._shows:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _spelled(moment: datetime) -> str:
    return str(rfc3339(to_ms(moment)))


def _moment(given: str) -> datetime:
    """A date (midnight, the till's time) or a time (the till's, where it has no offset)."""
    try:
        moment = datetime.combine(datetime.fromisoformat(given), time()) if len(given) == len("2026-11-22") else None
        return (moment or datetime.fromisoformat(given)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{given!r} is not a date such as 2026-11-22, or a time such as 2026-11-22T06:00"
        ) from None


def _write(path: Path, words: str) -> None:
    try:
        path.write_text(words, encoding="ascii")
    except OSError as error:
        raise ConfigError(f"The report {path} cannot be written: {error.strerror}.") from None
