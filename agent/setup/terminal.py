"""How setup speaks with a person; `agent.cli.terminal` does it in lines."""

from collections.abc import Callable, Mapping
from typing import Protocol

Judge = Callable[[str], str | None]  # what is wrong with an answer, in words that follow "That"; None: nothing


class Terminal(Protocol):
    """Asks until an answer is good; raises AgentError where the answers end."""

    def say(self, text: str = "") -> None:
        """A line, or several."""
        ...

    def ask(self, question: str, default: str | None = None, judge: Judge = ...) -> str:
        """A line of text; Enter takes the default."""
        ...

    def secret(self, question: str, judge: Judge, *, optional: bool) -> str:
        """A text that is not shown; empty where that is allowed."""
        ...

    def yes(self, question: str, *, default: bool) -> bool:
        """Yes or no."""
        ...

    def pick(self, question: str, options: Mapping[str, str]) -> str:
        """One of some letters; the words beside them say what they are for."""
        ...
