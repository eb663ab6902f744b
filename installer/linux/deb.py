"""Build the Debian package from the program in dist/flash-agent: `python installer/linux/deb.py`.

The tree is laid out under build/deb and packed by dpkg-deb: there is nothing to compile, and what debhelper would add
are these few files. The same program gives the same bytes. `--version`, `--program` and `--compress none` are for the
tests, which pack a program several times; `--pages` names the folder of the manual page and the completion.

Whoever builds it for a chain is its maintainer: DEBFULLNAME and DEBEMAIL say who, as to Debian's own tools.
"""

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FILES = ROOT / "installer" / "linux" / "files"
SCRIPTS = ROOT / "installer" / "linux" / "scripts"
NAME = "flash-pos-agent"
# Where nobody says who: no mail can ever arrive below .invalid (RFC 2606), and nobody waits for an answer.
_NAME, _ADDRESS = "Flash POS Agent contributors", "nobody@flash-pos-agent.invalid"
_GLIBC = re.compile(rb"\bGLIBC_(\d+)\.(\d+)(?:\.\d+)?\b")
CONTROL = """\
Package: {name}
Version: {version}
Architecture: amd64
Maintainer: {maintainer}
Installed-Size: {size_kib}
Depends: libc6 (>= {glibc}), init-system-helpers (>= 1.52), systemd | systemd-standalone-sysusers
Section: misc
Priority: optional
Description: Flash loyalty agent of a till
 The daemon through which register software reaches the Flash loyalty
 platform. It takes sales, refunds and enrollments at once, keeps them on the
 disk, and delivers each exactly once, whether the network is there or not.
 .
 The package brings its own Python and libraries, a service of systemd, and
 `flash-agent setup`.
"""


def guides() -> list[Path]:
    """The pages of docs/ that the commands name and that store IT reads; not the records of decisions."""
    docs = ROOT / "docs"
    return sorted([*docs.glob("*.md"), *(docs / "adapters").glob("*.md")])


def lay_out(tree: Path, program: Path, pages: Path, version: str, epoch: int) -> None:
    """Everything that is installed, under `tree`."""
    shutil.copytree(program, tree / "usr/lib/flash-agent/program", symlinks=True)
    documents = f"usr/share/doc/{NAME}"
    for source, target in (
        (FILES / "flash-agent.service", "usr/lib/systemd/system/flash-agent.service"),
        (FILES / "sysusers.conf", "usr/lib/sysusers.d/flash-agent.conf"),
        (FILES / "lintian-overrides", f"usr/share/lintian/overrides/{NAME}"),
        (FILES / "agent.toml", f"{documents}/examples/agent.toml"),
        (FILES / "copyright", f"{documents}/copyright"),
        (pages / "flash-agent.bash", "usr/share/bash-completion/completions/flash-agent"),
    ):
        put(tree / target, source.read_bytes())
    put(tree / "usr/share/man/man1/flash-agent.1.gz", packed((pages / "flash-agent.1").read_bytes()))
    for guide in guides():
        put(tree / documents / guide.relative_to(ROOT), guide.read_bytes())
    put(tree / documents / "changelog.gz", packed((ROOT / "CHANGELOG.md").read_bytes()))
    put(tree / documents / "changelog.Debian.gz", packed(changelog(version, epoch).encode()))
    command = tree / "usr/bin/flash-agent"
    command.parent.mkdir(parents=True)
    command.symlink_to("../lib/flash-agent/current/flash-agent")  # postinst makes and switches `current`
    for each in tree.rglob("*"):
        if not each.is_symlink():
            executable = each.is_dir() or each == tree / "usr/lib/flash-agent/program/flash-agent"
            each.chmod(0o755 if executable else 0o644)


def control(tree: Path, version: str) -> None:
    """DEBIAN/: what dpkg knows of the package, and the scripts it runs."""
    files = sorted(each for each in tree.rglob("*") if each.is_file() and not each.is_symlink())
    sums = [digest(each, tree) for each in files]
    about = CONTROL.format(
        name=NAME,
        version=version,
        maintainer=maintainer(),
        size_kib=sum((each.stat().st_size + 1023) // 1024 for each in files),
        glibc=needed_glibc(files),
    )
    put(tree / "DEBIAN/control", about.encode())
    put(tree / "DEBIAN/md5sums", "".join(sums).encode())
    for script in ("postinst", "prerm", "postrm"):
        text = (SCRIPTS / script).read_text("utf-8").replace("@VERSION@", version)
        put(tree / "DEBIAN" / script, text.encode())
        (tree / "DEBIAN" / script).chmod(0o755)


def maintainer() -> str:
    """`Name <address>`, from the environment of the build; what would break the package's fields ends it."""
    name = os.environ.get("DEBFULLNAME") or _NAME
    address = os.environ.get("DEBEMAIL") or _ADDRESS
    if set(name) & set("<>\r\n") or not re.fullmatch(r"[^\s<>@]+@[^\s<>@]+", address):
        raise SystemExit("DEBFULLNAME is a name alone, and DEBEMAIL an address alone, such as it@chain.example.")
    return f"{name} <{address}>"


def digest(file: Path, tree: Path) -> str:
    """A line of md5sums, which dpkg --verify compares with."""
    import hashlib  # noqa: PLC0415

    return f"{hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()}  {file.relative_to(tree)}\n"


def needed_glibc(files: list[Path]) -> str:
    """The newest version of the C library that anything in the package asks for."""
    found = {
        (int(match[1]), int(match[2]))
        for file in files
        if (content := file.read_bytes()).startswith(b"\x7fELF")
        for match in _GLIBC.finditer(content)
    }
    return ".".join(map(str, max(found)))


def changelog(version: str, epoch: int) -> str:
    """Debian's own changelog: what changed is in the project's."""
    date = format_datetime(datetime.fromtimestamp(epoch, UTC))
    return (
        f"{NAME} ({version}) stable; urgency=medium\n\n  * What changed: changelog.gz beside this file.\n\n"
        f" -- {maintainer()}  {date}\n"
    )


def packed(content: bytes) -> bytes:
    """gzip without a time and a name."""
    return gzip.compress(content, 9, mtime=0)


def put(path: Path, content: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def build(program: Path, pages: Path, version: str, into: Path, compress: str) -> Path:
    """Lay out and pack; returns the package's path."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    tree = ROOT / "build" / "deb" / f"{NAME}_{version}"
    shutil.rmtree(tree, ignore_errors=True)
    lay_out(tree, program, pages, version, epoch)
    control(tree, version)
    into.mkdir(parents=True, exist_ok=True)
    package = into / f"{NAME}_{version}_amd64.deb"
    command = ["dpkg-deb", "--root-owner-group", f"-Z{compress}", "--threads-max=1", "--build", str(tree), str(package)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}  # dpkg-deb sets no file's time later than this
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    shutil.rmtree(tree)
    return package


def own_version() -> str:
    """Of this package: the agent's, and which packaging of it."""
    match = re.search(r'__version__ = "([^"]+)"', (ROOT / "agent" / "__init__.py").read_text("utf-8"))
    if match is None:
        raise SystemExit("agent/__init__.py says no version.")
    return f"{match[1]}-1"


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the Debian package.")
    parser.add_argument("--program", type=Path, default=ROOT / "dist" / "flash-agent")
    parser.add_argument("--pages", type=Path, default=ROOT / "build" / "pages")
    parser.add_argument("--version", default=own_version())
    parser.add_argument("--into", type=Path, default=ROOT / "dist")
    parser.add_argument("--compress", choices=("xz", "gzip", "none"), default="xz")
    arguments = parser.parse_args()
    print(build(arguments.program, arguments.pages, arguments.version, arguments.into, arguments.compress))
    return 0


if __name__ == "__main__":
    sys.exit(main())
