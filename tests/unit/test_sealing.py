"""Sealing at rest: what was sealed opens where it stands and nowhere else; a key is never made over sealed rows."""

import base64
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import DataKeyError
from agent.storage.durable import write_durably
from agent.storage.keyfile import KeyFile
from agent.storage.sealing import DataKeys, NoSealer, Sealer

KEYS = DataKeys({1: b"\x01" * 32, 2: b"\x02" * 32}, 2, b"\x03" * 32)
SEALER = Sealer(KEYS)
posix_only = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data.key"


# ---- sealing -------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=300), st.text(max_size=40), st.text(max_size=20))
def test_what_was_sealed_opens_where_it_stands(plain, row_id, column):
    key_id, sealed = SEALER.seal(plain, row_id, column)
    assert key_id == SEALER.key_id
    assert SEALER.open(sealed, row_id, column, SEALER.key_id) == plain
    assert len(plain) < 4 or plain not in sealed


def test_the_same_value_never_looks_the_same():
    assert len({SEALER.seal(b"ada@example.com", "op_1", "content")[1] for _ in range(50)}) == 50


@pytest.mark.parametrize(
    ("row_id", "column"), [("op_2", "content"), ("op_1", "outcome"), ("op_1/content", ""), ("", "op_1/content")]
)
def test_a_moved_value_does_not_open(row_id, column):
    _, sealed = SEALER.seal(b"value", "op_1", "content")
    with pytest.raises(DataKeyError):
        SEALER.open(sealed, row_id, column, SEALER.key_id)


def test_a_value_that_was_altered_anywhere_does_not_open():
    _, sealed = SEALER.seal(b"value", "op_1", "content")
    for place in range(len(sealed)):
        altered = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(DataKeyError):
            SEALER.open(altered, "op_1", "content", SEALER.key_id)


@pytest.mark.parametrize("length", [0, 1, 11, 12, 13, 27])
def test_a_value_that_was_cut_does_not_open(length):
    _, sealed = SEALER.seal(b"value", "op_1", "content")
    with pytest.raises(DataKeyError):
        SEALER.open(sealed[:length], "op_1", "content", SEALER.key_id)


def test_rows_of_an_older_key_open_and_new_ones_take_the_current_key():
    older = Sealer(DataKeys({1: KEYS.sealing[1]}, 1, KEYS.hashing))
    _, sealed = older.seal(b"value", "op_1", "content")
    assert SEALER.open(sealed, "op_1", "content", 1) == b"value"
    assert SEALER.key_id == 2
    with pytest.raises(DataKeyError):
        SEALER.open(sealed, "op_1", "content", 2)


def test_an_unknown_key_is_named_and_the_value_is_not():
    with pytest.raises(DataKeyError, match="data key 9") as caught:
        SEALER.open(SEALER.seal(b"value", "op_1", "content")[1], "op_1", "content", 9)
    assert caught.value.code == "data-key-unavailable"
    assert caught.value.status == 503


def test_hashes_are_keyed_stable_and_told_apart():
    assert SEALER.hash("ada@example.com") == Sealer(DataKeys({7: b"x" * 32}, 7, KEYS.hashing)).hash("ada@example.com")
    assert SEALER.hash("ada@example.com") != SEALER.hash("Ada@example.com")
    assert SEALER.hash("ada@example.com") != Sealer(DataKeys(KEYS.sealing, 2, b"\x04" * 32)).hash("ada@example.com")
    assert len(SEALER.hash("")) == 16


def test_without_a_key_nothing_is_sealed_opened_or_hashed():
    sealer = NoSealer("data.key is missing")
    for refused in (
        lambda: sealer.seal(b"x", "op_1", "content"),
        lambda: sealer.open(b"x" * 40, "op_1", "content", 1),
        lambda: sealer.hash("x"),
    ):
        with pytest.raises(DataKeyError, match="missing") as caught:
            refused()
        assert caught.value.retry_after_s


def test_new_keys_seal_at_once_older_ones_open_and_hashes_stay():
    keys = DataKeys.fresh()
    sealer = Sealer(keys)
    key_id, sealed = sealer.seal(b"value", "op_1", "content")
    digest = sealer.hash("ada@example.com")
    renewed = keys.renewed()
    sealer.adopt(renewed)
    new_id, anew = sealer.seal(b"value", "op_1", "content")
    assert (key_id, new_id) == (1, 2)
    assert sealer.open(sealed, "op_1", "content", 1) == sealer.open(anew, "op_1", "content", 2) == b"value"
    assert sealer.hash("ada@example.com") == digest
    assert renewed.check_value == keys.check_value
    assert renewed.sealing[2] != renewed.sealing[1]


def test_an_older_key_can_be_let_go_the_current_one_cannot_and_no_id_comes_back():
    keys = DataKeys.fresh().renewed().renewed()
    assert keys.older == {1, 2}
    kept = keys.without({1, 3})
    assert (set(kept.sealing), kept.current) == ({2, 3}, 3)
    assert keys.without({1, 2, 3}).renewed().current == 4


# ---- the key file --------------------------------------------------------------------------------------------------


def test_the_first_start_makes_keys_and_later_ones_read_them(path):
    made = KeyFile(path).load_or_create(None)
    assert [len(key) for key in (*made.sealing.values(), made.hashing)] == [32, 32]
    assert KeyFile(path).load_or_create(made.check_value) == made
    assert KeyFile(path).load_or_create(None) == made


def test_every_directory_has_keys_of_its_own(tmp_path):
    first, second = (KeyFile(tmp_path / name).load_or_create(None) for name in "ab")
    assert first.sealing != second.sealing
    assert first.hashing != second.hashing
    assert first.sealing[1] != first.hashing


@posix_only
def test_the_key_file_is_its_owners_alone_whatever_the_umask(path):
    before = os.umask(0)
    try:
        KeyFile(path).load_or_create(None)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["data.key"]


def test_a_missing_key_over_sealed_rows_is_never_made_anew(path):
    check = KeyFile(path).load_or_create(None).check_value
    path.unlink()
    with pytest.raises(DataKeyError, match="missing"):
        KeyFile(path).load_or_create(check)
    assert list(path.parent.iterdir()) == []


def test_no_key_is_made_where_rows_may_be_sealed_by_another(path):
    with pytest.raises(DataKeyError, match="missing"):
        KeyFile(path).load_or_create(None, may_create=False)
    assert not path.exists()
    made = KeyFile(path).load_or_create(None)
    assert KeyFile(path).load_or_create(None, may_create=False) == made


def test_another_databases_key_is_refused_and_left_as_it_is(path, tmp_path):
    check = KeyFile(tmp_path / "other.key").load_or_create(None).check_value
    KeyFile(path).load_or_create(None)
    content = path.read_bytes()
    with pytest.raises(DataKeyError, match="not the key"):
        KeyFile(path).load_or_create(check)
    assert path.read_bytes() == content


def test_the_check_value_knows_the_keys_and_does_not_hold_them():
    assert KEYS.check_value == DataKeys(KEYS.sealing, 1, KEYS.hashing).check_value
    assert KEYS.check_value != DataKeys(KEYS.sealing, 2, b"\x04" * 32).check_value
    assert KEYS.check_value not in KEYS.hashing
    assert KEYS.hashing not in KEYS.check_value


def good():
    key = base64.b64encode(b"k" * 32).decode()
    return {"format": 1, "current": 1, "sealing": {"1": key}, "hashing": key}


SHORT = base64.b64encode(b"k" * 31).decode()
DAMAGED = [
    b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}", b"x" * 500,
    *(json.dumps(good() | change).encode() for change in (
        {"format": 2}, {"format": None}, {"current": 2}, {"current": "1"}, {"current": None}, {"sealing": {}},
        {"sealing": []}, {"sealing": None}, {"sealing": {"1": SHORT}}, {"sealing": {"x": good()["hashing"]}},
        {"sealing": {"1": 5}}, {"sealing": {"1": "not base64!"}}, {"hashing": SHORT}, {"hashing": None},
    )),
]  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED, ids=repr)
@pytest.mark.parametrize("known", [False, True])
def test_a_damaged_key_file_is_refused_and_left_for_its_owner(path, content, known):
    path.write_bytes(content)
    with pytest.raises(DataKeyError) as caught:
        KeyFile(path).load_or_create(KEYS.check_value if known else None)
    assert good()["hashing"] not in str(caught.value)
    assert path.read_bytes() == content


def test_a_whole_key_file_is_read(path):
    path.write_text(json.dumps(good()))
    assert KeyFile(path).load_or_create(None) == DataKeys({1: b"k" * 32}, 1, b"k" * 32)


def test_a_directory_in_the_keys_place_is_refused(path):
    path.mkdir()
    with pytest.raises(DataKeyError):
        KeyFile(path).load_or_create(None)


# ---- small durable files -------------------------------------------------------------------------------------------


def test_a_small_file_is_replaced_whole_and_leaves_no_draft(tmp_path):
    path = tmp_path / "small"
    for content in (b"one", b"a longer one", b""):
        write_durably(path, content)
        assert path.read_bytes() == content
        assert [file.name for file in tmp_path.iterdir()] == ["small"]


def test_a_draft_that_a_power_cut_left_is_written_over(tmp_path):
    (tmp_path / "small.new").write_bytes(b"half of something much longer")
    write_durably(tmp_path / "small", b"one")
    assert (tmp_path / "small").read_bytes() == b"one"
    assert not (tmp_path / "small.new").exists()


def test_where_it_cannot_be_put_nothing_is_left(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_durably(tmp_path / "taken", b"one")
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]


def test_no_nonce_comes_twice_whoever_seals():
    sealer = Sealer(DataKeys({1: os.urandom(32)}, 1, os.urandom(32)))
    with ThreadPoolExecutor(4) as threads:
        sealed = list(threads.map(lambda _: sealer.seal(b"x", "op_1", "content")[1], range(4000)))
    assert len({value[:12] for value in sealed}) == len(sealed)
    assert {sealer.open(value, "op_1", "content", 1) for value in sealed} == {b"x"}
