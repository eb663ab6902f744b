"""A configuration that somebody else could have laid down is refused before anything of it is used."""

import os
import stat
import sys

import pytest

from agent.errors import ConfigError
from agent.servicemanager import ownership
from agent.servicemanager.account import service_sid

OWN, ADMINISTRATORS, SYSTEM, USER = "S-1-5-21-1-2-3-1001", "S-1-5-32-544", "S-1-5-18", "S-1-5-21-1-2-3-1002"
REPARSE_POINT, DIRECTORY = 0x400, 0x10


def status(uid: int, gid: int, mode: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize("owner", [OWN, ADMINISTRATORS, SYSTEM, service_sid()])
def test_windows_owners_with_rights_are_ours(owner):
    assert ownership.windows_fault(owner, OWN, DIRECTORY) is None


def test_another_users_and_a_way_elsewhere_are_not():
    assert ownership.windows_fault(USER, OWN, DIRECTORY) == (
        f"belongs to {USER}, not to administrators, the system or the service"
    )
    assert ownership.windows_fault(ADMINISTRATORS, OWN, DIRECTORY | REPARSE_POINT) == "leads to another place"
    other_service = service_sid("Spooler")
    assert other_service in (ownership.windows_fault(other_service, OWN, 0) or "")


@pytest.mark.parametrize(
    ("uid", "gid", "mode", "fault"),
    [
        (0, 0, 0o644, None),
        (0, 990, 0o640, None),  # the package's
        (0, 0, 0o664, None),
        (500, 500, 0o600, None),  # this user's own
        (1000, 0, 0o644, "belongs to user 1000, not to root"),
        (0, 0, 0o646, "may be written by others than root (mode 0646)"),
        (0, 990, 0o660, "may be written by others than root (mode 0660)"),
    ],
)
def test_on_linux_owner_and_mode_count(uid, gid, mode, fault):
    assert ownership.posix_fault(status(uid, gid, stat.S_IFREG | mode), own_uid=500) == fault


@pytest.mark.skipif(sys.platform == "win32", reason="modes")
@pytest.mark.parametrize("loose", ["", "agent.toml"])
def test_file_and_folder_are_looked_at_and_the_mend_is_named(tmp_path, loose):
    config = tmp_path / "etc" / "agent.toml"
    ownership.must_be_ours(config)  # nothing there: nothing to refuse
    config.parent.mkdir(mode=0o755)
    config.touch(mode=0o640)
    ownership.must_be_ours(config)
    named = config.parent / loose
    named.chmod(0o777)
    with pytest.raises(ConfigError) as refused:
        ownership.must_be_ours(config)
    assert str(refused.value).startswith(f"{named} may be written by others than root (mode 0777): ")
    assert "[flash] base_url" in str(refused.value)
    assert str(refused.value).endswith(f"sudo chown root {named} && sudo chmod go-w {named}")


def test_whoever_looks_is_asked_of_each(tmp_path):
    config = tmp_path / "agent.toml"
    config.touch()
    with pytest.raises(ConfigError, match=rf"agent\.toml belongs to {USER}, not to administrators"):
        ownership.must_be_ours(config, lambda path: ownership.windows_fault(USER if path == config else SYSTEM, OWN, 0))
