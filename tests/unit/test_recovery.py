"""The recovery file holds what data.key holds, for the recipient alone, at every moment at which keys seal."""

import json
import os
import stat

import pytest

from agent import agefile
from agent.datakeys.recovery import Recovery, path_beside, reveal
from agent.errors import ConfigError
from agent.storage.keyfile import KeyFile
from agent.storage.sealing import DataKeys


@pytest.fixture(scope="module")
def pair():
    return agefile.new_pair()


@pytest.fixture
def data_key(tmp_path):
    return tmp_path / "data.key"


def kept_beside(data_key, recipient):
    file = KeyFile(data_key, "file")
    file.before_saving = Recovery(recipient, data_key).keep
    return file


def test_what_is_made_and_what_is_renewed_can_be_recovered(data_key, pair):
    recipient, identity = pair
    file = kept_beside(data_key, recipient)
    keys = file.load_or_create(None)
    assert reveal(path_beside(data_key), identity) == keys
    file.save(keys.renewed())
    assert reveal(path_beside(data_key), identity) == KeyFile(data_key, "file").load_or_create(None)
    if os.name == "posix":
        assert stat.S_IMODE(path_beside(data_key).stat().st_mode) == 0o600


def test_a_key_that_could_not_be_sealed_for_recovery_never_seals(data_key, pair):
    file = kept_beside(data_key, pair[0])
    keys = file.load_or_create(None)
    path_beside(data_key).with_name("data.key.recovery.new").mkdir()
    with pytest.raises(OSError):
        file.save(keys.renewed())
    assert KeyFile(data_key, "file").load_or_create(None) == keys


def test_it_is_left_alone_while_it_is_right_and_written_anew_when_not(data_key, pair):
    recipient, identity = pair
    keys = DataKeys.fresh()
    recovery, path = Recovery(recipient, data_key), path_beside(data_key)
    recovery.keep(keys)
    written = path.read_bytes()
    recovery.keep(keys)
    assert path.read_bytes() == written
    for wrong in (b"", b"{}", b"[]", written.replace(b"BEGIN", b"")[:-30], json.dumps({"format": 2}).encode()):
        path.write_bytes(wrong)
        recovery.keep(keys)
        assert reveal(path, identity) == keys
    other, other_identity = agefile.new_pair()
    Recovery(other, data_key).keep(keys)
    assert reveal(path, other_identity) == keys
    with pytest.raises(agefile.AgeError, match="another identity"):
        reveal(path, identity)


def test_without_a_recipient_there_is_none_and_one_that_is_there_stays(data_key, pair):
    keys = DataKeys.fresh()
    Recovery(None, data_key).keep(keys)
    assert not path_beside(data_key).exists()
    Recovery(pair[0], data_key).keep(keys)
    Recovery(None, data_key).keep(keys.renewed())
    assert reveal(path_beside(data_key), pair[1]) == keys


def test_a_mistyped_recipient_stops_the_start_and_makes_no_key(data_key, pair):
    mistyped = pair[0][:-1] + ("q" if pair[0][-1] != "q" else "p")
    with pytest.raises(ConfigError, match=r"\[keys\] recovery is no age recipient"):
        kept_beside(data_key, mistyped).load_or_create(None)
    assert not data_key.exists()


def test_the_file_shows_no_key(data_key, pair):
    keys = DataKeys.fresh()
    Recovery(pair[0], data_key).keep(keys)
    content = path_beside(data_key).read_text()
    for secret in keys.as_document()["sealing"].values():
        assert secret not in content
    assert keys.as_document()["hashing"] not in content


@pytest.mark.parametrize(
    ("identity", "said"),
    [
        ("", "holds no age identity"),
        ("# nothing\n", "holds no age identity"),
        ("AGE-SECRET-KEY-1X", "is no age identity"),
    ],
)
def test_what_is_no_identity_is_named(identity, said):
    with pytest.raises(agefile.AgeError, match=said):
        agefile.unseal(b"", identity)


def test_cut_and_changed_files_do_not_open(pair):
    recipient, identity = pair
    sealed = agefile.seal(b"secret" * 20_000, recipient)
    assert agefile.unseal(sealed, f"# a comment\n\n{identity}\n") == b"secret" * 20_000
    for wrong in (sealed[:-1], sealed[:70_000], sealed[:-20] + b"x" + sealed[-19:], b"", b"no age file"):
        with pytest.raises(agefile.AgeError, match="cut, changed"):
            agefile.unseal(wrong, identity)
