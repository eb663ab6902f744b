"""Renew the lock files: every dependency pinned with hashes, for all platforms, without download addresses.

Run by `make lock`. Needs `uv` on the path or in the environment (it is not a dependency of the project).
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGETS = {
    "run": ["--extra", "fast"],
    "dev": ["--extra", "fast", "--group", "dev"],
    "bench": ["--extra", "fast", "--group", "dev", "--group", "bench"],
    "supply": ["--extra", "fast", "--group", "dev", "--group", "supply"],
    "package": ["--extra", "fast", "--group", "package"],
    "windows": ["--extra", "fast", "--group", "windows"],
}
COMMON = ["--generate-hashes", "--no-emit-index-url", "--no-header"]
EVERYWHERE = ["--universal", "--python-version", "3.11"]
FOR = {  # one platform's alone, without markers: whoever downloads it elsewhere would have them judged there
    "windows": ["--python-platform", "x86_64-pc-windows-msvc", "--python-version", "3.13"],
}


def main() -> int:
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    if not Path(uv).exists():
        print("uv is needed to renew the lock files: pip install uv", file=sys.stderr)
        return 2
    locked: list[str] = []
    for name, options in TARGETS.items():
        target = f"requirements/{name}.txt"
        platform = FOR.get(name, EVERYWHERE)
        command = [
            uv,
            "pip",
            "compile",
            "--quiet",
            *COMMON,
            *platform,
            *options,
            *locked,
            "pyproject.toml",
            "-o",
            target,
        ]
        subprocess.run(command, cwd=ROOT, check=True)  # noqa: S603 - our own arguments
        locked = ["--constraints", target]
    return 0


if __name__ == "__main__":
    sys.exit(main())
