"""The log of a service that has no standard error: a file that stays small, and that nobody waits for."""

import logging.handlers
import sys

import pytest

from agent.cli import service_host, stderr


def test_lines_go_to_the_file_and_standard_error_comes_back(tmp_path):
    before, path = sys.stderr, tmp_path / "logs" / "agent.log"
    with service_host.log_file(path), stderr.unblocked():
        print('{"event": "started"}', file=sys.stderr)
        print("two\nlines", file=sys.stderr)
    assert sys.stderr is before
    assert path.read_text().splitlines() == ['{"event": "started"}', "two", "lines"]


@pytest.mark.parametrize("cut", range(1, 17))
def test_it_is_the_same_wherever_what_was_put_aside_is_cut(tmp_path, cut):
    """The thread that carries lines out may come between a line and its end."""
    written, path = "one\ntwo\nlines\nend", tmp_path / "agent.log"
    with service_host.log_file(path):
        sys.stderr.write(written[:cut])
        sys.stderr.write(written[cut:])
    assert path.read_text() == f"{written}\n"


def test_it_is_renamed_when_full_and_three_old_ones_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(service_host, "MAX_LOG_BYTES", 1000)
    with service_host.log_file(tmp_path / "agent.log"):
        for number in range(200):
            print(f"line {number} {'x' * 40}", file=sys.stderr)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["agent.log", "agent.log.1", "agent.log.2", "agent.log.3"]
    assert max(file.stat().st_size for file in files) <= 1000
    assert "line 199" in files[0].read_text()


def test_one_that_cannot_be_renamed_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(service_host, "MAX_LOG_BYTES", 1000)
    (tmp_path / "agent.log.1").mkdir()
    (tmp_path / "agent.log.1" / "in-the-way").touch()
    with service_host.log_file(tmp_path / "agent.log"):
        for number in range(200):
            print(f"line {number} {'x' * 40}", file=sys.stderr)
    log = tmp_path / "agent.log"
    assert log.stat().st_size <= 1000
    assert "line 199" in log.read_text()


def test_one_that_somebody_reads_is_copied_and_nothing_of_it_is_lost(tmp_path, monkeypatch):
    """Windows renames no file that is open elsewhere."""
    monkeypatch.setattr(service_host, "MAX_LOG_BYTES", 1000)

    def held(_: object, source: str, target: str) -> None:
        raise PermissionError(13, "in use", source, 32, target)

    monkeypatch.setattr(logging.handlers.RotatingFileHandler, "rotate", held)
    with service_host.log_file(tmp_path / "agent.log"):
        for number in range(75):
            print(f"line {number} {'x' * 40}", file=sys.stderr)
    files = sorted(tmp_path.iterdir(), reverse=True)
    assert [file.name for file in files] == ["agent.log.3", "agent.log.2", "agent.log.1", "agent.log"]
    lines = "".join(file.read_text() for file in files).splitlines()
    assert [line.split()[1] for line in lines] == [str(number) for number in range(75)]


def test_where_it_cannot_be_written_the_agent_goes_on(tmp_path):
    (tmp_path / "logs").touch()
    with service_host.log_file(tmp_path / "logs" / "agent.log"), stderr.unblocked():
        print("nowhere", file=sys.stderr)
    assert (tmp_path / "logs").read_text() == ""
