"""What a virus scanner holds open for a moment, as Windows lets it, is renamed or deleted a moment later."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from agent.config import Settings
from agent.flashkeys.sources import FlashKeys
from agent.storage import DataDir, KeyFile
from agent.storage.quarantine import Quarantine

TIMES = 3


@pytest.fixture
def scanner(monkeypatch: pytest.MonkeyPatch):
    """Holds what ends in a name, for a few tries of whoever would rename or delete it."""

    def holds(ending: str) -> None:
        left = [TIMES]
        for change in ("replace", "rename", "unlink"):
            undisturbed = getattr(Path, change)

            def disturbed(self: Path, *words: object, _undisturbed=undisturbed, **options: object) -> object:
                if str(self).endswith(ending) and left[0]:
                    left[0] -= 1
                    raise PermissionError(13, "in use", str(self))
                return _undisturbed(self, *words, **options)

            monkeypatch.setattr(Path, change, disturbed)

    return holds


def test_the_announcement_of_an_agent_that_stops(tmp_path, scanner):
    taken = DataDir(tmp_path)
    taken.take()
    taken.announce(8455)
    scanner("agent.json")
    taken.release()
    assert not (tmp_path / "agent.json").exists()


def test_an_announcement_that_stays_keeps_nobody_from_the_directory(tmp_path):
    taken = DataDir(tmp_path)
    taken.take()
    (tmp_path / "agent.json").mkdir()
    with pytest.raises(OSError, match=r"agent\.json"):
        taken.release()
    assert not taken.is_held()


def test_the_folder_of_a_damaged_database(tmp_path, scanner):
    """What is not renamed is finished by the next start, and until then there is none."""
    database, quarantine = tmp_path / "agent.db", Quarantine(tmp_path / "quarantine")
    database.write_bytes(b"damaged")
    folder = quarantine.begin(database, "It was damaged.")
    scanner(".moving")
    quarantine.move(database, folder)
    (there,) = (tmp_path / "quarantine").iterdir()
    assert there.suffix == ""
    assert (there / "agent.db").read_bytes() == b"damaged"


def test_a_key_that_no_longer_waits(tmp_path, scanner):
    kept = FlashKeys(Settings.isolated(), KeyFile(tmp_path / "data.key", "file"), tmp_path)
    kept.keep_waiting("write", SecretStr("fl_live_0123456789abcdef"))
    scanner("flash-write.next.key")
    kept.keep("write", SecretStr("fl_live_0123456789abcdef"))
    assert [path.name for path in tmp_path.glob("flash-*")] == ["flash-write.key"]
