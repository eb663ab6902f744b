"""Windows programs on Linux: a Wine prefix of its own, and what Wine 8 needs to be told.

- The host of .NET, the browser and WMI are switched off: a prefix is made in seconds, and `platform` does not crash.
- Rust's libraries want a function that Wine has since 9 only: `process_prng.c`, compiled into the prefix.
- Output goes through pipes: what is redirected to a file may be missing there.
- Services end with the last program that a user runs: `Wine.kept_alive` is one that waits.
"""

import contextlib
import os
import selectors
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).parent
COMPILER = "x86_64-w64-mingw32-gcc"
_PLACES = ("/usr/lib/wine/wine64", "/usr/lib/wine/wineserver64")
_LAST_WORDS_S = 0.2
_LOOK_EVERY_S = 0.1
APT = "sudo apt-get install wine64 gcc-mingw-w64-x86-64-win32"


def is_here() -> bool:
    """Whether Wine and the compiler for its shim are installed."""
    return all(Path(place).exists() for place in _PLACES) and shutil.which(COMPILER) is not None


class Wine:
    """One prefix: a Windows of its own, in a folder."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix.absolute()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in {"DISPLAY", "PYTHONPATH"}},
            "WINEPREFIX": str(self.prefix),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree,mshtml,wbemprox,winemenubuilder.exe=",
        }

    @property
    def drive(self) -> Path:
        """Its drive C."""
        return self.prefix / "drive_c"

    def boot(self) -> None:
        """Make the prefix where there is none; a Windows 10."""
        if (self.prefix / "made").exists():
            return
        self.run("wineboot", "-i")
        self.run("winecfg", "-v", "win10")
        shim = self.drive / "windows" / "system32" / "bcryptprimitives.dll"
        if not shim.exists():
            source = HERE / "process_prng.c"
            subprocess.run([COMPILER, "-shared", "-O2", "-s", "-o", shim, source, "-ladvapi32"], check=True)
        self.kill()  # what still ends itself would be in the way of what is started next
        (self.prefix / "made").touch()

    def run(
        self,
        *words: str | Path,
        within_s: float = 120,
        environment: dict[str, str] | None = None,
        check: bool = True,
        through: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, standard error in its output; raises CalledProcessError with what it said.

        `through`: a command of Linux that starts it.
        """
        with self.started(*words, environment=environment, through=through) as process:
            output = _said(process, within_s)
            process.wait(within_s)
        if check and process.returncode:
            raise subprocess.CalledProcessError(process.returncode, list(map(str, words)), output)
        return subprocess.CompletedProcess(list(map(str, words)), process.returncode, output, None)

    @contextlib.contextmanager
    def started(
        self, *words: str | Path, environment: dict[str, str] | None = None, through: Sequence[str] = ()
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running program; its output is a pipe."""
        command = [*through, _PLACES[0], *(str(word) for word in words)]
        with subprocess.Popen(
            command,
            env={**self.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            yield process

    @contextlib.contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Meanwhile a program waits, so that services live on between two others.

        It has started when this goes on: two that start a Wine at once get two service managers.
        """
        command = [_PLACES[0], "cmd.exe", "/c", "echo up & pause >nul"]
        with subprocess.Popen(
            command, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as waiting:
            assert waiting.stdout is not None
            waiting.stdout.readline()
            try:
                yield
            finally:
                self.kill()
                waiting.wait(timeout=30)

    def kill(self) -> None:
        """End everything that runs in this prefix."""
        subprocess.run([_PLACES[1], "-k"], env=self.environment, check=False)
        subprocess.run([_PLACES[1], "-w"], env=self.environment, check=False, timeout=60)


def windows_path(path: Path) -> str:
    """A Linux path as programs under Wine see it."""
    return "Z:" + str(path.absolute()).replace("/", "\\")


def _said(process: subprocess.Popen[bytes], within_s: float) -> str:
    """What a program prints until it ends; not until the pipe does, which Wine's own services may have inherited."""
    assert process.stdout is not None
    said, until = bytearray(), time.monotonic() + within_s
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            has_ended = process.poll() is not None
            if selector.select(_LAST_WORDS_S if has_ended else _LOOK_EVERY_S):
                if not (part := os.read(process.stdout.fileno(), 65536)):
                    break
                said += part
            elif has_ended:
                break
            if time.monotonic() > until:
                process.kill()
                raise subprocess.TimeoutExpired(process.args, within_s, bytes(said))
    return said.decode("utf-8", errors="replace").replace("\r\n", "\n")
