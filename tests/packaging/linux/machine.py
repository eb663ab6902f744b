"""A Debian of its own with systemd as its first process: namespaces, an overlay over a tree that mmdebstrap made.

Its mounts are shared, as systemd has them: what a service is given is mounted elsewhere, and comes to it so. The
network is the host's, so that a test's Flash and a test's register reach it; /proc/sys and /sys are read only.
"""

import contextlib
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

UNIT = "flash-agent.service"
_BOOT = """
set -e
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount -o bind,ro proc/sys proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    IFS=: read -r name major minor <<< "$node"
    mknod -m 666 "dev/$name" c "$major" "$minor"
done
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mkdir -p .host
pivot_root . .host
cd /
umount -l /.host
mount --make-rshared /
exec env -i container=test PATH=/usr/sbin:/usr/bin /lib/systemd/systemd --system --show-status=false \
    --unit=multi-user.target
"""
_NAMESPACES = ("--pid", "--mount", "--uts", "--ipc", "--cgroup")
_PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}


class Machine:
    """One Debian, switched off at first. `root` is its tree, as the host sees it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._pid = 0

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command in it, by root; booted or not."""
        inside = ["nsenter", "-t", str(self._pid), "-a", "-r", "-w"] if self._pid else ["chroot", str(self.root)]
        done = subprocess.run(
            [*inside, *command],
            env=_PATH | environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}"
        return done

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """A command in one that is switched off, in a process group of its own; nobody waits for it."""
        nowhere = subprocess.DEVNULL
        inside = ["chroot", str(self.root)]
        return subprocess.Popen(
            [*inside, *command], env=_PATH, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True
        )

    def bring(self, package: Path) -> str:
        """A package of the host's into /root; its name."""
        return Path(shutil.copy(package, self.root / "root" / package.name)).name

    def install(self, package: Path, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`dpkg --install` of a package of the host's."""
        return self.run("dpkg", "--force-unsafe-io", "--install", f"/root/{self.bring(package)}", check=check)

    def show(self, name: str) -> str:
        """A property of the service, by systemd's name for it."""
        return self.run("systemctl", "show", f"--property={name}", "--value", UNIT).stdout.strip()

    def log(self) -> str:
        """What the service said."""
        return self.run("journalctl", "--no-pager", "--unit", UNIT, check=False).stdout

    @contextlib.contextmanager
    def booted(self) -> Iterator["Machine"]:
        """Switched on, and off at the end, hard."""
        group = _cgroups() / f"package-test-{uuid.uuid4().hex}"
        group.mkdir()
        hypervisor = subprocess.Popen(
            [
                "sh", "-c", 'echo $$ > "$1"; shift; exec "$@"', "sh", str(group / "cgroup.procs"),
                "unshare", "--fork", "--kill-child", "--propagation", "private", *_NAMESPACES,
                "bash", "-c", _BOOT, str(self.root),
            ],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._pid = _first_child(hypervisor)
            self._await_boot()
            yield self
        finally:
            self._pid = 0
            hypervisor.kill()
            hypervisor.wait()
            _remove(group)

    def _await_boot(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            done = self.run("systemctl", "is-system-running", check=False)
            if done.stdout.strip() in {"running", "degraded"}:
                return
            assert time.monotonic() < deadline, f"systemd did not come up: {done.stdout}"
            time.sleep(0.1)


@contextlib.contextmanager
def overlay(base: Path, scratch: Path) -> Iterator[Path]:
    """A tree like `base` that can be written to, gone at the end."""
    upper, work, merged = scratch / "upper", scratch / "work", scratch / "merged"
    for folder in (upper, work, merged):
        folder.mkdir(parents=True)
    layers = f"lowerdir={base},upperdir={upper},workdir={work}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)], check=True)
    try:
        yield merged
    finally:
        subprocess.run(["umount", "--recursive", "--lazy", str(merged)], check=True)
        shutil.rmtree(scratch, ignore_errors=True)


def why_not() -> str | None:
    """Why there can be no such machine here; None where there can."""
    packages = {
        "mmdebstrap": "mmdebstrap",
        "lintian": "lintian",
        "systemd-analyze": "systemd",
        "unshare": "util-linux",
    }
    missing = sorted({package for tool, package in packages.items() if shutil.which(tool) is None})
    if missing:
        return f"sudo apt-get install {' '.join(missing)}"
    if os.geteuid() != 0:
        return "needs root: namespaces, an overlay, a tree of another system"
    if subprocess.run(["unshare", *_NAMESPACES, "--fork", "true"], check=False, capture_output=True).returncode:
        return "this kernel gives no namespaces"
    return None


def _cgroups() -> Path:
    """Where the second version of control groups is mounted."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise AssertionError("no cgroup2 is mounted here")


def _first_child(parent: subprocess.Popen[bytes]) -> int:
    """Of `unshare --fork`: the first process of the new machine."""
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    while parent.poll() is None:
        if found := children.read_text().split():
            return int(found[0])
        time.sleep(0.01)
    raise AssertionError("unshare did not start")


def _remove(group: Path) -> None:
    """A control group and those below it, once their processes are gone."""
    deadline = time.monotonic() + 20
    while group.exists():
        for folder in sorted((each for each in group.rglob("*") if each.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            group.rmdir()
        assert time.monotonic() < deadline, f"{group} could not be removed"
        time.sleep(0.01)
