"""Process entry: `flash-agent` and `python -m agent`.

Exit codes: 0 done, 1 it failed, 2 wrong usage or configuration.
"""

import sys

from agent.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
