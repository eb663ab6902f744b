"""What is wrong with the way to Flash is named by `flash-agent doctor`, by its own name and by no other."""

import json
import signal
import socket
import ssl

import pytest
import trustme

from tests.support.agents import WRITE_KEY, strict_flash
from tests.support.certificates import Certificates
from tests.support.doctoring import Till
from tests.support.fronts import proxy, tls_server
from tests.support.strict_flash import READ_KEY

pytestmark = pytest.mark.e2e

HOST = "flash.example.com"


@pytest.fixture
def flash():
    with strict_flash() as running:
        yield running


@pytest.fixture(scope="module")
def certificates():
    return Certificates.make()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def no_network(till, flash):
    flash.stop()


def no_such_host(till, flash):
    till.set(FLASH__BASE_URL="https://no-such-host.invalid/api/v2")


def wrong_key(till, flash):
    flash.revoke(WRITE_KEY)


def read_only_key(till, flash):
    till.set(FLASH__WRITE_KEY=READ_KEY)


def no_redemptions(till, flash):
    flash.deny(WRITE_KEY, "POST /coupons/{id}/redeem")


def wrong_read_key(till, flash):
    till.set(FLASH__READ_KEY="fl_live_nobody_knows_it")


def clock_an_hour_off(till, flash):
    flash.set(clock_skew=3600.0)


def clock_minutes_off(till, flash):
    flash.set(clock_skew=-300.0)


def captive_portal(till, flash):
    flash.fault("captive-portal")


def another_store(till, flash):
    till.set(STORE__STORE_ID="st_nowhere")


def called_too_often(till, flash):
    flash.set(rate_limit=1)


WRONG = [  # what is arranged, what is named, words in its title
    (no_network, {"network-unreachable"}, "Connection refused"),
    (no_such_host, {"dns-fails"}, "no-such-host.invalid"),
    (wrong_key, {"key-refused"}, "401"),
    (read_only_key, {"key-reads-only"}, "read-only key"),
    (no_redemptions, {"key-lacks-scopes"}, "POST /coupons/{id}/redeem"),
    (wrong_read_key, {"read-key-refused"}, "401"),
    (clock_an_hour_off, {"clock-wrong"}, "behind"),
    (clock_minutes_off, {"clock-skewed"}, "ahead"),
    (captive_portal, {"flash-not-flash"}, "text/html"),
    (another_store, {"store-unknown"}, "st_nowhere"),
    (called_too_often, {"rate-limited"}, ""),
]


BY_BOTH = {no_network, wrong_key, read_only_key, wrong_read_key, called_too_often}  # what the agent is asked for


@pytest.mark.parametrize(
    ("arrange", "named", "words", "alone"),
    [
        pytest.param(*row, alone, id=f"{row[0].__name__}-{'alone' if alone else 'agent'}")
        for row in WRONG
        for alone in (False, True)
        if not alone or row[0] in BY_BOTH
    ],
)
def test_what_is_wrong_is_named_and_nothing_else(tmp_path, flash, *, arrange, named, words, alone):
    till = Till(tmp_path, flash.base_url)
    arrange(till, flash)
    with till.agent() as agent:
        if alone:
            agent.end(signal.SIGTERM)
        seen = till.doctor()
    assert seen.trouble == named | ({"agent-absent"} if alone else set())
    (code,) = named
    assert words in seen[code]["title"]
    assert seen[code]["meaning"]
    assert seen[code]["mend"]
    assert seen.code == int(bool(seen.codes("error")))
    assert WRITE_KEY not in json.dumps(seen.document)
    assert flash.effects == []


@pytest.mark.parametrize(
    ("wrong", "code", "words"),
    [
        ("unknown authority", "tls-untrusted", "signed by trustme"),
        ("self-signed", "tls-self-signed", "localhost"),
        ("wrong host", "tls-wrong-host", "flash.example.com; signed by trustme"),
        ("expired", "tls-expired", "it is valid from"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_named_with_its_signer(
    tmp_path, flash, certificates, *, wrong, code, words
):
    till = Till(tmp_path, "")
    certificates.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with tls_server((flash.host, flash.port), certificates.wrong[wrong]) as front:
        till.set(FLASH__BASE_URL=f"https://localhost:{front.port}/api/v2", FLASH__CA_FILE=tmp_path / "ca.pem")
        with till.agent():
            seen = till.doctor()
    assert seen.trouble == {code}
    assert words in seen[code]["title"]
    assert list(flash.requests) == []


def inspecting(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    return context


def test_an_inspecting_proxy_is_named(tmp_path, flash):
    """Its authority is not trusted here: the key is said to nobody, and IT reads whose certificate it is."""
    authority = trustme.CA(organization_name="Zscaler Inc.")
    till = Till(tmp_path, f"https://{HOST}/api/v2")
    with proxy((flash.host, flash.port), inspecting(authority)) as front:
        till.set(FLASH__PROXY=f"http://till:secret@127.0.0.1:{front.port}")
        with till.agent():
            seen = till.doctor()
    assert seen.trouble == {"tls-untrusted"}
    assert "signed by Zscaler Inc." in seen["tls-untrusted"]["title"]
    assert seen["tls-untrusted"]["details"]["inspector"] == "Zscaler"
    assert "[flash] ca_file" in seen["tls-untrusted"]["mend"]
    assert set(front.asked) == {f"CONNECT {HOST}:443 HTTP/1.1"}
    assert list(flash.requests) == []
    assert "secret" not in json.dumps(seen.document)


def test_an_inspecting_proxy_that_the_till_trusts_is_a_note(tmp_path, flash):
    authority = trustme.CA(organization_name="Fortinet")
    authority.cert_pem.write_to_path(tmp_path / "store.pem")
    till = Till(tmp_path, f"https://{HOST}/api/v2")
    till.settings["SSL_CERT_FILE"] = str(tmp_path / "store.pem")  # as if IT had put it into the system's trust store
    with proxy((flash.host, flash.port), inspecting(authority)) as front:
        till.set(FLASH__PROXY=f"http://127.0.0.1:{front.port}")
        with till.agent():
            seen = till.doctor()
    assert seen.trouble == set()
    assert "signed by Fortinet" in seen["tls-inspected"]["title"]
    assert seen.codes("ok") >= {"key-ok", "scopes-ok", "clock-ok", "proxy-ok"}


@pytest.mark.parametrize(("status", "words"), [(407, "wants a log-in"), (403, "status 403")])
def test_a_proxy_that_refuses_is_named(tmp_path, flash, status, words):
    till = Till(tmp_path, f"https://{HOST}/api/v2")
    with proxy((flash.host, flash.port), status=status) as front:
        till.set(FLASH__PROXY=f"http://127.0.0.1:{front.port}")
        with till.agent():
            seen = till.doctor()
    assert seen.trouble == {"proxy-refuses"}
    assert words in seen["proxy-refuses"]["title"]


def test_an_address_that_speaks_no_tls_is_named(tmp_path, flash):
    seen = Till(tmp_path, f"https://localhost:{flash.port}/api/v2").doctor()
    assert seen.trouble == {"tls-fails", "agent-absent"}


def test_a_proxy_that_is_not_there_is_named(tmp_path):
    till = Till(tmp_path, f"https://{HOST}/api/v2")
    till.set(FLASH__PROXY=f"http://127.0.0.1:{free_port()}")
    seen = till.doctor()
    assert seen.trouble == {"proxy-unreachable", "agent-absent"}


def test_a_black_hole_does_not_keep_the_doctor(tmp_path):
    """A host that takes connections and never says a word: the run is bounded, and says so."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        till = Till(tmp_path, f"http://127.0.0.1:{silent.getsockname()[1]}/api/v2")
        with till.agent():
            seen = till.doctor()
    assert seen.trouble == {"network-unreachable"}
    assert "no answer in time" in seen["network-unreachable"]["title"]
    assert seen.took_s < 20


def test_a_proxy_of_the_system_is_named_as_one_that_the_agent_does_not_use(tmp_path):
    till = Till(tmp_path, "https://no-such-host.invalid/api/v2")
    till.settings["HTTPS_PROXY"] = "http://till:secret@proxy.example.com:3128"
    seen = till.doctor()
    assert seen.trouble == {"dns-fails", "agent-absent"}
    assert seen["proxy-ignored"]["title"].endswith("proxy.example.com:3128.")
    assert "secret" not in json.dumps(seen.document)
