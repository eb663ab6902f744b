"""Root works on files of the service's user, who may have put links there: it follows none, and leaves no file."""

import os

import pytest

from agent import plainfile
from agent.cli.client import AgentClient
from agent.cli.import_tally import Progress
from agent.doctor import bundle_parts
from agent.errors import ConfigError
from agent.rescue.disk import borrowed
from agent.storage import DataDir, write_durably

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links are made by anybody on POSIX alone")
NOBODY = 65534


@pytest.fixture
def secret(tmp_path):
    """What root alone may read or write."""
    path = tmp_path / "secret"
    path.write_text("for root's eyes")
    return path


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    return path


def test_a_file_is_written_in_place_of_a_link(place, secret):
    (place / "data.key.new").symlink_to(secret)
    write_durably(place / "data.key", b"new")
    assert secret.read_text() == "for root's eyes"
    assert (place / "data.key").read_bytes() == b"new"
    assert [path.name for path in place.iterdir()] == ["data.key"]


def test_a_draft_that_was_open_to_others_is_not_written_into(place):
    (place / "data.key.new").touch()
    (place / "data.key.new").chmod(0o666)
    write_durably(place / "data.key", b"new")
    assert (place / "data.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("scope", ["operator", "register"])
def test_a_token_that_is_a_link_is_sent_to_nobody(place, secret, scope):
    (place / "agent.json").write_text('{"pid": 1, "port": 1}')
    (place / f"{scope}.token").symlink_to(secret)
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        AgentClient(place, scope)
    assert "eyes" not in str(caught.value)


@pytest.mark.parametrize("name", ["agent.db", "agent.db-wal", "agent.db-mark"])
def test_a_rescue_copies_no_link(place, secret, name):
    (place / "agent.db").write_bytes(b"")
    (place / name).unlink(missing_ok=True)
    (place / name).symlink_to(secret)
    with pytest.raises(ConfigError, match="cannot be copied"), borrowed(DataDir(place)):
        pytest.fail("it was copied")


def test_a_rescue_leaves_out_links_in_folders(place, secret):
    (place / "agent.db").write_bytes(b"")
    folder = place / "quarantine" / "20260101T000000Z"
    folder.mkdir(parents=True)
    (folder / "agent.db").write_bytes(b"page")
    (folder / "reason.txt").symlink_to(secret)
    (place / "upgrades").symlink_to(secret.parent)
    with borrowed(DataDir(place)) as copy:
        found = sorted(str(path.relative_to(copy.path)) for path in copy.path.rglob("*") if path.is_file())
    assert found == ["agent.db", "quarantine/20260101T000000Z/agent.db"]


LINE = '{"event": "rooted", "level": "info", "timestamp": "2026-11-26T05:00:00Z"}'


def test_a_bundle_copies_no_log_behind_a_link(place, tmp_path):
    """Neither the file nor the folder may be one, and what is no file is passed over; the real log is still told."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "agent.log").write_text(f"{LINE}\n")
    (place / "logs").mkdir()
    (place / "logs" / "agent.log").write_text(LINE.replace("rooted", "ours") + "\n")
    assert "ours" in bundle_parts.log(place)
    (place / "logs" / "agent.log.1").symlink_to(root / "agent.log")
    os.mkfifo(place / "logs" / "agent.log.2")
    said = bundle_parts.log(place)
    assert ("rooted" in said, "ours" in said) == (False, True)
    assert said.count("(left out: It is ") == 2
    behind = tmp_path / "behind"
    behind.mkdir()
    (behind / "logs").symlink_to(root)
    assert "(left out: It is a link)" in bundle_parts.log(behind)
    assert "rooted" not in bundle_parts.log(behind)


def test_a_folder_that_becomes_a_link_leads_nowhere(place, tmp_path, monkeypatch):
    """In the moment between the look and the opening."""
    (place / "agent.log").write_text(LINE)
    (tmp_path / "logs").symlink_to(place)
    monkeypatch.setattr(plainfile, "_is_link", lambda _: False)
    with pytest.raises(OSError, match=r"logs|Not a directory|symbolic"):
        plainfile.end(tmp_path / "logs", "agent.log", 99)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a directory away")
def test_the_progress_of_roots_import_is_the_agents_to_forget(place):
    """Where its database was damaged all is to be brought again; else what was lost with it would be passed over."""
    os.chown(place, NOBODY, NOBODY)
    progress = Progress(place / "imports" / "a.json")
    progress.items = 7
    progress.save()
    progress.save()
    assert progress.trouble == ""
    for path in (place / "imports", place / "imports" / "a.json"):
        assert (path.stat().st_uid, path.stat().st_mode & 0o077) == (NOBODY, 0)


def test_progress_is_kept_behind_no_link(place, secret):
    (place / "imports").mkdir()
    (place / "imports" / "a.new").symlink_to(secret)
    progress = Progress(place / "imports" / "a.json")
    progress.save()
    assert (progress.trouble, secret.read_text()) == ("", "for root's eyes")
    (place / "elsewhere").symlink_to(secret.parent)
    behind = Progress(place / "elsewhere" / "a.json")
    behind.save()
    assert behind.trouble
    assert not (secret.parent / "a.json").exists()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a directory away")
def test_root_takes_no_directory_of_another_user(place):
    os.chown(place, NOBODY, NOBODY)
    before = os.umask(0o022)
    try:
        with pytest.raises(ConfigError, match="belongs to the user nobody") as caught:
            DataDir(place).take()
    finally:
        os.umask(before)
    assert "systemctl start flash-agent" in str(caught.value)
    assert "sudo -u nobody" in str(caught.value)
    assert list(place.iterdir()) == []
