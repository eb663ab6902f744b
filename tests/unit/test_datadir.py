"""The data directory: one agent at a time, the owner alone, and who has it is said."""

import os
import stat

import pytest

from agent.errors import AlreadyRunningError, ConfigError
from agent.storage.datadir import DataDir

posix_only = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")


@pytest.fixture(autouse=True)
def umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def data_dir(tmp_path):
    taken = DataDir(tmp_path / "deep" / "data")
    taken.take()
    yield taken
    taken.release()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@posix_only
def test_directory_and_files_are_the_owners_alone(data_dir):
    data_dir.announce(8455)
    data_dir.token("register")
    (data_dir.path / "agent.db").write_bytes(b"")  # as SQLite makes it: under the umask
    assert mode(data_dir.path) == 0o700
    found = {file.name: mode(file) for file in data_dir.path.iterdir()}
    assert set(found) >= {"agent.lock", "agent.json", "register.token", "agent.db"}
    assert set(found.values()) == {0o600}


@posix_only
def test_a_directory_that_was_open_to_all_is_closed(tmp_path):
    tmp_path.chmod(0o755)
    taken = DataDir(tmp_path)
    taken.take()
    assert mode(tmp_path) == 0o700
    taken.release()


def test_a_second_agent_is_told_who_has_it(data_dir):
    data_dir.announce(8455)
    with pytest.raises(AlreadyRunningError) as caught:
        DataDir(data_dir.path).take()
    said = str(caught.value)
    assert f"process {os.getpid()} on port 8455" in said
    assert str(data_dir.path) in said
    assert "--data-dir" in said
    assert caught.value.code == "already-running"


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"{}", b'{"pid": 1}', b"\xff", b"[]", b"7", b'{"pid": null, "port": 1}']
)
def test_a_second_agent_is_refused_though_nothing_says_who(data_dir, content):
    if content is not None:
        (data_dir.path / "agent.json").write_bytes(content)
    with pytest.raises(AlreadyRunningError, match="in use by another agent"):
        DataDir(data_dir.path).take()


def test_the_second_agents_failure_takes_nothing_from_the_first(data_dir):
    data_dir.announce(8455)
    for _ in range(2):
        with pytest.raises(AlreadyRunningError):
            DataDir(data_dir.path).take()
    assert data_dir.announced() == {"pid": os.getpid(), "port": 8455}


def test_a_directory_given_back_is_free(tmp_path):
    for _ in range(2):
        taken = DataDir(tmp_path)
        taken.take()
        taken.announce(8455)
        taken.release()
        assert taken.announced() == {}


def test_what_a_killed_agent_left_is_not_in_the_way(tmp_path):
    (tmp_path / "agent.lock").write_bytes(b"")
    (tmp_path / "agent.json").write_bytes(b'{"pid": 1, "port": 8455}')
    taken = DataDir(tmp_path)
    taken.take()
    assert taken.announced() == {}  # it is said of nobody who starts and may take minutes
    taken.release()


def test_a_place_that_is_no_directory_is_a_fault_of_the_settings(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="--data-dir") as caught:
            DataDir(path).take()
        assert str(path) in str(caught.value)


def test_a_token_is_made_once_and_each_scope_has_its_own(data_dir):
    register, operator = data_dir.token("register"), data_dir.token("operator")
    assert register != operator
    assert min(len(register), len(operator)) >= 32
    assert (data_dir.token("register"), DataDir(data_dir.path).token("operator")) == (register, operator)
    assert data_dir.token_path("register").read_text() == register


@pytest.mark.parametrize("content", ["", " \n"])
def test_an_empty_token_file_lets_nobody_in(data_dir, content):
    data_dir.token_path("register").write_text(content)
    assert len(data_dir.token("register")) >= 32


def test_a_token_written_by_hand_is_taken_without_its_line_end(data_dir):
    data_dir.token_path("register").write_text("chosen-by-the-store\r\n")
    assert data_dir.token("register") == "chosen-by-the-store"


def test_how_far_imports_have_come_is_forgotten_with_what_they_brought(data_dir):
    data_dir.forget_imports()
    imports = data_dir.path / "imports"
    imports.mkdir()
    for name in ("a.json", "b.json", "kept.txt"):
        (imports / name).write_text("{}")
    data_dir.forget_imports()
    assert [file.name for file in imports.iterdir()] == ["kept.txt"]
