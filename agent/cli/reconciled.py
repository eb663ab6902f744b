"""How `reconcile` tells what it found: as JSON, and as a sheet for people."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from agent.cli import text
from agent.clock import rfc3339, to_ms
from agent.reconcile.ledger import Ledger

WIDTH = 80


def as_json(ledger: Ledger, status: dict[str, Any], since: datetime, *, everything: bool) -> dict[str, Any]:
    """The report. `others` are listed with `everything` alone."""
    differences = ledger.differences()
    report: dict[str, Any] = {
        "since": rfc3339(to_ms(since)),
        "asOf": rfc3339(to_ms(datetime.now(UTC))),
        "storeId": status["storeId"],
        "tillId": status["tillId"],
        "mustLook": sum(each.look for each in differences),
        "counts": ledger.counts,
        "differences": [each.as_json() for each in differences],
    }
    if everything:
        names = ("upstreamOrderId", "totalAmount", "refunded", "awarded", "updatedAt")
        report["others"] = [{name: row[name] for name in names} for row in ledger.others.values() if row]
    return report


def sheet(report: dict[str, Any]) -> Iterator[str]:
    """The report for people, no line wider than WIDTH but for long order numbers."""
    counts = report["counts"]
    since = datetime.fromisoformat(report["since"]).astimezone().isoformat(" ", "minutes")
    yield text.printable(f"Since {since}: store {report['storeId']}, till {report['tillId']}")
    compared = (
        f"Of this till: sales {counts['sales']:,}, refunds {counts['refunds']:,}. "
        f"Flash's feed: rows {counts['flashRows']:,}, orders of this till's among them {counts['matched']:,}."
    )
    yield from text.wrapped(compared, WIDTH)
    if not report["differences"]:
        yield from ("", "No difference.")
    for look, found in groupby(report["differences"], key=lambda each: bool(each["look"])):
        group = list(found)
        yield from ("", f"{len(group)} to look at:" if look else f"{len(group)} that need nobody:")
        for _, same in groupby(group, key=lambda each: str(each["code"])):
            yield from _section(list(same))
    for note in _notes(counts):
        yield ""
        yield from text.wrapped(note, WIDTH)
    if report.get("others"):
        yield ""
        header = ("ORDER", "AMOUNT", "CHANGED")
        rows = [(row["upstreamOrderId"], row["totalAmount"], text.local(row["updatedAt"])) for row in report["others"]]
        yield from text.table([header, *rows], right={1})


def _section(same: list[dict[str, Any]]) -> Iterator[str]:
    first = same[0]
    yield ""
    yield f"{first['code']}: {len(same)}"
    for words in (first["meaning"], f"To do: {first['mend']}"):
        yield from text.wrapped(words, WIDTH, "  ", "  ")
    header = ("  ORDER", "HERE", "FLASH", "OPERATION", "")
    rows = [
        (f"  {each['upstreamOrderId']}", each["here"], each["flash"], each["operation"], each["detail"] or "")
        for each in same
    ]
    yield from text.table([header, *rows], right={1, 2})


def _notes(counts: dict[str, int]) -> Iterator[str]:
    if counts["unread"]:
        yield (
            f"Not read: {counts['unread']:,} rows of Flash's feed have no order id that can be read, so what is "
            "missing may be among them. Tell Flash's support."
        )
    for status in ("pending", "failed"):
        if number := counts[f"{status}NotInFlash"]:
            yield (
                f"Sales that are {status} here and not in Flash, as they should be: {number:,} "
                f"(flash-agent operations list --status {status})."
            )
    if counts["outOfReach"]:
        yield (
            f"Out of reach: {counts['outOfReach']:,} of this till's operations have lost their contents (retention, or "
            "a member forgotten) and cannot be compared."
        )
    if counts["others"]:
        yield (
            f"Under this store's id and not this till's: {counts['others']:,} orders in Flash. Another till's, another "
            "way in, or before this till's retention; --all lists them."
        )
    if counts["withoutStore"]:
        yield f"Without a store's id, and not this till's: {counts['withoutStore']:,} orders in Flash."
