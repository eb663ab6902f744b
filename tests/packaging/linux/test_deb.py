"""The Debian package on a Debian that has no Python, under its own systemd."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.packaging.linux.conftest import PROGRAM, ROOT
from tests.packaging.linux.machine import UNIT, Machine
from tests.packaging.linux.till import CONFIG, DATA, Till
from tests.support.agents import WRITE_KEY
from tests.support.strict_flash import StrictFlash

WORST_EXPOSURE = 1.6  # of systemd-analyze security, 0 to 10; measured 1.2
QUEUED = 1000
PENDING = [f"order-{number}" for number in range(QUEUED)]

THIEF = """
import os, socket, sys
os.setuid(65534)
own = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens", flush=True)
print(own.accept()[0].recv(65536), flush=True)
"""


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.05)


def test_lintian_has_nothing_to_say(package: Path):
    done = subprocess.run(["lintian", "--allow-root", str(package)], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_unit_is_sound_and_shut_in():
    unit = ROOT / "installer/linux/files/flash-agent.service"
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        check=False,
        capture_output=True,
        text=True,
    )
    found = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)
    assert found, done.stdout + done.stderr
    print(f"exposure {found[1]}")
    assert float(found[1]) <= WORST_EXPOSURE


def test_it_installs_where_no_systemd_runs_and_says_what_is_next(machine: Machine, package: Path):
    said = machine.install(package).stdout
    assert "run  sudo flash-agent setup" in said
    assert machine.run("flash-agent", "--version").stdout.startswith("flash-agent ")
    assert machine.run("systemd-analyze", "verify", "--man=no", UNIT).stdout == ""
    stats = machine.run("stat", "-c", "%U:%G %a %s %n", "/etc/flash-agent/credentials/flash-agent.key", f"/{DATA}")
    assert stats.stdout.splitlines() == [
        "root:root 600 48 /etc/flash-agent/credentials/flash-agent.key",
        f"flash-agent:flash-agent 700 {(machine.root / DATA).stat().st_size} /{DATA}",
    ]
    assert machine.run("dpkg", "--verify", "flash-pos-agent").stdout == ""
    assert "flash-agent run" in machine.run("bash", "-c", "zcat /usr/share/man/man1/flash-agent.1.gz").stdout.replace(
        "\\", ""
    )
    page = machine.run("cat", "/usr/share/doc/flash-pos-agent/docs/spool.md").stdout  # that a finding's mend names
    assert page == (ROOT / "docs/spool.md").read_text()
    complete = "source /usr/share/bash-completion/completions/flash-agent; complete -p flash-agent"
    assert "flash_agent" in machine.run("bash", "-c", complete).stdout


def test_a_till_sells_from_its_first_start_and_what_it_keeps_is_sealed(till: Till, flash: StrictFlash):
    machine = till.machine
    till.sell("90871")
    until(lambda: flash.awards["90871"] == 1)
    assert till.status["dataKey"]["protectedBy"] == "credentials"
    assert machine.show("StatusText") == f"listens on http://127.0.0.1:{till.port}"
    assert machine.run("systemctl", "is-enabled", UNIT).stdout.strip() == "enabled"
    assert "protectedBy" in machine.run("flash-agent", "status", "--json").stdout
    maps = machine.run("cat", f"/proc/{machine.show('MainPID')}/maps").stdout
    libraries = {line.split()[-1] for line in maps.splitlines() if "libsqlite3" in line}
    assert libraries == {f"/usr/lib/flash-agent/versions/{till.version}/_internal/libsqlite3.so.0"}


def test_setup_makes_of_a_new_machine_a_till_that_sells_and_doctor_finds_it_sound(unset: Till, flash: StrictFlash):
    machine = unset.machine
    answers = machine.root / "root/answers.toml"
    answers.write_text(
        f'base_url = "{flash.base_url}"\nwrite_key = "{WRITE_KEY}"\nstore_id = "st_1"\ntill_id = "till-1"\n'
        f'currency = "EUR"\nport = {unset.port}\norder_numbers = "unique"\n'
    )
    answers.chmod(0o600)
    machine.run("flash-agent", "setup", "--from", "/root/answers.toml")
    assert machine.show("ActiveState") == "active"
    assert machine.run("stat", "-c", "%U:%G %a", "/etc/flash-agent/agent.toml").stdout == "root:flash-agent 640\n"
    assert WRITE_KEY not in (machine.root / "etc/flash-agent/agent.toml").read_text()
    unset.sell("90871")
    until(lambda: flash.awards["90871"] == 1)
    assert ": 0 errors" in machine.run("flash-agent", "doctor").stdout


def test_the_frozen_sandbox_takes_a_sale(machine: Machine, package: Path):
    machine.install(package)
    with machine.booted():
        story = machine.run("flash-agent", "demo", "--once").stdout
    assert "Both sides agree" in story


def test_a_loop_that_stands_still_is_killed_and_starts_again(till: Till):
    machine = till.machine
    quick = machine.root / "etc/systemd/system/flash-agent.service.d/quick.conf"
    quick.parent.mkdir(parents=True)
    quick.write_text("[Service]\nWatchdogSec=2\nRestartSec=0\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    before = machine.show("MainPID")
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGSTOP", UNIT)
    until(lambda: machine.show("MainPID") not in {"0", before} and machine.show("ActiveState") == "active")
    assert "watchdog" in machine.log().lower()
    assert till.sell("90871")["status"]


def test_doctor_says_why_the_service_does_not_start_where_root_could(till: Till):
    machine = till.machine
    key = machine.root / "root/flash.key"
    key.write_text(WRITE_KEY)
    key.chmod(0o600)
    config = machine.root / CONFIG
    config.write_text(config.read_text().replace(f'write_key = "{WRITE_KEY}"', 'write_key_file = "/root/flash.key"'))
    machine.run("systemctl", "restart", UNIT, check=False)
    said = " ".join(machine.run("flash-agent", "doctor", "--offline", check=False).stdout.split())
    assert "It said last: [flash] write_key_file /root/flash.key cannot be read: Permission denied." in said
    assert "account: The service does not see what the settings name: [flash] write_key_file, /root/flash.key." in said
    assert machine.run("flash-agent", "config", "check", check=False).returncode == 2
    (machine.root / "etc/flash-agent/flash.key").write_text(WRITE_KEY)
    machine.run("chmod", "0600", "/etc/flash-agent/flash.key")
    config.write_text(config.read_text().replace("/root/flash.key", "/etc/flash-agent/flash.key"))
    said = machine.run("flash-agent", "config", "check", check=False).stdout
    assert "may not read: [flash] write_key_file, /etc/flash-agent/flash.key (flash-agent)." in said
    machine.run("chown", "root:flash-agent", "/etc/flash-agent/flash.key")
    machine.run("chmod", "0640", "/etc/flash-agent/flash.key")
    assert "The configuration can be used" in machine.run("flash-agent", "config", "check").stdout


def test_a_spool_folder_is_the_services_once_its_unit_names_it(unset: Till, flash: StrictFlash):
    """And config check knows both beforehand."""
    machine = unset.machine
    unset.configure(flash.base_url, WRITE_KEY)
    machine.run("install", "-d", "-o", "root", "-g", "flash-agent", "-m", "2770", "/srv/spool")
    config = machine.root / CONFIG
    config.write_text(config.read_text() + '[spool]\nsettle_s = 0.1\n[spool.folders]\ncanonical = "/srv/spool"\n')
    outside = "keeps it from writing into a spool folder: canonical, /srv/spool."
    assert outside in machine.run("flash-agent", "config", "check").stdout
    machine.run("systemctl", "start", UNIT)
    until(lambda: "spool-unusable" in {each["code"] for each in unset.status["conditions"]})
    drop_in = machine.root / "etc/systemd/system/flash-agent.service.d/spool.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nReadWritePaths=-/srv/spool\n")
    machine.run("systemctl", "daemon-reload")
    assert "spool" not in machine.run("flash-agent", "config", "check").stdout.partition("warning:")[2]
    machine.run("systemctl", "restart", UNIT)
    sale = {"externalOrderId": "1", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 1}
    line = json.dumps({"kind": "sale", "place": "line 1", "document": sale})
    (machine.root / "srv/spool/a.jsonl").write_text(f"{line}\n")
    until(lambda: any((machine.root / "srv/spool/done").rglob("a.jsonl")))


def test_a_killed_agents_port_gets_no_key(till: Till):
    machine = till.machine
    (machine.root / "etc/systemd/system/flash-agent.service.d").mkdir(parents=True)
    (machine.root / "etc/systemd/system/flash-agent.service.d/never.conf").write_text("[Service]\nRestart=no\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", UNIT)
    until(lambda: machine.show("ActiveState") == "failed")
    thief = subprocess.Popen(["python3", "-c", THIEF, str(till.port)], stdout=subprocess.PIPE, text=True)
    with thief:
        assert thief.stdout is not None
        assert thief.stdout.readline() == "listens\n"
        refused = machine.run("sh", "-c", f"echo {WRITE_KEY}9 | flash-agent keys set write", check=False)
        assert "Another user's program listens" in refused.stdout
        assert thief.stdout.readline() == "b''\n"


def test_kills_and_upgrades_with_a_thousand_queued(till: Till, flash: StrictFlash, newer: Path, broken: Path):
    machine = till.machine
    flash.stop()
    till.sell_many(PENDING)
    killed = machine.show("MainPID")
    machine.run("systemctl", "kill", "--kill-whom=main", "--signal=SIGKILL", UNIT)
    until(lambda: machine.show("MainPID") not in {"0", killed} and machine.show("ActiveState") == "active")
    assert till.status["pending"] == QUEUED

    machine.install(newer)
    assert till.version == "0.1.0-2"
    assert till.runs_from == Path("/usr/lib/flash-agent/versions/0.1.0-2/flash-agent")
    assert till.status["pending"] == QUEUED

    failed = machine.install(broken, check=False)
    assert failed.returncode != 0
    assert "version 0.1.0-3 did not get ready; 0.1.0-2 runs again, with its queue" in failed.stdout
    assert till.version == "0.1.0-2"
    assert till.status["pending"] == QUEUED
    said = machine.run("flash-agent", "doctor", "--offline", check=False).stdout
    assert "did not come to its end: version 0.1.0-3 is half-configured." in " ".join(said.split())

    flash.start()
    until(lambda: sum(flash.awards.values()) == QUEUED, 120)
    assert flash.awards == dict.fromkeys(PENDING, 1)
    assert not flash.violations


def test_an_upgrade_killed_anywhere_leaves_a_whole_version(machine: Machine, same: Path, newer: Path):
    home = machine.root / "usr/lib/flash-agent"
    whole = sorted(each.relative_to(PROGRAM) for each in PROGRAM.rglob("*"))
    moments: list[Callable[[], bool]] = [
        lambda: any(home.glob("program/*.dpkg-new")),
        lambda: any(home.glob("versions/.new.*")),
        (home / "versions/0.1.0-2").exists,
        lambda: (home / "current").readlink().name == "0.1.0-2",
    ]
    for moment in moments:
        machine.install(same)
        shutil.rmtree(home / "versions/0.1.0-2", ignore_errors=True)
        upgrade = machine.start("dpkg", "--install", f"/root/{machine.bring(newer)}")
        while upgrade.poll() is None and not moment():
            pass
        os.killpg(upgrade.pid, signal.SIGKILL)
        assert upgrade.wait() == -signal.SIGKILL
        assert machine.run("flash-agent", "--version").stdout.startswith("flash-agent ")
        current = home / (home / "current").readlink()
        assert sorted(each.relative_to(current) for each in current.rglob("*")) == whole
        machine.install(newer)
        assert (home / "current").readlink().name == "0.1.0-2"


def test_a_downgrade_goes_on_with_what_is_queued(till: Till, flash: StrictFlash, same: Path, newer: Path):
    machine = till.machine
    flash.stop()
    till.sell("90871")
    machine.install(newer)
    machine.install(same)
    assert till.version == "0.1.0-1"
    assert till.status["pending"] == 1


def test_removal_keeps_the_queue_and_purging_says_what_it_deletes(till: Till, flash: StrictFlash, package: Path):
    machine = till.machine
    flash.stop()
    till.sell("90871")
    said = machine.run("dpkg", "--remove", "flash-pos-agent").stdout
    assert f"the queue and the keys stay in /{DATA}" in said
    assert not (machine.root / "usr/lib/flash-agent").exists()

    machine.install(package)
    assert till.status["pending"] == 1

    (machine.root / DATA / "odd\x1b[31m\nname").touch()  # whoever owns a directory names what is in it
    said = machine.run("dpkg", "--purge", "flash-pos-agent").stdout
    assert r"odd\033[31m\nname" in said
    assert re.search(rf"deletes /{DATA} \(\S+\): .*agent\.db", said)
    assert "deletes /etc/flash-agent" in said
    assert not (machine.root / DATA).exists()
    assert not (machine.root / "etc/flash-agent").exists()
