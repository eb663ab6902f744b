"""Known vulnerabilities of everything that is locked, by pip-audit; a package nobody could tell about is a failure.

Run by `make audit`. Exit codes: 0 all were asked about and none is known to be vulnerable; 1 one is; 3 the advisory
service could not be reached, or does not know a package: then nothing is shown, and that is said.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tools.lockfile import LOCKED

VULNERABLE, NOT_KNOWN = 1, 3


def audit(lock: Path) -> list[dict[str, Any]] | None:
    """What pip-audit says of each dependency; None where it could not ask."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--require-hashes", "--disable-pip"]
    command += ["--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print(done.stderr.strip().rpartition("\n")[2], file=sys.stderr)
        return None
    return found


def main(names: list[str]) -> int:
    worst = 0
    for lock in [LOCKED / f"{name}.txt" for name in names] or sorted(LOCKED.glob("*.txt")):
        found = audit(lock)
        if found is None:
            print(f"{lock.name}: NOT AUDITED: the advisory service cannot be reached from here.", file=sys.stderr)
            worst = worst or NOT_KNOWN
            continue
        unknown = [each for each in found if each.get("skip_reason")]
        vulnerable = [each for each in found if each.get("vulns")]
        for each in vulnerable:
            for advisory in each["vulns"]:
                mended = ", ".join(advisory["fix_versions"]) or "no version yet"
                print(f"{lock.name}: {each['name']} {each['version']}: {advisory['id']}, mended in {mended}")
        if unknown:
            text = f"{lock.name}: NOT AUDITED: {len(unknown)} of {len(found)} are not known to the advisory service"
            print(f"{text}, such as {unknown[0]['name']}; ask from a machine that reaches it.", file=sys.stderr)
            worst = worst or NOT_KNOWN
        elif not vulnerable:
            print(f"{lock.name}: {len(found)} audited, none is known to be vulnerable.")
        worst = VULNERABLE if vulnerable else worst
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
