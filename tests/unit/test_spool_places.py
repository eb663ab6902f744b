"""The spool folder on the disk: nothing is written over, only what was read is moved, links lead nowhere."""

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.spool.places import Entry, Places, Stamp, UnusableError, is_taken, stamp

TODAY = "2026-11-26"
NOBODY = 65534


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def seen(places: Places, name: str) -> Entry:
    return next(entry for entry in places.look(TODAY).files if entry.name == name)


def test_the_oldest_comes_first(places: Places) -> None:
    for name, second in (("b", 2), ("a", 3), ("d", 1), ("c", 2)):
        (places.folder / name).write_bytes(b"x")
        os.utime(places.folder / name, (second, second))
    assert [entry.name for entry in places.look(TODAY).files] == ["d", "b", "c", "a"]


@pytest.mark.parametrize(
    "name",
    [".a", "~a", "~$a.xlsx", "a.tmp", "a.TMP", "a.part", "a.xml.partial", "a.crdownload", "a.filepart", "a.why.json",
     "Thumbs.db", "desktop.ini"],
)  # fmt: skip
def test_names_that_are_never_taken(name: str) -> None:
    assert not is_taken(name)
    assert is_taken(f"x{name}x")


def test_what_changed_since_it_was_seen_is_neither_opened_nor_moved(places: Places) -> None:
    path = places.folder / "a.xml"
    path.write_bytes(b"first")
    entry = seen(places, "a.xml")
    path.write_bytes(b"second")
    assert places.open(entry) is None
    assert places.put_away(entry, places.failed, b"why") is None
    assert path.read_bytes() == b"second"
    assert list(places.failed.iterdir()) == []


def test_what_took_the_place_of_the_file_in_the_last_moment_is_put_back(places: Places, monkeypatch) -> None:
    """The system renames a new file over it after the last look: here in the very call that moves it."""
    path = places.folder / "a.xml"
    path.write_bytes(b"first")
    entry = seen(places, "a.xml")
    rename, new = Path.rename, places.folder / ".new"
    new.write_bytes(b"the next")

    def late(source: Path, target: Path) -> Path:
        if new.exists() and source == path:
            new.replace(path)
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", late)
    assert places.put_away(entry, places.failed, b"why") is None
    assert path.read_bytes() == b"the next"
    assert list(places.failed.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="Windows gives a name that comes back the time that it had")
def test_another_file_of_the_same_length_and_time_is_not_taken_for_the_one_that_was_read(places: Places) -> None:
    """A program that copies keeps the time of the original, often to the second."""
    path, corrected = places.folder / "a.xml", places.folder / "a.tmp"
    path.write_bytes(b"<sale/>")
    os.utime(path, (1, 1))
    entry = seen(places, "a.xml")
    corrected.write_bytes(b"<void/>")
    os.utime(corrected, (1, 1))
    corrected.replace(path)
    assert places.open(entry) is None
    assert places.put_away(entry, places.done / TODAY, None) is None
    assert path.read_bytes() == b"<void/>"


def test_nothing_is_written_over(places: Places) -> None:
    for number in range(3):
        (places.folder / "a.xml").write_bytes(b"%d" % number)
        moved = places.put_away(seen(places, "a.xml"), places.failed, b"why %d" % number)
        assert moved is not None
        assert (moved.read_bytes(), Path(f"{moved}.why.json").read_bytes()) == (b"%d" % number, b"why %d" % number)
    names = sorted(path.name for path in places.failed.iterdir() if path.suffix == ".xml")
    assert names == ["a-2.xml", "a-3.xml", "a.xml"]


def test_a_report_that_cannot_be_written_moves_nothing(places: Places) -> None:
    (places.folder / "a.xml").write_bytes(b"x")
    entry = seen(places, "a.xml")
    (places.failed / "a.xml.why.json").mkdir()
    with pytest.raises(OSError):
        places.put_away(entry, places.failed, b"why")
    assert (places.folder / "a.xml").exists()
    assert [path.name for path in places.failed.iterdir()] == ["a.xml.why.json"]  # and no draft


def test_on_windows_an_open_file_is_the_one_that_was_seen() -> None:
    """There ctime is another one of an open file than of its path, from Python 3.12 on."""
    seen_by_path = SimpleNamespace(st_size=1, st_mtime_ns=2, st_ctime_ns=3, st_birthtime_ns=3)
    opened = SimpleNamespace(st_size=1, st_mtime_ns=2, st_ctime_ns=9, st_birthtime_ns=3)
    another = SimpleNamespace(st_size=1, st_mtime_ns=2, st_ctime_ns=3, st_birthtime_ns=4)
    assert stamp(opened, "nt") == stamp(seen_by_path, "nt") != stamp(another, "nt")
    assert stamp(opened, "posix") != stamp(seen_by_path, "posix")


def test_drafts_of_a_killed_agent_are_deleted(places: Places) -> None:
    places.look(TODAY)
    (places.failed / ".flash-agent-0123.tmp").write_bytes(b"x")
    (places.failed / "mine").write_bytes(b"x")
    places.tidy()
    assert [path.name for path in places.failed.iterdir()] == ["mine"]


def test_a_report_goes_when_its_file_has_gone(places: Places) -> None:
    (places.folder / "a.xml").write_bytes(b"x")
    places.put_away(seen(places, "a.xml"), places.failed, b"why")
    assert places.look(TODAY).failed == 1
    (places.failed / "a.xml").rename(places.folder / "a.xml")
    assert places.look(TODAY).failed == 0
    assert list(places.failed.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="links need a right there")
def test_a_link_is_not_followed_even_when_it_comes_late(places: Places, tmp_path_factory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret"
    secret.write_bytes(b"x")
    path = places.folder / "a.xml"
    path.write_bytes(b"x")
    os.utime(path, ns=(1, 1))
    os.utime(secret, ns=(1, 1))
    entry = seen(places, "a.xml")
    path.unlink()
    path.symlink_to(secret)
    with pytest.raises(OSError):
        places.open(entry)


@pytest.mark.skipif(os.name != "posix", reason="there are no pipes in folders there")
def test_a_pipe_holds_nobody_up(places: Places) -> None:
    os.mkfifo(places.folder / "pipe")
    assert places.look(TODAY).files == []
    about = (places.folder / "pipe").stat()
    assert places.open(Entry("pipe", Stamp(0, about.st_mtime_ns, about.st_ctime_ns))) is None


def test_days_are_pruned_and_nothing_else(places: Places) -> None:
    for name in ("2026-10-26", "2026-10-27", "2026-11-26", "2027-01-01", "mine", "2026-1-1"):
        (places.done / name).mkdir(parents=True)
        (places.done / name / "a").write_bytes(b"x")
    places.prune(TODAY, 30)
    assert sorted(path.name for path in places.done.iterdir()) == [
        "2026-1-1", "2026-10-27", "2026-11-26", "2027-01-01", "mine",
    ]  # fmt: skip
    places.prune(TODAY, 0)
    assert sorted(path.name for path in places.done.iterdir()) == ["2026-1-1", "mine"]


@pytest.fixture
def as_nobody() -> Iterator[Places]:
    """A folder of root's, and this process as nobody meanwhile."""
    if sys.platform == "win32" or os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as folder:
        made = Places(Path(folder))
        made.folder.chmod(0o777)
        (made.folder / "theirs.xml").write_bytes(b"x")
        (made.folder / "theirs.xml").chmod(0o644)
        os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield made
        finally:
            os.setresuid(0, 0, 0)


def become_root_for(change) -> None:
    os.setresuid(0, 0, 0)
    change()
    os.setresuid(NOBODY, NOBODY, 0)


def test_missing_rights_are_said(as_nobody: Places) -> None:
    places = as_nobody
    entry = seen(places, "theirs.xml")
    become_root_for(lambda: (places.folder / "theirs.xml").chmod(0o600))
    with pytest.raises(PermissionError):
        places.open(entry)
    become_root_for(lambda: places.folder.chmod(0o1777))  # where only the owner of a file may rename it
    entry = seen(places, "theirs.xml")
    with pytest.raises(PermissionError):
        places.put_away(entry, places.failed, b"why")
    assert list(places.failed.iterdir()) == []
    for mode in (0o755, 0o700, 0o733):
        become_root_for(lambda mode=mode: places.folder.chmod(mode))
        with pytest.raises(UnusableError, match="read, write and delete in it"):
            places.look(TODAY)


def test_missing_rights_in_its_own_folders_are_said(as_nobody: Places) -> None:
    places = as_nobody
    become_root_for(lambda: places.failed.mkdir(mode=0o755))
    with pytest.raises(UnusableError, match="in its folder failed"):
        places.look(TODAY)
