"""`flash-agent doctor` in real processes: what is wrong is named, by its own name and by no other."""

import dataclasses
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import trustme

from tests.contract.test_full_disk import fill, small_disk  # noqa: F401 - a fixture
from tests.support.agents import WRITE_KEY, agent_process, strict_flash
from tests.support.certificates import Certificates
from tests.support.commands import call, environment, flash_agent, post
from tests.support.damage import break_leaves
from tests.support.fronts import proxy, tls_server
from tests.support.strict_flash import READ_KEY

pytestmark = pytest.mark.e2e

TEMPLATE = "{store_id}-{till_id}-{business_date}-{external_order_id}"
# What this machine may have, whatever is tested: none is an error, and none is what a case is about.
OF_THE_MACHINE = {"disk-in-memory", "disk-slow", "disk-low", "files-slow", "files-held"}
HOST = "flash.example.com"
IN_ORDER = {
    "configuration", "permissions", "agent", "version", "upgrade", "port", "disk", "antivirus", "database", "dns",
    "network", "tls", "flash", "clock", "key", "scopes", "store", "limit", "conditions",
}  # fmt: skip
TROUBLE = ("error", "warning")


class Till:
    """The settings of one till, for its agent and its doctor alike."""

    def __init__(self, folder, base_url):
        self.data = folder / "data"
        self.settings = {
            "FLASH_AGENT_FLASH__BASE_URL": base_url,
            "FLASH_AGENT_FLASH__WRITE_KEY": WRITE_KEY,
            "FLASH_AGENT_STORE__STORE_ID": "st_1",
            "FLASH_AGENT_API__PORT": "0",
            "FLASH_AGENT_ORDERS__ID_TEMPLATE": TEMPLATE,
            "FLASH_AGENT_RELAY__START_JITTER_S": "0",
            "FLASH_AGENT_RELAY__HOLD_PROBE_S": "3600",
        }

    def set(self, **settings):
        self.settings |= {f"FLASH_AGENT_{name}": str(value) for name, value in settings.items()}

    def agent(self):
        return agent_process(self.data, self.settings["FLASH_AGENT_FLASH__BASE_URL"], **self.settings)

    def doctor(self, *arguments):
        begun = time.monotonic()
        done = flash_agent("doctor", "--json", "--data-dir", self.data, *arguments, **self.settings)
        assert done.stderr == "", done.stderr
        return Seen(done.returncode, json.loads(done.stdout), time.monotonic() - begun)


@dataclasses.dataclass
class Seen:
    code: int
    document: dict
    took_s: float

    def codes(self, *severities):
        found = {each["code"] for each in self.document["findings"] if each["severity"] in severities}
        return found - OF_THE_MACHINE

    @property
    def trouble(self):
        return self.codes(*TROUBLE)

    def __getitem__(self, code):
        (found,) = (each for each in self.document["findings"] if each["code"] == code)
        return found


@pytest.fixture
def flash():
    with strict_flash() as running:
        running.add_key(READ_KEY, "t1", "read")
        yield running


@pytest.fixture(scope="module")
def certificates():
    return Certificates.make()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sells(agent, count):
    for number in range(count):
        sale = {"externalOrderId": f"o{number}", "businessDate": "2026-11-25", "totalAmount": 1}
        post(agent, "sales", {**sale, "customer": {"externalId": "POS-CUST-5512"}})


# ---- a healthy till -------------------------------------------------------------------------------------------------


def test_a_healthy_till_is_said_to_be_one(tmp_path, flash, certificates):
    """Over TLS, with a store that Flash shows: everything is in order, and nothing came about at Flash."""
    till = Till(tmp_path, "")
    certificates.authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with tls_server((flash.host, flash.port), certificates.trusted) as front:
        till.set(FLASH__BASE_URL=f"https://localhost:{front.port}/api/v2", FLASH__CA_FILE=tmp_path / "ca.pem")
        with till.agent():
            seen = till.doctor()
            again = flash_agent("doctor", "--data-dir", till.data, **till.settings)
    assert seen.trouble == set()
    assert seen.codes("note") <= {"service-absent", "service-unknown"}
    assert seen.codes("ok") - {"service-ok"} == {f"{check}-ok" for check in IN_ORDER}
    assert seen.code == again.returncode == 0
    assert seen.document["complete"]
    assert "trustme" in seen["tls-ok"]["title"]
    assert len(again.stdout.splitlines()) <= 30
    assert flash.effects == []
    assert {each.request.key[:7] for each in flash.requests if each.request.write} == {"doctor-"}


def test_without_an_agent_the_same_is_found_by_the_doctor_itself(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent():
        pass
    seen = till.doctor()
    assert seen.trouble == {"agent-absent"}
    assert seen.code == 1
    assert seen.codes("ok") >= {"key-ok", "scopes-ok", "store-ok", "clock-ok", "flash-ok", "database-ok", "port-ok"}
    assert flash.effects == []


# ---- what is wrong with the way to Flash -----------------------------------------------------------------------------


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


# ---- what is wrong on the till ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("alone", [False, True], ids=["agent", "alone"])
def test_a_full_disk_is_named(tmp_path, flash, small_disk, alone):  # noqa: F811
    till = Till(small_disk, flash.base_url)
    with till.agent() as agent:
        if alone:
            agent.end(signal.SIGTERM)
        fill(small_disk)
        if not alone:
            with pytest.raises(AssertionError, match="storage-full"):  # the agent finds out, and says so to a register
                sells(agent, 2000)
        seen = till.doctor()
    assert seen.trouble == {"disk-full"} | ({"agent-absent"} if alone else set())
    assert "are free" in seen["disk-full"]["title"]
    assert seen.code == 1


def test_a_taken_port_is_named_with_who_has_it(tmp_path, flash):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        till = Till(tmp_path, flash.base_url)
        till.set(API__PORT=port)
        seen = till.doctor()
    assert seen.trouble == {"port-taken", "agent-absent"}
    assert f"{port} by " in seen["port-taken"]["title"]
    assert f"(process {os.getpid()})" in seen["port-taken"]["title"]


def test_settings_that_cannot_be_used_are_named_and_the_rest_is_still_looked_at(tmp_path):
    till = Till(tmp_path, "https://flash.example.com/api/v2")
    till.set(API__PORTT=1)
    seen = till.doctor()
    assert seen.trouble == {"config-unusable", "agent-absent"}
    assert "FLASH_AGENT_API__PORTT" in seen["config-unusable"]["title"]
    assert seen.code == 1


def test_an_agent_that_hangs_is_named(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent() as agent:
        agent.process.send_signal(signal.SIGSTOP)
        try:
            seen = till.doctor()
        finally:
            agent.process.send_signal(signal.SIGCONT)
    assert seen.trouble == {"agent-silent"}
    assert seen.took_s < 20


def test_a_killed_agent_is_absent_and_its_database_whole(tmp_path, flash):
    """Its log is not copied into the database: the doctor reads a copy, and leaves everything as it is."""
    till = Till(tmp_path, flash.base_url)
    with till.agent() as agent:
        sells(agent, 20)
        agent.kill()
    assert (till.data / "agent.db-wal").stat().st_size > 0
    before = state(till.data)
    seen = till.doctor()
    assert seen.trouble == {"agent-absent"}
    assert sum(seen["database-ok"]["details"]["operations"].values()) == 20
    assert state(till.data) == before


def test_a_damaged_database_is_named_and_left_as_it_is(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent() as agent:
        sells(agent, 200)
        agent.end(signal.SIGTERM)
    assert break_leaves(till.data / "agent.db", 3) == 3
    before = state(till.data)
    seen = till.doctor()
    assert seen.trouble == {"database-damaged", "agent-absent"}
    assert state(till.data) == before
    with till.agent():
        assert till.doctor().trouble == {"database-quarantined"}


def state(folder):
    """Every file with its content and times, but for the folder's own, where the doctor made and removed its files."""
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir() if path.is_file()}


def test_what_others_can_read_is_named(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent():
        pass
    till.data.chmod(0o755)
    (till.data / "data.key").chmod(0o644)
    (till.data / "register.token").chmod(0o640)
    seen = till.doctor()
    assert seen.trouble == {"data-dir-open", "key-file-open", "token-file-open", "agent-absent"}
    assert "data.key" in seen["key-file-open"]["title"]
    assert "0755" in seen["data-dir-open"]["title"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="giving files away needs root")
def test_files_of_another_account_are_named(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent():
        pass
    os.chown(till.data / "agent.db", 65534, 65534)
    assert "foreign-owner" in till.doctor().trouble


def test_in_a_drill_nothing_leaves_the_till(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    with till.agent() as agent:
        assert flash_agent("drill", "start", "--data-dir", till.data).returncode == 0
        before = len(flash.requests)
        seen = till.doctor()
        assert len(flash.requests) == before
        assert seen.trouble == set()
        assert "outage-drill" in seen.codes("note")
        token = (till.data / "operator.token").read_text()
        status, said = call("GET", f"http://127.0.0.1:{agent.port}/v1/diagnostics", token)
        assert (status, said["calls"], said["keptOff"]) == (200, [], {"write": "drill", "read": "drill"})


def test_offline_leaves_the_network_alone(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    seen = till.doctor("--offline")
    assert seen.trouble == {"agent-absent"}
    assert "offline" in seen.codes("note")
    assert list(flash.requests) == []


def test_wrong_usage_is_exit_code_two():
    assert flash_agent("doctor", "--online").returncode == 2


def test_a_person_reads_the_gravest_first(tmp_path, flash):
    till = Till(tmp_path, flash.base_url)
    till.set(ORDERS__ID_TEMPLATE="{external_order_id}")
    flash.revoke(WRITE_KEY)
    with till.agent():
        done = flash_agent("doctor", "--data-dir", till.data, **till.settings)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("error", "warning", "note", "ok"))]
    assert lines[0].startswith("error: key: Flash does not take the write key")
    assert [line.split()[0].rstrip(":") for line in lines] == sorted(
        (line.split()[0].rstrip(":") for line in lines), key=["error", "warning", "note", "ok"].index
    )
    assert done.returncode == 1


def test_two_doctors_at_once_ask_flash_once(tmp_path, flash):
    """The agent's diagnosis is good for a while, so that a script that asks every second troubles nobody."""
    till = Till(tmp_path, flash.base_url)
    with till.agent() as agent:
        token = (till.data / "operator.token").read_text()
        url = f"http://127.0.0.1:{agent.port}/v1/diagnostics"
        first = call("GET", url, token)[1]
        asked = len(flash.requests)
        assert call("GET", url, token)[1]["askedAt"] == first["askedAt"]
        assert len(flash.requests) == asked
        assert call("GET", url, (till.data / "register.token").read_text())[0] == 403


def test_what_the_agent_tries_keeps_to_flashs_contract(tmp_path, flash):
    with Till(tmp_path, flash.base_url).agent() as agent:
        token = (agent.data_dir / "operator.token").read_text()
        status, said = call("GET", f"http://127.0.0.1:{agent.port}/v1/diagnostics", token)
    assert status == 200
    assert {each["verdict"] for each in said["calls"]} == {"allowed"}
    assert flash.violations == []
    assert flash.effects == []


def test_a_proxy_of_the_system_is_named_as_one_that_the_agent_does_not_use(tmp_path):
    till = Till(tmp_path, "https://no-such-host.invalid/api/v2")
    till.settings["HTTPS_PROXY"] = "http://till:secret@proxy.example.com:3128"
    seen = till.doctor()
    assert seen.trouble == {"dns-fails", "agent-absent"}
    assert seen["proxy-ignored"]["title"].endswith("proxy.example.com:3128.")
    assert "secret" not in json.dumps(seen.document)


AS_NOBODY = """
import concurrent.futures.thread, os, sys
import agent.doctor.running, agent.flash.transport, certifi, encodings.idna, httpcore._backends.anyio, psutil
from agent.cli import text
from agent.cli.commands import doctor
from agent.cli.main import main
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""  # what it imports it must not need later: the interpreter may lie where others may not look


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_an_account_that_may_not_look_is_told_so(flash):
    """What can be seen from there is still looked at; nothing is said about what cannot."""
    folder = Path(tempfile.mkdtemp(prefix="till-"))
    folder.chmod(0o755)
    try:
        till = Till(folder, flash.base_url)
        with till.agent():
            command = [sys.executable, "-c", AS_NOBODY, "doctor", "--json", "--data-dir", till.data]
            done = subprocess.run(
                command, env=environment(**till.settings), capture_output=True, text=True, check=False
            )
    finally:
        shutil.rmtree(folder)
    seen = Seen(done.returncode, json.loads(done.stdout), 0)
    assert seen.trouble == {"data-dir-unreadable"}
    assert seen.codes("note") >= {"disk-unmeasured", "database-unread", "agent-unseen"}
    assert seen.codes("ok") >= {"configuration-ok", "flash-ok", "key-ok"}
    assert not {"agent-absent", "agent-ok", "database-ok"} & seen.codes("error", "ok")
    assert done.stderr == ""
    assert (seen.code, seen.document["complete"]) == (3, False)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user")
def test_an_account_that_may_not_read_the_settings_is_told_so():
    """As on a till, whose folder of settings is closed: no fault of the settings, and none of the doctor's own."""
    folder = Path(tempfile.mkdtemp(prefix="till-"))
    folder.chmod(0o755)
    settings = folder / "closed" / "agent.toml"
    settings.parent.mkdir(mode=0o700)
    settings.write_text("")
    try:
        command = [sys.executable, "-c", AS_NOBODY, "doctor", "--json", "--config", settings, "--data-dir", folder]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(folder)
    seen = Seen(done.returncode, json.loads(done.stdout), 0)
    assert "config-unreadable" in seen.trouble
    assert not {"config-unusable", "check-crashed"} & seen.trouble
