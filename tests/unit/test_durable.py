"""A small file is on the disk before it takes its name, and its name before anybody is told."""

import os
import stat

import pytest

from agent.storage.durable import write_durably, write_new

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows journals names by itself")


@pytest.fixture
def synced(tmp_path, monkeypatch):
    """What was synced, in its order: a file or its directory, how many bytes, and the names that were there then."""
    seen = []
    sync = os.fsync

    def note(descriptor):
        about = os.fstat(descriptor)
        what = ("directory", 0) if stat.S_ISDIR(about.st_mode) else ("file", about.st_size)
        seen.append((*what, sorted(path.name for path in tmp_path.iterdir())))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    return seen


def test_a_file_that_is_replaced(tmp_path, synced):
    (tmp_path / "data.key").write_bytes(b"old")
    write_durably(tmp_path / "data.key", b"newer")
    assert synced == [("file", 5, ["data.key", "data.key.new"]), ("directory", 0, ["data.key"])]
    assert (tmp_path / "data.key").read_bytes() == b"newer"


def test_a_file_that_is_new(tmp_path, synced):
    write_new(tmp_path / "till.rescue", b"sealed")
    assert synced == [("file", 6, [f"till.rescue.{os.getpid()}.part"]), ("directory", 0, ["till.rescue"])]
