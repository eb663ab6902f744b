"""The manual page and bash's completion, made from the command line's own parser: `pages.py man|bash`, to stdout."""

import os
import sys

import shtab
from argparse_manpage.manpage import Manpage

from agent import __version__
from agent.cli.main import build_parser

FILES = """
.SH FILES
.TP
/etc/flash\\-agent/agent.toml
The configuration, written by flash\\-agent setup; an example is in /usr/share/doc/flash\\-pos\\-agent/examples.
.TP
/var/lib/flash\\-agent
The queue, the keys and the tokens of the registers.
.SH EXIT STATUS
0 done, 1 it failed, 2 wrong usage or configuration.
"""


def manual() -> str:
    """The page, in roff."""
    about = {
        "project_name": "Flash POS Agent",
        "description": "the loyalty outbox of a till",
        "manual_section": "1",
        "manual_title": "Flash POS Agent",
        "version": __version__,
    }
    return str(Manpage(build_parser(), about, "single-commands-section")).rstrip() + FILES


def main() -> int:
    os.environ["COLUMNS"] = "100"  # the parser's help is as wide as somebody's terminal
    made = manual() if sys.argv[1:] == ["man"] else shtab.complete(build_parser(), "bash")
    print(made, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
