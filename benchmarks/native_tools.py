"""Compile the C helpers into a scratch directory; without a compiler Python stands in, less precisely."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_SOURCES = Path(__file__).resolve().parent / "native"
_COMPILE_LIMIT_S = 60.0
SLOW_SYNC_MS = 2.0


@dataclass(frozen=True, slots=True)
class NativeTools:
    """Paths of what could be built; None where there is no compiler."""

    append: Path | None
    slow_sync: Path | None

    @property
    def described(self) -> str:
        """One line for the report."""
        return "compiled C" if self.append else "no C compiler: Python stand-ins, no emulated slow disk"

    def slow_environment(self) -> dict[str, str]:
        """What makes every fsync of a child sleep first."""
        assert self.slow_sync is not None
        return {"LD_PRELOAD": str(self.slow_sync), "SLOW_SYNC_US": str(int(SLOW_SYNC_MS * 1000))}


def _compile(compiler: str, source: str, target: Path, *flags: str) -> Path | None:
    command = [compiler, "-O2", *flags, "-o", str(target), str(_SOURCES / source), "-ldl", "-pthread"]
    done = subprocess.run(command, capture_output=True, timeout=_COMPILE_LIMIT_S, check=False)
    if done.returncode == 0:
        return target
    print(f"could not compile {source}: {done.stderr.decode(errors='replace')[-500:]}", file=sys.stderr)
    return None


def build(directory: Path) -> NativeTools:
    """Compile what can be compiled."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return NativeTools(append=None, slow_sync=None)
    return NativeTools(
        append=_compile(compiler, "append.c", directory / "append"),
        slow_sync=_compile(compiler, "slow_sync.c", directory / "slow_sync.so", "-shared", "-fPIC"),
    )
