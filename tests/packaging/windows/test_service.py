"""The service and its registration: what each verb leaves in Windows' registry, and what failures say."""

import os
import subprocess
from pathlib import Path

import pytest

from installer.windows import build
from installer.windows.wine import windows_path
from tests.packaging.windows.till import Till, timed

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def exe(till: Till, program: Path):
    """`flash-agent …` in the till's Windows, from where it was built."""

    def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return till.wine.run(program / "flash-agent.exe", *words, check=check)

    yield run
    run("service", "uninstall")
    (till.data / "agent.toml").unlink(missing_ok=True)


def test_the_verbs_come_and_go_without_a_trace(till: Till, exe) -> None:
    assert exe("service", "state").stdout.strip() == "absent"
    missing = exe("service", "start", check=False)
    assert missing.returncode == 1
    assert "flash-agent service install makes it" in missing.stdout

    exe("service", "install")
    assert till.registration["Start"] == "0x2"
    assert till.registration["Description"].startswith("Takes this till's sales")
    exe("service", "install")  # again: brought up to date
    assert till.image_path.endswith(r"\flash-agent.exe")
    exe("service", "uninstall")
    assert till.registration == {}
    exe("service", "uninstall")


@pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")
def test_a_configuration_that_another_user_laid_down_gets_no_service(till: Till, exe) -> None:
    till.configure("https://elsewhere.example/api/v2", "fl_live_write_0123456789")
    os.chown(till.data / "agent.toml", 65534, 65534)  # Wine: not this user's, so nobody's
    refused = exe("service", "install", check=False)
    assert refused.returncode in {1, 2}
    assert "agent.toml belongs to S-1-5-7, not to administrators" in refused.stdout
    assert "/setowner" in refused.stdout
    assert till.registration == {}


def test_settings_are_checked_with_the_eyes_of_the_service(till: Till, exe) -> None:
    """An administrator may read everything, and has the drives that he mapped."""
    till.configure("https://elsewhere.example/api/v2", "fl_live_write_0123456789")
    assert "The configuration can be used" in exe("config", "check").stdout

    key, spool = till.wine.drive / "read.key", till.wine.drive / "spool"
    key.write_text("fl_live_read_0123456789")
    spool.mkdir(mode=0o777)
    spool.chmod(0o777)
    (till.wine.prefix / "dosdevices" / "y:").symlink_to(spool)
    till.wine.run("reg", "add", r"HKLM\Software\Wine\Drives", "/v", "y:", "/d", "network", "/f")
    with (till.data / "agent.toml").open("a") as settings:
        settings.write("[spool.folders]\nposlog = 'C:\\spool'\n")
    assert "a spool folder" not in exe("config", "check").stdout
    spool.chmod(0o755)
    closed = exe("config", "check").stdout
    assert r"cannot use a spool folder: poslog, C:\spool: it may not read, write and delete there" in closed
    mapped = (till.data / "agent.toml").read_text().replace(r"C:\spool", r"Y:\in")
    (till.data / "agent.toml").write_text(mapped)
    assert r"does not have the drive on which a spool folder lies: poslog, Y:\in" in exe("config", "check").stdout

    (till.data / "agent.toml").write_text(mapped.replace("[store]", r"read_key_file = 'C:\read.key'" + "\n[store]"))
    key.chmod(0o600)
    refused = exe("config", "check", check=False)
    assert refused.returncode == 2
    assert r"account may not read: [flash] read_key_file, C:\read.key (NT SERVICE\FlashAgent)" in refused.stdout


def test_a_start_that_fails_is_said_with_the_place_of_the_reason(till: Till, exe) -> None:
    till.data.mkdir(parents=True, exist_ok=True)
    (till.data / "agent.toml").write_text("[api]\nprot = 8455\n")
    exe("service", "install")
    failed = exe("service", "start", check=False)
    assert failed.returncode == 1
    assert r"logs\agent.log" in failed.stdout
    assert exe("service", "state").stdout.strip() == "stopped"
    assert "unknown setting [api] prot" in till.log()


_ENDED_WITH = """
import win32service as service
manager = service.OpenSCManager(None, None, service.SC_MANAGER_CONNECT)
opened = service.OpenService(manager, "FlashAgent", service.SERVICE_QUERY_STATUS)
print("ended with", service.QueryServiceStatus(opened)[3])
"""


def test_a_stop_that_was_asked_for_is_no_failure_whatever_went_wrong(till: Till, exe) -> None:
    """Or Windows' recovery actions would start again what somebody has stopped."""
    till.configure("http://127.0.0.1:9/api/v2", "fl_live_write_0123456789")
    exe("service", "install")
    exe("service", "start")
    about = till.data / "agent.json"
    about.unlink()
    about.mkdir()
    try:
        exe("service", "stop")
        assert f"flash-agent listens on http://127.0.0.1:{till.port}" in till.log()
        assert "PermissionError" in till.log()  # it did go wrong
    finally:
        about.rmdir()
    python = build.CACHE / "python" / "python.exe"
    assert till.wine.run(python, "-c", _ENDED_WITH).stdout.split() == ["ended", "with", "0"]


_DISABLED = """
import win32service as service
manager = service.OpenSCManager(None, None, service.SC_MANAGER_CONNECT)
opened = service.OpenService(manager, "FlashAgent", service.SERVICE_CHANGE_CONFIG)
keep = service.SERVICE_NO_CHANGE
service.ChangeServiceConfig(
    opened, keep, service.SERVICE_DISABLED, keep, None, None, False, None, None, None, None
)
"""


def test_a_service_that_was_disabled_says_how_it_is_enabled(till: Till, exe) -> None:
    exe("service", "install")
    till.wine.run(build.CACHE / "python" / "python.exe", "-c", _DISABLED)
    refused = exe("service", "start", check=False)
    assert refused.returncode == 1
    assert "(error 1058). It was disabled; flash-agent service install enables it." in refused.stdout


def test_the_demo_comes_out_as_told_in_the_packed_program(exe) -> None:
    with timed("demo --once"):
        told = exe("demo", "--once", check=False)
    assert told.returncode == 0, told.stdout


_ERROR_MODE = """
import asyncio, msvcrt, sys
sys.path.insert(0, sys.argv[1])
from agent.cli import process

async def nothing() -> int:
    return 0

process.run(nothing())
print("mode", msvcrt.GetErrorMode() & 0x8003)
"""


def test_a_crash_is_not_collected(till: Till) -> None:
    """What Windows would write down, and may send away, holds keys and customers' data."""
    python, source = build.CACHE / "python" / "python.exe", windows_path(build.ROOT)
    assert "mode 32771" in till.wine.run(python, "-c", _ERROR_MODE, source).stdout


def test_only_windows_starts_the_host(exe) -> None:
    started = exe("service", "host", check=False)
    assert started.returncode == 1
    assert "flash-agent service start" in started.stdout


def test_browsers_policies_are_added_to_and_only_ours_are_taken_out(till: Till, exe) -> None:
    key = r"HKLM\Software\Policies\Google\Chrome\LoopbackNetworkAllowedForUrls"
    till.wine.run("reg", "add", key, "/v", "1", "/d", "https://theirs.example", "/f")
    exe("browsers", "allow", "https://pos.example.com")
    exe("browsers", "allow", "https://pos.example.com", "https://theirs.example")
    listed = till.wine.run("reg", "query", key).stdout
    assert listed.count("https://pos.example.com") == 1
    for browser in (r"Google\Chrome", r"Microsoft\Edge"):
        for policy in ("LoopbackNetworkAllowedForUrls", "LocalNetworkAccessAllowedForUrls"):
            shown = till.wine.run("reg", "query", rf"HKLM\Software\Policies\{browser}\{policy}").stdout
            assert "https://pos.example.com" in shown, (browser, policy)
    assert "https://pos.example.com" in exe("browsers", "remove").stdout
    listed = till.wine.run("reg", "query", key).stdout
    assert "pos.example.com" not in listed
    assert "https://theirs.example" in listed
    assert "nothing of ours" in exe("browsers", "remove").stdout


_CLOSED = """
import sys, win32api, win32con, win32security as security
everyone = security.ConvertStringSidToSid("S-1-1-0")
listed = security.ACL()
if sys.argv[2] == "closed":
    listed.AddAccessDeniedAce(security.ACL_REVISION, win32con.KEY_SET_VALUE, everyone)
listed.AddAccessAllowedAce(security.ACL_REVISION, win32con.KEY_ALL_ACCESS, everyone)
described = security.SECURITY_DESCRIPTOR()
described.SetSecurityDescriptorDacl(1, listed, 0)
rights = win32con.WRITE_DAC | win32con.KEY_WOW64_64KEY
key, _ = win32api.RegCreateKeyEx(win32con.HKEY_LOCAL_MACHINE, sys.argv[1], rights)
win32api.RegSetKeySecurity(key, security.DACL_SECURITY_INFORMATION, described)
"""


def test_a_policy_that_is_closed_keeps_none_of_the_others_from_being_written_and_taken_out(till: Till, exe) -> None:
    chrome = r"SOFTWARE\Policies\Google\Chrome\LoopbackNetworkAllowedForUrls"
    edge = r"SOFTWARE\Policies\Microsoft\Edge\LocalNetworkAccessAllowedForUrls"

    def access(path: str, to: str) -> None:
        till.wine.run(build.CACHE / "python" / "python.exe", "-c", _CLOSED, path, to)

    def shown(path: str) -> str:
        return till.wine.run("reg", "query", rf"HKLM\{path}", check=False).stdout

    access(chrome, "closed")
    refused = exe("browsers", "allow", "https://pos.example.com", check=False)
    assert refused.returncode == 1
    assert rf"Windows refuses to have this changed: HKLM\{chrome}. Run this as an administrator" in refused.stdout
    assert "pos.example.com" not in shown(chrome)
    assert "pos.example.com" in shown(edge)

    access(chrome, "open")
    access(edge, "closed")
    assert rf"HKLM\{edge}. Run" in exe("browsers", "remove", check=False).stdout
    assert "pos.example.com" in shown(edge)
    access(edge, "open")
    assert "Taken out: https://pos.example.com." in exe("browsers", "remove").stdout
    assert "pos.example.com" not in shown(edge)
    assert "Unable to find" in shown(r"SOFTWARE\Flash POS Agent")
