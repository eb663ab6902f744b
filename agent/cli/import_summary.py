"""What an import came to, for a person or as JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping

from agent.cli import text
from agent.cli.import_tally import OUTCOMES, Tally


def as_json(adapter: str, tallies: Mapping[str, Tally], *, dry_run: bool) -> str:
    """`{"adapter", "dryRun", "files": [{"file", "totals", "codes", "first", "catalog", "unknownStores"}]}`"""
    files = [{"file": name, **tally.json()} for name, tally in tallies.items()]
    return text.json_text({"adapter": adapter, "dryRun": dry_run, "files": files})


def show(tallies: Mapping[str, Tally], *, dry_run: bool) -> None:
    """Print a table for each file, and the first that a person must look at."""
    if dry_run:
        print("A dry run: nothing was stored. It would come to:")
    for name, tally in tallies.items():
        print(text.printable(name))
        for line in text.table(list(_rows(tally)), right={1}):
            print(line)
    look = sum(tally.for_a_person for tally in tallies.values())
    shown = [(name, each) for name, tally in tallies.items() for each in tally.shown]
    if look:
        rest = "" if look == len(shown) else " (here the first few of each kind; all of them with --report FILE)"
        print(f"A person must look at {look:,}{rest}:")
    for name, each in shown:
        where = each.place if len(tallies) == 1 else f"{name}, {each.place}"
        print(text.printable(f"  {where}: {each.outcome}, {each.code}: {each.reason}"))


def _rows(tally: Tally) -> Iterator[tuple[str, str, str]]:
    for outcome in OUTCOMES:
        codes = tally.codes.get(outcome, Counter())
        by_code = ", ".join(f"{code} {count:,}" for code, count in codes.most_common())
        if tally.counts[outcome] or outcome == "accepted":
            yield f"  {outcome}", f"{tally.counts[outcome]:,}", by_code
    if tally.rows:
        yield "  catalog rows", f"{tally.rows:,}", f"{tally.unchanged:,} of them unchanged, and not sent"
    if tally.unknown_stores:
        by_store = ", ".join(f"{store} {count:,}" for store, count in tally.unknown_stores.most_common())
        yield "  unknown stores", f"{len(tally.unknown_stores):,}", f"sales left out: {by_store}"
