"""What of a log may leave the till."""

import json

import pytest

from agent.doctor import bundle_parts
from agent.doctor.log_lines import kept
from agent.doctor.log_sources import ending, in_journal, recent

OURS = '{"port": 8455, "till": "till-1", "event": "started", "level": "info", "timestamp": "2026-11-26T05:00:00Z"}'


def test_our_own_lines_are_kept_as_they_are():
    fault = ["  C:\\Program Files\\x\\agent\\app.py:12 in start", "  /usr/lib/x/app.py:7 in <module>", "OSError"]
    library = "WARNING asyncio base_events:1 in default_exception_handler"
    text = "2026-11-26T05:00:00.123456Z [warning  ] line to Flash                  state=offline"
    lines = [OURS, *fault, library, "flash-agent listens on http://127.0.0.1:8455"]
    assert list(kept(lines)) == lines
    assert list(kept([text])) == ["2026-11-26T05:00:00.123456Z [warning] line to Flash state=offline"]


def test_of_other_lines_it_is_said_how_many_they_were():
    assert list(kept(["Ada Lovelace", "bought", OURS, "tea", '{"name": "Ada"}', "{torn"])) == [
        "(2 lines of another kind left out)",
        OURS,
        "(3 lines of another kind left out)",
    ]
    assert list(kept(["Ada"])) == ["(1 line of another kind left out)"]


def test_fields_that_our_logger_does_not_write_are_left_out_and_odd_values_masked():
    (line,) = kept(
        [json.dumps({"event": "x", "level": "info", "customer": "Ada", "count": "Ada", "status": "A\u00a0&"})]
    )
    assert json.loads(line) == {"event": "x", "level": "info", "count": "***", "status": "***"}
    text = "2026-11-26T05:00:00Z [info     ] sale  customer='Ada Lovelace' count=Ada port=8455 code='it is'"
    assert list(kept([text])) == ["2026-11-26T05:00:00Z [info] sale count=*** port=8455 code=it is"]


def test_an_exceptions_words_are_left_out_and_addresses_masked():
    assert list(kept(["ValueError: Ada Lovelace is no customer"])) == ["ValueError"]
    assert list(kept(["flash-agent: ada@example.com fl_live_0123456789 is wrong"])) == ["flash-agent: *** *** is wrong"]


def test_the_journal_says_what_the_service_manager_did():
    entries = [
        {"MESSAGE": "flash-agent.service: Main process exited, code=killed, status=9/KILL", "_PID": "1",
         "SYSLOG_IDENTIFIER": "systemd"},
        {"MESSAGE": OURS, "_PID": "77", "SYSLOG_IDENTIFIER": "flash-agent"},
        {"MESSAGE": "Ada Lovelace", "_PID": "77", "SYSLOG_IDENTIFIER": "systemd"},
        {"MESSAGE": [1, 2, 3], "_PID": "77"},
        {"_PID": "77"},
    ]  # fmt: skip
    assert list(in_journal([*map(json.dumps, entries), "torn", "[]"])) == [
        "flash-agent: systemd: flash-agent.service: Main process exited, code=killed, status=9/KILL",
        OURS,
        "(1 line of another kind left out)",
    ]


def test_the_files_of_a_windows_service_are_read_to_their_end(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "agent.log").write_text("Ada\n" * 400_000 + OURS + "\n", encoding="utf-8")
    said = recent(tmp_path)
    assert said[0] == "# agent.log"
    assert OURS in said
    assert "lines of another kind left out)" in said[1]


def test_of_the_data_directory_only_names_that_the_agent_gives_are_told(tmp_path):
    own = ["agent.db-wal", "data.key.recovery", "flash-write.next.key", "tokens.json", "newer-20261126T050000Z.db-wal"]
    others = ["Ada Lovelace.txt", "fl_live_0123456789.key", "Ada20261126T050000Z.db", "agent.db.Ada"]
    for name in (*own, *others):
        (tmp_path / name).write_text("x")
    names = [each["name"] for each in json.loads(bundle_parts.files(tmp_path))]
    assert sorted(names) == sorted([*own, *["(another name)"] * len(others)])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], ""),
        (["flash-agent: The key cannot be read.", "flash-agent: systemd: Failed to start."], "The key cannot be read."),
        (["flash-agent: The key cannot be read.", "flash-agent listens on http://127.0.0.1:8455"], ""),
        (["flash-agent: The first.", "flash-agent: systemd: Starting.", "flash-agent: The second."], "The second."),
    ],
)
def test_why_a_start_ended_is_its_last_word(lines, said):
    assert ending(lines) == said
