"""A running agent, put together.

    agent.py    builds every part, starts them in order, stops them in reverse
    opening.py  opens what the data directory holds
    wiring.py   what each part is given

Nothing but the command line imports this.
"""

from agent.app.agent import Agent, upgrade_of

__all__ = ["Agent", "upgrade_of"]
