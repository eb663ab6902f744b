"""Compile SQLite for the packaged program: `python installer/sqlite/build.py linux|windows FOLDER`.

Why not the library that the interpreter brings: before 3.51.3 a checkpoint that met a reset of the log could lose
committed pages, and neither Debian 12 (3.40.1) nor the interpreter for Windows has that mend. The source is SQLite's
own amalgamation as the package better-sqlite3 carries it, pinned by the hash of the package; npm fetches it.

The same source and compiler give the same bytes. Writes libsqlite3.so.0 or sqlite3.dll into FOLDER.
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "better-sqlite3@13.2.0"
SHA256 = "40487589df3496f2ee0079d22b73c63fccebe7db0e8ee9a2c42421861e321e0b"
VERSION = "3.54.1"
FILES = ("sqlite3.c", "sqlite3.h")
# What Python's module calls must be there, loading of extensions included; it stays off, as everywhere, until asked.
OPTIONS = (
    "-DSQLITE_THREADSAFE=1",
    "-DSQLITE_ENABLE_COLUMN_METADATA",
    "-DSQLITE_SECURE_DELETE",
    "-DSQLITE_DEFAULT_SYNCHRONOUS=2",
    "-DSQLITE_DEFAULT_WAL_SYNCHRONOUS=2",
)
COMMON = ("-O2", "-s", "-shared", "-ffile-prefix-map=.=sqlite")
TARGETS = {
    "linux": (
        "libsqlite3.so.0",
        "gcc",
        ("-fPIC", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-DHAVE_USLEEP=1", "-DHAVE_FDATASYNC=1"),
        ("-Wl,-soname,libsqlite3.so.0,-z,relro,-z,now,--build-id=none", "-lm"),
    ),
    "windows": (
        "sqlite3.dll",
        "x86_64-w64-mingw32-gcc",
        ("-DSQLITE_API=__declspec(dllexport)",),
        ("-static-libgcc", "-Wl,--no-insert-timestamp"),
    ),
}


def fetch(folder: Path) -> None:
    """Put the source into the folder; raises SystemExit where it cannot be had or is not the one that was pinned."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm is needed to fetch SQLite's source: sudo apt-get install npm")
    subprocess.run(
        [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), PACKAGE],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (archive,) = folder.glob("*.tgz")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        raise SystemExit(f"{PACKAGE} has the hash {found}, not {SHA256}: it is not what was looked at. Not built.")
    with tarfile.open(archive) as package:
        for name in FILES:
            source = package.extractfile(f"package/deps/sqlite3/{name}")
            if source is None:
                raise SystemExit(f"{PACKAGE} holds no {name}.")
            (folder / name).write_bytes(source.read())


def build(target: str, into: Path) -> Path:
    """Compile; returns the library's path."""
    name, compiler, flags, libraries = TARGETS[target]
    if shutil.which(compiler) is None:
        package = "gcc libc6-dev" if target == "linux" else "gcc-mingw-w64-x86-64-win32"
        raise SystemExit(f"{compiler} is needed to compile SQLite: sudo apt-get install {package}")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        fetch(folder)
        made = folder / name
        command = [compiler, *COMMON, *flags, *OPTIONS, "sqlite3.c", "-o", name, *libraries]
        subprocess.run(command, cwd=folder, check=True)
        return Path(shutil.copy(made, into / name))


def main() -> int:
    parser = argparse.ArgumentParser(description="Compile SQLite for the packaged program.")
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    print(build(arguments.target, arguments.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
