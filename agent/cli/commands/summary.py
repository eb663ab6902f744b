"""`summary`: a day in numbers, to be compared with the Z report. Exit code 1 when no agent answers."""

import argparse
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from agent.cli import options, text

_Row = tuple[str, str, str, str]
_STATUSES = (
    ("  confirmed by Flash", "succeeded"),
    ("  not sent or not confirmed yet", "pending"),
    ("  declined", "declined"),
    ("  failed: see operations list", "failed"),
    ("discarded, counted nowhere else", "discarded"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--date`, `--json`, `--data-dir`."""
    parser.add_argument("--date", type=options.day, metavar="YYYY-MM-DD", help="the business date (default: today)")
    parser.add_argument("--json", action="store_true", help="print the answer of GET /v1/summary")
    options.add_place(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask and print; raises AgentError when no agent answers."""
    from agent import config
    from agent.cli.client import AgentClient

    day = arguments.date or date.today().isoformat()  # noqa: DTZ011 - the till's own day
    client = AgentClient(config.data_dir(arguments.data_dir), "register")
    summary = client.call("GET", "/v1/summary", query={"businessDate": day})
    if arguments.json:
        print(text.json_text(summary))
        return 0
    for line in sheet(summary):
        print(line)
    return 0


def sheet(summary: dict[str, Any]) -> Iterator[str]:
    yield f"Business date {summary['businessDate']}, as of {text.local(summary['asOf'])}"
    yield text.printable(f"store {text.printable(summary['storeId'])}, till {summary['tillId']}")[:80]
    yield ""
    yield from text.table([("", "count", "amount", ""), *_rows(summary)], right=(1, 2))
    for note in _notes(summary):
        yield ""
        yield from note


def _rows(summary: dict[str, Any]) -> Iterator[_Row]:
    yield from _money("sales", summary["sales"], extra=[("    of these not a member", "notAMember")])
    yield from _money("refunds", summary["refunds"])
    points = summary["points"] or {"awarded": None, "clawedBack": None}
    yield ("points awarded", _number(points["awarded"]), "", "")
    yield ("points taken back", _number(points["clawedBack"]), "", "")
    yield from _coupons(summary["redemptions"])
    enrollments = summary["enrollments"]
    yield ("enrollments", _number(enrollments["count"]), "", "")
    for label, status in _STATUSES:
        if enrollments[status]:
            yield (label, _number(enrollments[status]), "", "")


def _coupons(redemptions: dict[str, Any]) -> Iterator[_Row]:
    offline, owed = redemptions["offline"], redemptions["credits"]
    yield ("coupons honored", _number(redemptions["honored"]), "", "")
    for label, count, value in (
        ("  without Flash's word (offline)", "count", "value"),
        ("  refused by Flash later: a loss", "lost", "lostValue"),
    ):
        if offline[count]:
            yield (label, _number(offline[count]), f"{Decimal(offline[value]):,}", offline["currency"])
    for label, count in (
        ("  whose sale never came", redemptions["withoutSale"]["count"]),
        ("coupons not honored", redemptions["notHonored"]),
        ("  perhaps burned, not known yet", redemptions["unconfirmed"]),
        ("  burned: credit open", owed["open"]),
        ("  burned: credit used later", owed["used"]),
        ("  burned: credit closed", owed["closed"]),
        ("credits open, of whatever day", owed["openInAll"]),
    ):
        if count:
            yield (label, _number(count), "", "")


def _money(label: str, figures: dict[str, Any], extra: list[tuple[str, str]] | None = None) -> Iterator[_Row]:
    yield from _figure(label, figures)
    for row, status in [_STATUSES[0], *(extra or []), *_STATUSES[1:]]:
        figure = figures[status]
        if figure and figure["count"]:
            yield from _figure(row, figure)


def _figure(label: str, figure: dict[str, Any]) -> Iterator[_Row]:
    """A line, and one more for each further currency."""
    amounts = sorted((figure["amounts"] or {}).items()) or [("", "")]
    for place, (currency, amount) in enumerate(amounts):
        spelt = f"{Decimal(amount):,}" if amount else ""
        yield (label if place == 0 else "", _number(figure["count"]) if place == 0 else "", spelt, currency)


def _notes(summary: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """What is missing or needs a look, a paragraph each."""
    offline, without_sale = summary["redemptions"]["offline"], summary["redemptions"]["withoutSale"]
    begin, end = (text.local(summary["localDay"][which]) for which in ("from", "to"))
    notes: list[tuple[int, str, tuple[str, ...]]] = [
        (
            summary["stripped"],
            "Past its retention; operations without their contents",
            ("With them went", "amounts and points; the counts are whole."),
        ),
        (summary["forgotten"], "Of members who were forgotten", ("They are counted and in no sum.",)),
        (summary["unreadable"], "No longer readable", ("They are in no sum; the disk may be failing.",)),
        (
            summary["undated"],
            "Without a business date",
            ("They count by the time of their acceptance,", f"from {begin} to before {end}."),
        ),
        (summary["refunds"]["withoutAmount"], "Refunds that name no amount", ("No sum has them.",)),
        (offline["unvalued"], "Coupons honored offline that do not say their worth", ("No sum has them.",)),
        (
            without_sale["count"],
            "Coupons honored whose sale never came",
            ("See operations show:", *(f"  {each}" for each in without_sale["operations"])),
        ),
    ]
    for count, what, (first, *rest) in notes:
        if count:
            yield (f"{what}: {_number(count)}. {first}", *rest)


def _number(value: int | None) -> str:
    return text.NOTHING if value is None else f"{value:,}"
