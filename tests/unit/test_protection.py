"""What stands before the files of keys: chosen openly, never weakened in silence, and named where it is missing."""

import base64
import json
import os
import stat
import sys
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from agent.errors import DataKeyError
from agent.servicemanager import folder
from agent.servicemanager.account import service_sid
from agent.storage.keyfile import KeyFile
from agent.storage.protection import CREDENTIAL, choose, credential, from_keyring, protection
from agent.storage.sealing import DataKeys

SECRET = "the secret that systemd hands over, 32 bytes at least"


class Ring(KeyringBackend):
    """A keyring of our own, as the library lets one be written."""

    priority = 1

    def __init__(self, *, locked=False):
        super().__init__()
        self.kept = {}
        self.locked = locked

    def get_password(self, service, username):
        if self.locked:
            raise KeyringLocked
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self.kept[service, username] = password


@pytest.fixture
def ring():
    before = keyring.get_keyring()
    yield keyring.set_keyring
    keyring.set_keyring(before)


@pytest.fixture
def credentials(tmp_path):
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / CREDENTIAL).write_text(SECRET)
    return {"CREDENTIALS_DIRECTORY": str(folder)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data.key"


def raw(keys):
    return [*keys.sealing.values(), keys.hashing]


def lies_bare(path, keys):
    content = path.read_bytes()
    return any(secret in content or base64.b64encode(secret) in content for secret in raw(keys))


def test_auto_is_the_best_that_works_unattended(credentials):
    assert choose("auto", {}, "linux") == "file"
    assert choose("auto", credentials, "linux") == "credentials"
    assert choose("auto", credentials, "win32") == "dpapi"
    assert choose("keyring", credentials, "win32") == "keyring"
    assert choose("file", credentials, "win32") == "file"


@pytest.mark.parametrize("environ", [{}, {"CREDENTIALS_DIRECTORY": ""}, {"CREDENTIALS_DIRECTORY": "/nowhere"}])
def test_without_a_directory_of_credentials_there_are_none(environ):
    assert credential(CREDENTIAL, environ) is None


def test_a_file_alone_is_as_it_always_was(path):
    keys = KeyFile(path, "auto", {}).load_or_create(None)
    assert json.loads(path.read_text())["format"] == 1
    assert KeyFile(path, "file", {}).load_or_create(keys.check_value) == keys


def test_with_a_credential_the_keys_do_not_lie_bare(path, credentials):
    kept = KeyFile(path, "auto", credentials)
    keys = kept.load_or_create(None)
    assert kept.protected_by == "credentials"
    assert not lies_bare(path, keys)
    assert KeyFile(path, "auto", credentials).load_or_create(keys.check_value) == keys
    kept.save(keys.renewed())
    assert KeyFile(path, "credentials", credentials).load_or_create(keys.check_value).current == 2
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_bare_file_is_protected_once_something_can(path, credentials):
    keys = KeyFile(path, "auto", {}).load_or_create(None)
    assert lies_bare(path, keys)
    kept = KeyFile(path, "auto", credentials)
    assert kept.load_or_create(keys.check_value) == keys
    assert kept.protected_by == "credentials"
    assert not lies_bare(path, keys)


def test_where_it_cannot_be_written_anew_the_file_serves_as_it_is_and_that_is_said(path, credentials):
    keys = KeyFile(path, "auto", {}).load_or_create(None)
    (path.parent / "data.key.new").mkdir()
    kept = KeyFile(path, "auto", credentials)
    assert kept.load_or_create(keys.check_value) == keys
    assert (kept.protected_by, kept.is_as_asked) == ("file", False)
    (path.parent / "data.key.new").rmdir()
    kept.save(keys.renewed())
    assert (kept.protected_by, kept.is_as_asked) == ("credentials", True)


def test_what_was_kept_bare_is_protected_when_it_is_next_read(path, tmp_path, credentials):
    bare = KeyFile(path, "auto", {})
    keys = bare.load_or_create(None)
    bare.keep(tmp_path / "flash-write.key", "fl_live_canary")
    assert b"fl_live" in (tmp_path / "flash-write.key").read_bytes()
    kept = KeyFile(path, "auto", credentials)
    kept.load_or_create(keys.check_value)
    assert kept.kept(tmp_path / "flash-write.key") == "fl_live_canary"
    assert b"fl_live" not in (tmp_path / "flash-write.key").read_bytes()


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', '{"format": 1, "secret": 7}', '{"format": 2}'])
def test_a_damaged_kept_file_is_said_to_be(path, tmp_path, content):
    kept = KeyFile(path, "file", {})
    kept.load_or_create(None)
    (tmp_path / "flash-write.key").write_text(content)
    with pytest.raises(DataKeyError, match=r"flash-write\.key cannot be read"):
        kept.kept(tmp_path / "flash-write.key")


def test_protection_is_taken_away_only_where_that_is_said(path, credentials):
    keys = KeyFile(path, "credentials", credentials).load_or_create(None)
    with pytest.raises(DataKeyError, match=r"no credential flash-agent\.key"):
        KeyFile(path, "auto", {}).load_or_create(keys.check_value)
    assert not lies_bare(path, keys)
    assert KeyFile(path, "file", credentials).load_or_create(keys.check_value) == keys
    assert lies_bare(path, keys)


def test_auto_keeps_a_keyring_that_somebody_chose(path, ring):
    ring(Ring())
    keys = KeyFile(path, "keyring", {}).load_or_create(None)
    kept = KeyFile(path, "auto", {})
    assert kept.load_or_create(keys.check_value) == keys
    assert kept.protected_by == "keyring"


def test_another_credential_opens_nothing_and_changes_nothing(path, credentials, tmp_path):
    keys = KeyFile(path, "auto", credentials).load_or_create(None)
    before = path.read_bytes()
    (tmp_path / "credentials" / CREDENTIAL).write_text(SECRET + "!")
    with pytest.raises(DataKeyError, match="does not open with what protects it"):
        KeyFile(path, "auto", credentials).load_or_create(keys.check_value)
    assert path.read_bytes() == before


def test_a_short_credential_is_refused(path, credentials, tmp_path):
    (tmp_path / "credentials" / CREDENTIAL).write_text("short")
    with pytest.raises(DataKeyError, match="shorter than 32"):
        KeyFile(path, "auto", credentials).load_or_create(None)
    assert not path.exists()


def test_the_keyring_keeps_a_secret_for_each_data_directory(tmp_path, ring):
    own = Ring()
    ring(own)
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        keys = KeyFile(folder / "data.key", "keyring", {}).load_or_create(None)
        assert not lies_bare(folder / "data.key", keys)
        assert KeyFile(folder / "data.key", "keyring", {}).load_or_create(keys.check_value) == keys
    assert len(set(own.kept.values())) == 2
    own.kept.clear()
    with pytest.raises(DataKeyError, match="does not open"):
        KeyFile(tmp_path / "a" / "data.key", "keyring", {}).load_or_create(None)


@pytest.mark.parametrize(("backend", "kind"), [(Ring(locked=True), "KeyringLocked"), (NoKeyring(), "NoKeyringError")])
def test_a_keyring_that_nobody_unlocked_is_named(path, ring, backend, kind):
    ring(backend)
    with pytest.raises(DataKeyError, match=kind):
        KeyFile(path, "keyring", {}).load_or_create(None)
    assert not path.exists()


def test_dpapi_is_windows_own(tmp_path):
    with pytest.raises(DataKeyError, match="Windows' own"):
        protection("dpapi", tmp_path, {}, "linux")
    assert protection("dpapi", tmp_path, {}, "win32").name == "dpapi"


def test_the_directory_is_left_to_its_owner_the_system_administrators_and_the_service(tmp_path):
    command = folder.restriction(tmp_path)
    assert command[1:3] == [str(tmp_path), "/inheritance:r"]
    assert Path(command[0]).parts[-2:] == ("System32", "icacls.exe")
    granted = [command[at + 1] for at, part in enumerate(command) if part == "/grant:r"]
    assert granted == [f"*{who}:(OI)(CI)F" for who in ("S-1-3-4", "S-1-5-18", "S-1-5-32-544", service_sid())]


def test_another_secret_is_kept_alike(path, tmp_path, credentials):
    kept = KeyFile(path, "auto", credentials)
    kept.load_or_create(None)
    assert kept.kept(tmp_path / "flash-write.key") is None
    kept.keep(tmp_path / "flash-write.key", "fl_live_canary")
    assert b"fl_live" not in (tmp_path / "flash-write.key").read_bytes()
    assert KeyFile(path, "auto", credentials).kept(tmp_path / "flash-write.key") == "fl_live_canary"


def test_another_secret_is_protected_once_something_can(path, tmp_path, credentials):
    bare = KeyFile(path, "auto", {})
    bare.load_or_create(None)
    bare.keep(tmp_path / "flash-write.key", "fl_live_canary")
    kept = KeyFile(path, "auto", credentials)
    kept.load_or_create(None)
    for _ in range(2):
        assert kept.kept(tmp_path / "flash-write.key") == "fl_live_canary"
        assert "canary" not in (tmp_path / "flash-write.key").read_text()


@pytest.mark.parametrize("content", ['{"format": 1}', '{"format": 1, "secret": 7}', "[]", "{}"])
def test_another_secret_that_is_damaged_is_said_to_be(path, tmp_path, content):
    (tmp_path / "flash-write.key").write_text(content)
    with pytest.raises(DataKeyError, match="damaged"):
        KeyFile(path, "auto", {}).kept(tmp_path / "flash-write.key")


def test_one_kept_file_is_not_taken_for_another(path, tmp_path, credentials):
    kept = KeyFile(path, "auto", credentials)
    kept.load_or_create(None)
    kept.keep(tmp_path / "flash-read.key", "fl_live_canary")
    (tmp_path / "flash-read.key").rename(tmp_path / "flash-write.key")
    with pytest.raises(DataKeyError, match="does not open"):
        kept.kept(tmp_path / "flash-write.key")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"format": 2}', '{"format": 2, "store": "cloud", "sealed": ""}', '{"format": 3, "store": "file"}',
     '{"format": 2, "store": "credentials", "sealed": "!"}', '{"format": 2, "store": ["file"], "sealed": ""}'],
)  # fmt: skip
def test_a_damaged_file_is_said_to_be(path, credentials, content):
    path.write_text(content)
    with pytest.raises(DataKeyError):
        KeyFile(path, "auto", credentials).load_or_create(None)
    assert path.read_text() == content


def test_keys_are_not_in_the_repr():
    assert "\\x" not in repr(DataKeys.fresh())


def test_a_program_without_the_keyring_says_what_else_there_is(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(DataKeyError, match="Choose another"):
        from_keyring(tmp_path)
