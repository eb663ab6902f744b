"""`key`: another name of `keys`, which scripts may know."""

from agent.cli.commands.keys import add_arguments, run

__all__ = ["add_arguments", "run"]
