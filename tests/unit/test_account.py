"""The agent's own account sees less than root does, and the service less than its account: both are told."""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from agent.cli import main
from agent.config import Settings
from agent.doctor import account
from agent.doctor.case import Case
from agent.servicemanager.sandbox import sandbox_in

pytestmark = pytest.mark.skipif(os.name != "posix", reason="accounts and modes are POSIX's")
as_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can act as another user")
NOBODY = 65534
KEY = "fl_live_0123456789abcdef"
UNIT = """
LoadState=loaded
SupplementaryGroups=flash-spool
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
StateDirectory=flash-agent
ReadWritePaths=/srv/flash "-/srv/two words"
BindPaths=
BindReadOnlyPaths=/home/erp:/opt/erp
"""


pytestmark = pytest.mark.usefixtures("environ")


@pytest.fixture
def till():
    """A folder that everybody may enter, and a data directory that is another user's."""
    folder = Path(tempfile.mkdtemp(prefix="till-"))
    folder.chmod(0o755)
    (folder / "data").mkdir(mode=0o700)
    os.chown(folder / "data", NOBODY, NOBODY)
    (folder / "write.key").write_text(KEY)
    (folder / "write.key").chmod(0o644)
    yield folder
    shutil.rmtree(folder)


def case(till, **sections):
    return Case(till / "agent.toml", till / "data", Settings.isolated(**sections))


def codes(found):
    return [(each.kind.code, each.title) for each in found]


# ---- files --------------------------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize("name", ["write_key_file", "read_key_file"])
def test_a_key_that_only_root_may_read_is_said(till, name):
    flash = {name: till / "write.key"}
    ((code, title),) = codes(account.look(case(till, flash=flash)))
    assert (code, title) == ("account-ok", "The agent's account (nobody) may use what the settings name.")
    (till / "write.key").chmod(0o600)
    ((code, title),) = codes(account.look(case(till, flash=flash)))
    assert (code, f"[flash] {name}, {till / 'write.key'} (nobody)." in title) == ("account-unreadable", True)
    overruled = {name.removesuffix("_file"): KEY}  # then nobody reads the file
    assert codes(account.look(case(till, flash={**flash, **overruled}))) == [
        ("account-ok", "The agent's account (nobody) may use what the settings name.")
    ]


@as_root
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="sessions are read where Linux shows them")
def test_what_asks_as_that_account_has_neither_the_terminal_of_root_nor_its_words(till, environ):
    """Else another program of that account could trace it, and type into the terminal that root sits at."""
    asking = till / "test"
    tells = f"read -r _ _ _ _ _ session _ < /proc/$$/stat\necho $session $KEY > {till}/data/seen"
    asking.write_text(f"#!/bin/sh\n{tells}\n")
    asking.chmod(0o755)
    environ.setenv("PATH", str(till), prepend=os.pathsep)
    environ.setenv("KEY", KEY)
    account.of_agent(till / "data", till / "agent.toml").may(till / "write.key", "r")
    (session,) = (till / "data" / "seen").read_text().split()
    assert int(session) != os.getsid(0)


@as_root
def test_a_folder_above_that_lets_nobody_through_is_seen_and_so_are_the_settings(till):
    (till / "agent.toml").write_text("")
    (till / "agent.toml").chmod(0o640)
    ((code, title),) = codes(account.look(case(till)))
    assert (code, "the settings, " in title) == ("account-unreadable", True)
    os.chown(till / "agent.toml", 0, NOBODY)  # its group's
    assert [code for code, _ in codes(account.look(case(till)))] == ["account-ok"]
    till.chmod(0o700)
    assert [code for code, _ in codes(account.look(case(till)))] == ["account-unreadable"]


def test_who_is_the_agent_itself_is_judged_by_its_own_eyes(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    spooled = tmp_path / "spool"
    till = Case(tmp_path / "agent.toml", data, Settings.isolated(spool={"folders": {"poslog": str(spooled)}}))
    assert [code for code, _ in codes(account.look(till))] == ["spool-closed"]
    spooled.mkdir()
    assert codes(account.look(till)) == []


@as_root
def test_nothing_is_said_of_a_directory_whose_owner_has_no_name(till):
    os.chown(till / "data", 54_321, 54_321)
    assert codes(account.look(case(till))) == []


# ---- spool folders ------------------------------------------------------------------------------------------------


@as_root
@pytest.mark.parametrize(
    ("mode", "group", "said"),
    [
        (0o755, 0, "it may not read and write there"),
        (0o770, 0, "it may not read and write there"),
        (0o2770, NOBODY, None),
        (0o777, 0, None),
        (0o1777, 0, "sticky bit"),
        (None, 0, "it is missing"),
    ],
)
def test_a_spool_folder_that_the_account_cannot_use_is_said(till, mode, group, said):
    folder = till / "spool"
    if mode is not None:
        folder.mkdir()
        os.chown(folder, 0, group)
        folder.chmod(mode)
    ((code, title),) = codes(account.look(case(till, spool={"folders": {"poslog": str(folder)}})))
    assert code == ("spool-closed" if said else "account-ok")
    assert (said or "may use") in title


@as_root
def test_a_file_is_no_spool_folder(till):
    ((code, title),) = codes(account.look(case(till, spool={"folders": {"poslog": str(till / "write.key")}})))
    assert (code, "it is no folder" in title) == ("spool-closed", True)


# ---- the service's unit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "hidden", "read_only"),
    [
        ("/etc/flash-agent/write.key", False, True),
        ("/root/write.key", True, True),
        ("/home/it/spool", True, True),
        ("/homes/it", False, True),
        ("/tmp/spool", True, True),  # noqa: S108 - a name
        ("/var/tmp/spool", True, True),  # noqa: S108
        ("/srv/flash/poslog", False, False),
        ("/srv/two words/poslog", False, False),
        ("/srv/other", False, True),
        ("/var/lib/flash-agent/spool", False, False),
        ("/opt/erp/x", False, True),
    ],
)
def test_what_a_unit_hides_and_keeps_from_writing(path, hidden, read_only):
    box = sandbox_in(UNIT)
    assert (box.hides(Path(path)), box.keeps_from_writing(Path(path))) == (hidden, read_only)
    assert box.groups == ("flash-spool",)


def test_a_unit_without_protection_hides_nothing_and_one_that_is_not_there_is_none():
    open_one = sandbox_in("LoadState=loaded\nProtectSystem=no\nProtectHome=no\nPrivateTmp=no\nReadWritePaths=\n")
    assert not open_one.hides(Path("/root/x"))
    assert not open_one.keeps_from_writing(Path("/srv/x"))
    full = sandbox_in("LoadState=loaded\nProtectSystem=full\n")
    assert [full.keeps_from_writing(Path(path)) for path in ("/etc/x", "/usr/x", "/srv/x")] == [True, True, False]
    assert sandbox_in("LoadState=not-found\nProtectSystem=no\n") is None
    assert sandbox_in("") is None


@as_root
@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
def test_of_the_service_its_unit_is_asked(till, environ):
    """A stand-in for systemctl, as a program on the path; settings and data are where the package has them."""
    fake = till / "systemctl"
    fake.write_text(f"#!/bin/sh\ncat <<'END'\n{UNIT}\nEND\n")
    fake.chmod(0o755)
    environ.setenv("PATH", f"{till}:{os.environ['PATH']}")
    environ.setattr(account, "PACKAGED_CONFIG", till / "agent.toml")
    environ.setattr(account, "site_data_dir", lambda: till / "data")
    (till / "spool").mkdir()
    (till / "spool").chmod(0o777)
    found = list(
        account.look(
            case(till, flash={"write_key_file": till / "write.key"}, spool={"folders": {"poslog": str(till / "spool")}})
        )
    )
    assert [each.kind.code for each in found] == ["account-hidden", "spool-outside"]  # both lie below /tmp
    assert "ReadWritePaths=" in found[1].kind.mend


# ---- config check --------------------------------------------------------------------------------------------------


@as_root
def test_config_check_calls_nothing_good_that_only_root_may_read(till, capsys):
    path = till / "agent.toml"
    path.write_text(f"[flash]\nwrite_key_file = '{till / 'write.key'}'\n[spool.folders]\nposlog = '{till / 'spool'}'\n")
    path.chmod(0o644)
    words = ["config", "check", "--config", str(path), "--data-dir", str(till / "data")]
    assert main.main(words) == 0
    said = capsys.readouterr().out
    assert "warning: The agent's account cannot use a spool folder: poslog" in said
    (till / "write.key").chmod(0o600)
    assert main.main(words) == 2
    said = capsys.readouterr().out
    assert f"error: The agent's account may not read: [flash] write_key_file, {till / 'write.key'} (nobody)." in said
    assert said.splitlines()[-1] == "You can use the configuration; the agent's account cannot."
    assert KEY not in said


@as_root
def test_config_check_names_what_root_left_in_the_data_directory(till, capsys):
    (till / "data" / "register.token").write_text(json.dumps("x"))
    path = till / "agent.toml"
    path.write_text("")
    path.chmod(0o644)
    assert main.main(["config", "check", "--config", str(path), "--data-dir", str(till / "data")]) == 2
    assert "belong to another account than the directory: register.token." in capsys.readouterr().out
