"""What is written beside a file: bounded, countable, and with a mend for each fault; an adapter's own fault is told."""

import json

from agent.adapters.base import Skipped
from agent.errors import Fault, InvalidError
from agent.importing import Taken
from agent.spool.places import Places
from agent.spool.report import MAX_FAULTS, Report
from agent.spool.taking import Taking


def faulty(code: str, number: int = 1) -> Taken:
    return Taken(
        f"line {number}", "", skipped=Skipped(code, "It could not be read here.", f"line {number}", fault=True)
    )


def said(report: Report) -> dict:
    written = report.as_bytes("2026-11-26T10:00:00.000Z")
    assert written is not None
    return json.loads(written)


def test_a_thousand_faults_are_listed_and_all_are_counted() -> None:
    report = Report("a.csv", "canonical")
    report.add([faulty("unsound", number) for number in range(MAX_FAULTS + 500)])
    report.add([Taken("line 9", "", skipped=Skipped("no-customer", "Nobody earned anything.", "line 9"))])
    written = said(report)
    assert (len(written["items"]), written["notListed"]) == (MAX_FAULTS + 1, 500)
    assert (written["totals"]["faulty"], written["totals"]["skipped"]) == (MAX_FAULTS + 500, 1)
    assert written["summary"] == "Taken: 0. To be mended: 1500. Left out, which needs nobody: 1."
    assert written["items"][-1]["mend"] == "Nothing needs to be done."


def test_the_stores_that_no_setting_knows_are_counted_by_their_code() -> None:
    report = Report("day.xml", "poslog")
    for store in ("13", "12", "13"):
        unknown = Skipped("unknown-store", f"It was sold in store {store}.", "line 1", fault=True, store=store)
        report.add([Taken("line 1", "", skipped=unknown)])
    written = said(report)
    assert written["summary"].endswith(" Sales in stores that no setting knows: 13 (2), 12 (1).")
    assert {item["mend"] for item in written["items"]} == {
        "Add the store's code to [documents.stores], and start the agent anew."
    }


def test_a_refusal_names_its_fields() -> None:
    report = Report("a.csv", "canonical")
    refusal = InvalidError("The document has faults.", faults=[Fault("amount", "must be at most 5")])
    report.add([Taken("line 1", "refund", refused=refusal)])
    (item,) = said(report)["items"]
    assert item == {
        "place": "line 1",
        "outcome": "refused",
        "code": "validation",
        "reason": "The document has faults.",
        "errors": [{"field": "amount", "message": "must be at most 5"}],
        "mend": "Correct the fields that are named.",
    }


def test_what_was_taken_whole_has_no_report() -> None:
    assert Report("a.csv", "canonical").as_bytes(None) is None


def test_only_what_ends_unreadable_may_still_come() -> None:
    report = Report("a.csv", "canonical")
    report.add([faulty("unreadable")])
    assert report.ends_too_early
    report.add([faulty("unsound")])
    assert not report.ends_too_early
    assert report.failed


def test_what_an_adapter_breaks_on_is_a_fault_behind_what_it_found(tmp_path) -> None:
    def items():
        yield Skipped("no-customer", "Nobody earned anything.", "line 1")
        raise RecursionError("about ada@example.com")

    taking = Taking("canonical", Places(tmp_path), None, None, lambda: False)
    found = items()
    batch = taking._next(found)
    assert [(item.code, item.fault) for item in batch] == [("no-customer", False), ("internal", True)]
    assert "ada" not in batch[1].reason
    assert taking._next(found) == []


def test_the_other_pages_are_asked_for() -> None:
    report = Report("orders.json", "amazon")
    report.add([Taken("document", "", skipped=Skipped("more-pages", "It goes on at another page.", "document"))])
    assert said(report)["items"][0]["mend"] == "Let the system put the other pages into the folder too, each as a file."
