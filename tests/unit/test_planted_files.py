"""Root's commands look into the directory of the service's user: what is there may be no file of ours at all."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent import config, plainfile
from agent.cli import options
from agent.cli.client import AgentClient
from agent.cli.listeners import is_strange
from agent.doctor import bundle, configuration
from agent.doctor.case import Case
from agent.errors import AgentError, ConfigError, DataKeyError
from agent.flashkeys import FlashKeys
from agent.receipt.templates import read_own
from agent.storage import DataDir, KeyFile, upgrade_record
from agent.storage.protection import by_credential

NOBODY = 65534
as_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="takes a second user: root alone can")
posix = pytest.mark.skipif(os.name != "posix", reason="pipes with names are POSIX's")
LISTENER = """
import os, socket, sys
os.setuid(int(sys.argv[1]))
own = socket.create_server(("127.0.0.1", 0))
print(own.getsockname()[1], flush=True)
connection, _ = own.accept()
connection.settimeout(20)
print(len(connection.recv(65536)), flush=True)
"""


@pytest.fixture
def place(tmp_path):
    path = tmp_path / "data"
    path.mkdir()
    (path / "agent.json").write_text('{"pid": 1, "port": 1}')
    (path / "operator.token").write_text("a-token-of-the-operator-0000000000000")
    return path


@pytest.fixture(params=["pipe", "huge"])
def plant(request):
    """Something in a file's place that never comes to an end."""

    def put(path):
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        if request.param == "pipe":
            os.mkfifo(path)
        else:
            with path.open("wb") as file:
                file.truncate(1 << 32)

    return put


@posix
def test_an_announcement_that_never_ends_is_none(place, plant):
    plant(place / "agent.json")
    assert DataDir(place).announced() == {}
    with pytest.raises(AgentError, match="No agent runs"):
        AgentClient(place)


@posix
def test_a_token_that_never_ends_is_said(place, plant):
    plant(place / "operator.token")
    with pytest.raises(ConfigError, match=r"The operator token .* cannot be read: It is"):
        AgentClient(place)


@posix
def test_a_lock_that_is_a_pipe_holds_nobody_up(place):
    os.mkfifo(place / "agent.lock")
    assert DataDir(place).is_held() is False


@posix
def test_a_record_of_an_upgrade_that_never_ends_is_none(place, plant):
    path = upgrade_record.path_in(DataDir(place).upgrades)
    plant(path)
    assert upgrade_record.read(path) is None


@posix
def test_a_bundle_is_made_beside_a_token_that_never_ends(place, plant):
    plant(place / "register.token")
    case = Case(place / "agent.toml", place)
    target, _ = bundle.write(case, [], "", place / "bundle.zip")
    assert target.stat().st_size > 0


def test_a_small_file_is_read_whole_and_a_longer_one_not_at_all(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * plainfile.LIMIT)
    assert len(plainfile.read(path)) == plainfile.LIMIT
    path.write_bytes(b"x" * (plainfile.LIMIT + 1))
    with pytest.raises(OSError, match="longer"):
        plainfile.read(path)


# ---- what the settings name, which may be mistyped -----------------------------------------------------------------


@pytest.fixture(params=["pipe", "huge", "device", "folder", "link to a pipe"])
def endless(request, tmp_path):
    """What can be read for ever, or is no file."""
    path = tmp_path / "named"
    if request.param == "device":
        return Path("/dev/zero")
    if request.param == "folder":
        path.mkdir()
    elif request.param == "huge":
        with path.open("wb") as file:
            file.truncate(3 << 30)
    else:
        os.mkfifo(path)
    if request.param.startswith("link"):
        (tmp_path / "link").symlink_to(path)
        return tmp_path / "link"
    return path


@posix
@pytest.mark.parametrize("name", ["write_key_file", "read_key_file", "ca_file"])
def test_a_file_of_the_settings_that_never_ends_is_said(tmp_path, endless, name):
    path = tmp_path / "agent.toml"
    path.write_text(f"[flash]\n{name} = '{endless}'")
    with pytest.raises(ConfigError, match=rf"\[flash\] {name}") as caught:
        config.load(str(path))
    assert "plain file" in str(caught.value)


@posix
def test_settings_and_receipts_that_never_end_are_said(endless):
    with pytest.raises(ConfigError, match=r"configuration file .* cannot be read: It is "):
        config.load(str(endless))
    with pytest.raises(ValueError, match=r"cannot be read: It is |has more than 65536 bytes"):
        read_own(endless)
    assert not configuration._is_closed(endless)


@posix
def test_keys_that_never_end_are_none(tmp_path, endless, monkeypatch):
    data = tmp_path / "data"
    data.mkdir()
    (data / "data.key").symlink_to(endless)
    with pytest.raises(DataKeyError, match=r"data\.key cannot be read: It is "):
        KeyFile(data / "data.key").read()
    (tmp_path / "flash-write-key").symlink_to(endless)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert FlashKeys(config.Settings.isolated(), KeyFile(data / "data.key"), data).find("write").key is None
    with pytest.raises(DataKeyError, match=r"cannot be read: It is "):
        by_credential(endless)


@posix
def test_what_somebody_names_at_a_command_may_be_a_pipe_and_has_an_end(tmp_path):
    reading, writing = os.pipe()
    os.write(writing, b"a passphrase\n")
    os.close(writing)
    try:
        assert options.read_small_file(Path(f"/dev/fd/{reading}"), "It") == "a passphrase"
    finally:
        os.close(reading)
    with pytest.raises(ConfigError, match="It /dev/zero cannot be read: It is longer"):
        options.read_small_file(Path("/dev/zero"), "It")


def _listener(user):
    child = subprocess.Popen([sys.executable, "-I", "-c", LISTENER, str(user)], stdout=subprocess.PIPE, text=True)
    return child, int(child.stdout.readline())


def _call(client):
    client.call("POST", "/v1/key", {"key": "fl_live_secret"})


def _stream(client):
    with client.stream("/v1/events", {}, 5):
        pass


@as_root
@pytest.mark.parametrize("ask", [_call, _stream])
def test_another_users_program_on_the_agents_port_is_sent_nothing(place, ask):
    child, port = _listener(NOBODY)
    (place / "agent.json").write_text(f'{{"pid": 1, "port": {port}}}')
    with child:
        with pytest.raises(AgentError, match="Another user's program listens"):
            ask(AgentClient(place, timeout_s=5))
        assert child.stdout.readline() == "0\n"


@as_root
def test_the_user_whose_directory_it_is_is_no_stranger(place):
    child, port = _listener(NOBODY)
    os.chown(place, NOBODY, NOBODY)
    with child, socket.create_connection(("127.0.0.1", port)) as connection:
        assert not is_strange(place, connection)


@posix
@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")])  # noqa: S104
def test_our_own_on_any_address_is_no_stranger(place, family, address):
    own = socket.create_server((address, 0), family=family, dualstack_ipv6=family == socket.AF_INET6)
    with own, socket.create_connection(("127.0.0.1", own.getsockname()[1])) as connection:
        assert not is_strange(place, connection)


@as_root
def test_a_listener_that_went_away_once_it_was_connected_is_a_stranger(place):
    own = socket.create_server(("127.0.0.1", 0))
    with own, socket.create_connection(own.getsockname()) as connection, own.accept()[0]:
        own.close()
        assert is_strange(place, connection)
