"""What the doctor says of the kind of disk that the data directory lies on."""

import os
import subprocess
from collections import namedtuple

import psutil
import pytest

from agent.doctor import disk
from agent.doctor.case import Case

Partition = namedtuple("Partition", "mountpoint fstype opts")


def codes(folder):
    return {finding.kind.code for finding in disk.look(Case(folder / "agent.toml", folder))}


@pytest.fixture
def read_only(tmp_path):
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.call(["mount", "-t", "tmpfs", "-o", "ro,size=512m", "tmpfs", folder]):
        pytest.skip("no tmpfs can be mounted here")
    yield folder
    subprocess.check_call(["umount", "-l", folder])


def test_a_disk_that_takes_nothing_is_said_to_be_so(read_only):
    assert codes(read_only) == {"disk-in-memory", "disk-read-only"}


@pytest.mark.parametrize(
    ("fstype", "opts", "code"),
    [
        ("tmpfs", "rw", "disk-in-memory"),
        ("nfs4", "rw", "disk-remote"),
        ("CIFS", "rw", "disk-remote"),
        ("NTFS", "rw,remote", "disk-remote"),  # Windows' word for a network drive
        ("ext4", "rw", None),
    ],
)
def test_a_disk_that_is_none_of_this_machines_is_named(tmp_path, monkeypatch, fstype, opts, code):
    """Of several mounts the one counts that lies nearest above the directory."""
    mounts = [Partition("/", "ext4", "rw"), Partition(str(tmp_path.resolve()), fstype, opts)]
    mounts.append(Partition(str(tmp_path.resolve() / "below"), "fuse.sshfs", "rw"))
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounts)
    assert codes(tmp_path) & {"disk-in-memory", "disk-remote"} == ({code} if code else set())
