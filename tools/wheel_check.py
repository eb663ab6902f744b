"""Build the wheel, twice with the same bytes; install it beside the locked requirements, and test what is installed.

It gets an environment of its own, and the tests are copied beside, so that `import agent` finds the installed package
or nothing: the locked requirements are those of the environment that runs this, but the tree's own package, which is
there by a .pth file, is not, for Python reads such files only in an environment's own folder.

By default those tests run that start commands as processes of their own and those that read what is packaged beside
the code: a wheel differs from the tree by what it lacks. Run by `make wheel`; its arguments are pytest's. `make
packages` puts the packed program, which may lack more, through every command.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ROOT / ".wheel-venv"
WHAT_A_WHEEL_MAY_LACK = [
    "tests/e2e/test_cli.py",
    "tests/e2e/test_cli_import.py",
    "tests/e2e/test_cli_operations.py",
    "tests/e2e/test_demo.py",
    "tests/adapters/test_golden.py",
    "tests/contract/test_openapi.py",
    "tests/contract/test_storage_schema.py",
    "tests/contract/test_api_receipts.py",
    "tests/contract/test_api_sales.py",
    "tests/contract/test_snapshots.py",
    "tests/unit/test_receipt_templates.py",
]


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    done = subprocess.run([str(part) for part in command], cwd=cwd, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise SystemExit(f"This failed with exit code {done.returncode}: {' '.join(map(str, command))}")


def build(target: Path, cwd: Path = ROOT, **environment: str) -> Path:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target)]
    subprocess.run(command, cwd=cwd, check=True, env={**os.environ, **environment})  # noqa: S603 - our own arguments
    (wheel,) = target.glob("*.whl")
    return wheel


def check_reproducible(folder: Path, wheel: Path) -> None:
    """Build it again elsewhere: another directory, other times and modes of the files, another time zone."""
    copy = folder / "elsewhere" / "a longer name"
    ignored = shutil.ignore_patterns(".git", ".*venv", "dist", "build", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, copy, ignore=ignored)
    for path in copy.rglob("*"):
        os.utime(path, (10**9, 10**9))
        if path.is_file():
            path.chmod(0o600)
    before = os.umask(0o077)
    try:
        again = build(folder / "again", copy, TZ="Asia/Tokyo", LC_ALL="C", PYTHONHASHSEED="1")
    finally:
        os.umask(before)
    if wheel.read_bytes() != again.read_bytes():
        raise SystemExit(f"Two builds differ: {digest(wheel)} {digest(again)}")
    print(f"{wheel.name}: two builds, sha256 {digest(wheel)}")


def install(wheel: Path) -> Path:
    """Make the environment; returns its interpreter."""
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    venv.create(ENVIRONMENT)
    python = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", wheel)
    (package,) = ENVIRONMENT.rglob("site-packages/agent")
    (package.parent / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    return python


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder) / "dist")
        check_reproducible(Path(folder), wheel)
        python = install(wheel)
        away = Path(folder) / "away"
        away.mkdir()
        shutil.copytree(ROOT / "tests", away / "tests", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, away)
        run(python, "-c", f"import agent; assert {str(ENVIRONMENT)!r} in agent.__file__, agent.__file__", cwd=away)
        run(
            python, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider", *(arguments or WHAT_A_WHEEL_MAY_LACK), cwd=away
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
