"""What an import keeps of how far it has come, and what it sends in one call."""

import io
import json
from pathlib import Path

import pytest

from agent.adapters.base import Found, Skipped
from agent.cli.import_sending import MAX_BYTES, MAX_ITEMS, MAX_SKIPPED, Batch, batches
from agent.cli.import_tally import SHOWN, SHOWN_ALIKE, Outcome, Progress, Report, Tally, progress_path
from agent.model import Sale


def sale(number: int, lines: list | None = None) -> Found:
    fields = {"externalOrderId": f"R-{number}", "customer": {"externalId": "C-1"}, "totalAmount": 5, "lines": lines}
    document = {name: value for name, value in fields.items() if value is not None}
    return Found(Sale.model_validate(document, context={"currency": "USD"}), f"line {number}")


def skip(number: int) -> Skipped:
    return Skipped("no-customer", "The sale names no customer.", f"line {number}")


def shape(batch: Batch) -> tuple[int, int, int]:
    return batch.upto, len(batch.lines), len(batch.skipped)


def test_batches_hold_so_many_items_and_say_how_far_they_come():
    items = [skip(n) if n % 100 == 0 else sale(n) for n in range(1, 451)]
    assert [shape(batch) for batch in batches(items, 0)] == [(202, 200, 2), (404, 200, 2), (450, 46, 0)]


def test_going_on_leaves_out_what_was_done_and_nothing_else():
    items = [skip(n) if n % 3 == 0 else sale(n) for n in range(1, 451)]
    whole = list(batches(items, 0))
    for done in (0, whole[0].upto, 7, 449):
        places = [place for batch in batches(items, done) for place in batch.places]
        assert places == [item.place for item in items[done:] if isinstance(item, Found)]
    assert list(batches(items, 450)) == []


def test_batches_are_bounded_in_bytes_and_a_large_item_goes_alone():
    large = [{"note": "x" * (MAX_BYTES - 1000)}]
    items = [sale(1), sale(2, large), sale(3, large * 2), sale(4)]
    assert [batch.places for batch in batches(items, 0)] == [["line 1", "line 2"], ["line 3"], ["line 4"]]
    assert all(len(batch.lines) == 1 or batch.size <= MAX_BYTES for batch in batches(items, 0))


def test_what_is_skipped_does_not_pile_up():
    assert [batch.upto for batch in batches(map(skip, range(MAX_SKIPPED + 1)), 0)] == [MAX_SKIPPED, MAX_SKIPPED + 1]
    assert MAX_ITEMS < MAX_SKIPPED


def some_outcomes() -> list[Outcome]:
    faulty = [Outcome("faulty", f"line {number}", "unsound", "It is not.") for number in range(SHOWN + 5)]
    return [
        Outcome("accepted", "line 1", rows=20, unchanged=3),
        Outcome("skipped", "line 2", "no-customer", "None."),
        Outcome("faulty", "line 3", "unknown-store", "Unknown.", store="S19"),
        *faulty,
    ]


def test_progress_is_what_it_was(tmp_path: Path):
    path = tmp_path / "imports" / "x.json"
    progress = Progress(path)
    assert (progress.items, progress.is_done, progress.is_kept) == (0, False, True)
    progress.tally.add(some_outcomes())
    progress.items, progress.report_bytes = 17, 99
    progress.save()
    again = Progress(path)
    assert (again.items, again.report_bytes, again.is_done) == (17, 99, False)
    assert (again.tally.rows, again.tally.unchanged) == (20, 3)
    assert again.tally.unknown_stores == {"S19": 1}
    assert [each.json() for each in again.tally.shown] == [each.json() for each in progress.tally.shown]
    assert (again.tally.counts, again.tally.codes) == (progress.tally.counts, progress.tally.codes)
    assert len(again.tally.shown) == SHOWN_ALIKE + 1
    assert again.tally.for_a_person == SHOWN + 6
    again.remove()
    assert Progress(path).items == 0
    assert list(path.parent.iterdir()) == []


def test_a_thousand_of_one_kind_do_not_hide_the_one_of_another():
    tally = Tally()
    tally.add(Outcome("faulty", f"line {number}", "unsound", "It is not.") for number in range(1000))
    tally.add([Outcome("refused", "line 1001", "order-conflict", "Another amount.")])
    assert [each.code for each in tally.shown] == ["unsound"] * SHOWN_ALIKE + ["order-conflict"]
    tally.add(Outcome("refused", "line", f"code-{number}", "No.") for number in range(100))
    assert len(tally.shown) == SHOWN


@pytest.mark.parametrize("torn", ["", "{", "[]", "null", '{"items": 5}', '{"items": "x", "tally": {}}', "\x00" * 40])
def test_a_torn_progress_begins_anew(tmp_path: Path, torn):
    path = tmp_path / "x.json"
    path.write_text(torn)
    progress = Progress(path)
    assert (progress.items, progress.is_done, progress.tally) == (0, False, Tally())


def test_progress_that_cannot_be_kept_stops_nothing(tmp_path: Path):
    (tmp_path / "imports").write_text("in the way")
    progress = Progress(tmp_path / "imports" / "x.json")
    progress.items = 5
    progress.save()
    assert progress.trouble
    assert not progress.is_kept


def test_another_content_or_reading_has_a_progress_of_its_own(tmp_path: Path):
    def path(content: bytes, **read_as: object) -> Path:
        source = io.BytesIO(content)
        found = progress_path(tmp_path, source, read_as)
        assert source.read() == content  # it was rewound
        return found

    same = path(b"abc", adapter="csv", options={"a": 1, "b": 2})
    assert same == path(b"abc", options={"b": 2, "a": 1}, adapter="csv")
    others = {path(b"abd", adapter="csv", options={"a": 1, "b": 2}), path(b"abc", adapter="csv", options={"a": 2})}
    assert len(others | {same}) == 3


def test_a_report_goes_on_behind_the_last_progress(tmp_path: Path):
    path = tmp_path / "report.jsonl"
    report = Report(path, goes_on=False)
    kept = report.add(some_outcomes()[:3], "a.csv")
    report.add(some_outcomes()[3:], "a.csv")  # and then it was killed, before this was kept
    report.close()
    report = Report(path, goes_on=True)
    report.go_on_at(kept)
    report.add(some_outcomes()[3:], "a.csv")
    report.close()
    places = [json.loads(line)["place"] for line in path.read_text().splitlines()]
    assert places == [each.place for each in some_outcomes() if each.code]


def test_a_report_that_does_not_go_on_begins_anew(tmp_path: Path):
    path = tmp_path / "report.jsonl"
    path.write_text("of another day\n" * 100)
    report = Report(path, goes_on=False)
    report.add([Outcome("accepted", "line 1")], "a.csv")
    report.close()
    assert path.read_text() == ""
