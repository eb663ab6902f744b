"""Process entry: `flash-agent` and `python -m agent`.

Exit codes: 0 done, 1 it failed, 2 wrong usage or configuration.
"""

import sys

from agent import tracebacks
from agent.cli.main import main as run


def main() -> int:
    """One command; what nobody catches is written down without its words."""
    tracebacks.install()
    return run()


if __name__ == "__main__":
    sys.exit(main())
