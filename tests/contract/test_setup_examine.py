"""What setup finds out at Flash: what a key may do and which store is meant, with calls that change nothing."""

import contextlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
import trustme
from pydantic import SecretStr

from agent.errors import AgentError
from agent.flash.address import FlashAddress
from agent.setup import examine, findings
from agent.setup.answers import judge
from agent.setup.examine import KeyRefusedError, NoWayError
from agent.setup.place import Place
from tests.support.agents import WRITE_KEY
from tests.support.strict_flash import StrictFlash

READ_KEY = "fl_live_test_read_0001"
READS = ("GET /stores", "GET /members")


@pytest.fixture
def flash():
    with StrictFlash() as strict:
        strict.add_key(WRITE_KEY, "t1")
        strict.add_key(READ_KEY, "t1", "read")
        strict.add_store("st_1")
        yield strict


@pytest.fixture
def look(flash):
    return lambda key=WRITE_KEY: examine.look_at(FlashAddress(flash.base_url, till="t"), "write", SecretStr(key))


@pytest.fixture
def find(flash, tmp_path):
    """Findings of answers, by name; `read_key` and so on."""

    def found(*, known_key=None, unchecked=False, **more):
        least = {"till_id": "lane-3", "currency": "USD", "order_numbers": "unique", "port": "auto"}
        table = {"base_url": flash.base_url, "write_key": WRITE_KEY, **least, **more}
        place = Place(tmp_path / "agent.toml", tmp_path, service=False)
        given = judge({name: value for name, value in table.items() if value}, "answers", known={}, has_key=True)
        return findings.of(given, place, known_key=known_key, unchecked=unchecked)

    return found


# ---- keys ----------------------------------------------------------------------------------------------------------


def test_a_write_key_may_everything_and_nothing_was_changed_to_learn_it(flash, look):
    seen = look()
    assert (seen.looks_up, seen.writes) == (True, True)
    assert [(store.id, store.external_id) for store in seen.stores] == [("st_1", "ERP-st_1")]
    assert abs(seen.clock_skew_s) < 30
    assert flash.effects == []
    look(READ_KEY)
    assert flash.effects == []


def test_a_read_key_reads(look):
    seen = look(READ_KEY)
    assert (seen.looks_up, seen.writes, len(seen.stores)) == (True, False, 1)


def test_a_key_with_fewer_rights(flash, look):
    flash.deny(WRITE_KEY, *READS)
    seen = look()
    assert (seen.looks_up, seen.writes, seen.stores) == (False, True, None)


def test_a_key_that_flash_does_not_know(flash, look):
    with pytest.raises(KeyRefusedError, match="it knows no such key") as caught:
        look("fl_live_unknown_0001")
    assert "fl_live_unknown" not in str(caught.value)
    assert flash.effects == []


def test_a_read_only_key_in_the_write_keys_place(find):
    with pytest.raises(KeyRefusedError, match="it is a read-only key"):
        find(write_key=READ_KEY, store_id="st_1")


def test_a_write_key_that_flash_takes_and_a_read_key_that_it_does_not(find):
    with pytest.raises(KeyRefusedError, match="refused the read key"):
        find(read_key="fl_live_unknown_0001", store_id="st_1")


def test_a_read_key_without_look_ups_is_of_no_use(flash, find):
    flash.deny(READ_KEY, "GET /members")
    with pytest.raises(KeyRefusedError, match="may not look up members"):
        find(read_key=READ_KEY, store_id="st_1")


def test_what_is_worth_a_look(flash, find):
    assert find(read_key=READ_KEY, store_id="st_1").notes == ()
    flash.add_key("fl_live_test_both_0001", "t1")
    assert "may write, too" in find(read_key="fl_live_test_both_0001", store_id="st_1").notes[0]
    flash.add_key("fl_live_test_else_0001", "t2", "read")
    flash.add_store("st_9", tenant="t2")
    assert "shows other stores" in find(read_key="fl_live_test_else_0001", store_id="st_1").notes[0]
    flash.deny(WRITE_KEY, "GET /members")
    assert "give a read key" in find(store_id="st_1").notes[0]


def test_a_clock_that_is_off_is_said(flash, find, monkeypatch):
    class Early(examine.Clock):
        def now(self) -> datetime:
            return datetime.now(UTC) - timedelta(hours=3)

    monkeypatch.setattr(examine, "Clock", Early)
    (note,) = find(store_id="st_1").notes
    assert note.startswith("This till's clock is 3 h behind Flash's.")


# ---- stores --------------------------------------------------------------------------------------------------------


def test_a_store_by_either_id(find):
    assert find(store_id="st_1").store_id == "st_1"
    assert find(store_id="ERP-st_1").store_id == "st_1"
    assert find(store_external_id="ERP-st_1", register_store=True, store_name="X").store_id == "st_1"


def test_a_store_that_is_not_there(flash, find):
    with pytest.raises(AgentError, match=r"does not show a store st_2 to this key.*st_1"):
        find(store_id="st_2")
    with pytest.raises(AgentError, match="Add register_store = true"):
        find(store_external_id="0018")
    found = find(store_external_id="0018", register_store=True, store_name="Main Street")
    assert (found.store_id, flash.effects) == (None, [])


def test_a_key_that_shows_no_stores_is_taken_at_its_word(flash, find):
    flash.deny(WRITE_KEY, "GET /stores")
    found = find(store_id="st_2")
    assert (found.store_id, "was not checked" in found.store) == ("st_2", True)


def test_the_configured_key_is_looked_at_where_none_is_given(find):
    assert find(write_key=None, known_key=SecretStr(WRITE_KEY), store_id="st_1").notes == ()
    (note,) = find(write_key=None, read_key=READ_KEY, store_id="st_1").notes
    assert "it was not checked here" in note
    with pytest.raises(KeyRefusedError):
        find(write_key=None, known_key=SecretStr("fl_live_unknown_0001"), store_id="st_1")


def test_registering_twice_is_one_store(flash):
    where = FlashAddress(flash.base_url, till="t")
    made = [examine.register(where, SecretStr(WRITE_KEY), "0018", "Main Street", "Springfield") for _ in range(2)]
    assert made[0] == made[1]
    (store,) = [s for s in examine.look_at(where, "write", SecretStr(WRITE_KEY)).stores if s.external_id == "0018"]
    assert (store.id, store.name, store.city) == (made[0], "Main Street", "Springfield")


def test_a_key_that_may_not_register(flash):
    flash.deny(WRITE_KEY, "POST /stores")
    where = FlashAddress(flash.base_url, till="t")
    with pytest.raises(KeyRefusedError, match="may not register stores"):
        examine.register(where, SecretStr(WRITE_KEY), "0018", "Main Street", None)


# ---- no way --------------------------------------------------------------------------------------------------------


def no_way(base_url, **how):
    with pytest.raises(NoWayError) as caught:
        examine.look_at(FlashAddress(base_url, till="t", attempt_timeout_s=3.0, **how), "write", SecretStr(WRITE_KEY))
    return str(caught.value)


@contextlib.contextmanager
def answering(content, context=None):
    """A server on loopback that says the same to everybody, until it is closed; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            while True:
                raw, _ = listener.accept()
                with contextlib.suppress(OSError, ssl.SSLError):
                    connection = context.wrap_socket(raw, server_side=True) if context else raw
                    with connection:
                        connection.recv(65536)
                        connection.sendall(content)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


PORTAL = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 7\r\nConnection: close\r\n\r\n<html/>"
BUSY = b"HTTP/1.1 503 X\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
MISSING = b"HTTP/1.1 404 X\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def test_nobody_listens():
    assert "There is no connection to 127.0.0.1:9 (Connection refused)" in no_way("http://127.0.0.1:9/api/v2")


def test_a_name_that_nobody_knows():
    said = no_way("https://flash.invalid/api/v2")
    assert said.startswith("The name flash.invalid is not known here.")
    assert "give its address as proxy" in said


def test_a_proxy_that_is_not_there():
    said = no_way("https://flash.example.com/api/v2", proxy="http://127.0.0.1:9")
    assert "no connection to the proxy 127.0.0.1:9" in said
    assert "Check the address of the proxy" in said


def test_a_proxy_that_lets_nobody_through():
    with answering(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as port:
        said = no_way("https://flash.example.com/api/v2", proxy=f"http://127.0.0.1:{port}")
    assert "does it want a user and a password?" in said


def test_a_log_in_page_is_not_flash():
    with answering(PORTAL) as port:
        said = no_way(f"http://127.0.0.1:{port}/api/v2")
    assert "is not Flash (status 200)" in said
    assert "sign in first" in said


def test_a_flash_that_is_not_well():
    with answering(BUSY) as port:
        assert "Flash cannot answer now (status 503)" in no_way(f"http://127.0.0.1:{port}/api/v2")


def test_another_api_is_not_flash():
    with answering(MISSING) as port:
        assert "does not know Flash's calls. Check base_url" in no_way(f"http://127.0.0.1:{port}/api/v2")


def test_a_certificate_that_nobody_trusts():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    with answering(BUSY, context) as port:
        said = no_way(f"https://localhost:{port}/api/v2")
    assert "its certificate is not trusted" in said
    assert "give its authority's certificate as ca_file" in said


def test_with_its_authority_it_is_trusted(tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with answering(BUSY, context) as port:
        assert "status 503" in no_way(f"https://localhost:{port}/api/v2", ca_file=str(tmp_path / "ca.pem"))


def test_a_flash_that_asks_to_slow_down_is_asked_once_more(flash, look, monkeypatch):
    monkeypatch.setattr(examine, "PATIENCE_S", 1.5)
    flash.set(rate_limit=2, rate_window_s=1.5)
    assert look().writes
    flash.set(rate_limit=1, rate_window_s=3600.0)
    with pytest.raises(NoWayError, match="status 429"):
        look()


def test_without_a_check_nothing_is_asked(find):
    found = find(base_url="http://127.0.0.1:9/api/v2", store_id="st_7", unchecked=True)
    assert (found.store_id, found.notes) == ("st_7", ("Flash was not asked: keys and store are unchecked.",))
    with pytest.raises(AgentError, match="without a check give its store_id"):
        find(store_external_id="0018", unchecked=True)
