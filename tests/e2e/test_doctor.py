"""`flash-agent doctor` in real processes: a healthy till, what is asked of Flash, and who may look."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.agents import WRITE_KEY, strict_flash
from tests.support.certificates import Certificates
from tests.support.commands import call, environment, flash_agent
from tests.support.doctoring import Seen, Till
from tests.support.fronts import tls_server

pytestmark = pytest.mark.e2e

IN_ORDER = {
    "configuration", "permissions", "agent", "version", "upgrade", "port", "disk", "antivirus", "database", "dns",
    "network", "tls", "flash", "clock", "key", "scopes", "store", "limit", "conditions",
}  # fmt: skip


@pytest.fixture
def flash():
    with strict_flash() as running:
        yield running


@pytest.fixture(scope="module")
def certificates():
    return Certificates.make()


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
    excused = {f"{check}-ok" for check in seen.of_the_machine}
    assert seen.codes("ok") - {"service-ok"} - excused == {f"{check}-ok" for check in IN_ORDER} - excused
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
