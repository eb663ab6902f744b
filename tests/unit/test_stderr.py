"""Standard error that never blocks, whoever reads it."""

import os
import re
import sys
import threading

import pytest

from agent.cli.stderr import MAX_WAITING_CHARS, Aside, unblocked

LINE = "x" * 99 + "\n"


@pytest.fixture
def pipe():
    """A pipe as (descriptor to read from, stream to write to)."""
    source, target = os.pipe()
    with os.fdopen(source, "rb", closefd=False) as _, os.fdopen(target, "w", encoding="utf-8") as stream:
        yield source, stream
    os.close(source)


def rest_of(source: int, read: bytes = b"") -> bytes:
    while chunk := os.read(source, 65536):
        read += chunk
    return read


def accounted_for(read: bytes) -> int:
    """How many of the numbered lines came out, or are said to be lost."""
    lost = re.findall(rb"^(\d+) lines of the log were lost here", read, re.MULTILINE)
    return len(re.findall(rb"^\d{8} x+$", read, re.MULTILINE)) + sum(map(int, lost))


def test_what_is_written_comes_out_whole_and_in_order(pipe):
    source, stream = pipe
    aside = Aside(stream)
    for number in range(1000):
        print(f"line {number} é", file=aside, flush=True)
    aside.finish(10)
    stream.close()
    assert rest_of(source).decode() == "".join(f"line {number} é\n" for number in range(1000))


def test_a_pipe_that_nobody_reads_blocks_nobody_and_the_gap_is_counted(pipe):
    source, stream = pipe
    aside = Aside(stream)
    lines = MAX_WAITING_CHARS * 10 // len(LINE)

    def write():
        for number in range(lines):
            print(f"{number:08d} {LINE[10:]}", end="", file=aside)
            print(end="", file=aside)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(30)
    assert not writer.is_alive()
    read, counted, at = b"", 0, 0
    while counted < lines:  # only then is there room again for certain
        read += os.read(source, 65536)
        end = read.rfind(b"\n") + 1
        counted, at = counted + accounted_for(read[at:end]), end
    print("later", file=aside)
    aside.finish(10)
    stream.close()
    said = rest_of(source, read).decode().splitlines()
    kept = [line for line in said if re.fullmatch(r"\d{8} x+", line)]
    assert accounted_for("\n".join(said).encode()) == lines
    assert kept == sorted(kept)
    assert said[-1] == "later"
    assert all("lost here" in line or line == "later" for line in said if line not in set(kept))


def test_a_reader_that_is_stuck_does_not_hold_up_the_end(pipe):
    _, stream = pipe
    aside = Aside(stream)
    aside.write(LINE * (MAX_WAITING_CHARS // len(LINE)))
    ended = threading.Thread(target=aside.finish, args=(0.05,), daemon=True)
    ended.start()
    ended.join(10)
    assert not ended.is_alive()


def test_a_reader_that_is_gone_raises_nothing():
    source, target = os.pipe()
    os.close(source)
    with os.fdopen(target, "w") as stream:
        aside = Aside(stream)
        for _ in range(10):
            print("into the void", file=aside, flush=True)
        aside.finish(10)


def test_a_process_without_standard_error_writes_nothing_and_goes_on(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with unblocked():
        print("nobody hears this", file=sys.stderr, flush=True)
    assert sys.stderr is None


def test_nothing_runs_while_nothing_is_written(pipe):
    _, stream = pipe
    before = threading.active_count()
    Aside(stream)
    assert threading.active_count() == before


def test_what_was_stuck_at_the_end_is_not_written_into_whatever_has_its_descriptor_later(pipe):
    source, stream = pipe
    os.set_blocking(stream.fileno(), False)  # so that its thread tries again and again
    aside = Aside(stream)
    aside.write("x" * MAX_WAITING_CHARS)  # more than a pipe holds
    aside.finish(0.05)
    thread = aside._thread
    assert thread is not None
    thread.join(10)
    assert not thread.is_alive()
    stream.close()
    assert len(rest_of(source)) < MAX_WAITING_CHARS
