"""Questions in plain lines: they work over a slow remote session as on a till's own screen."""

from collections.abc import Mapping
from getpass import getpass

from agent.errors import AgentError
from agent.setup.terminal import Judge

_YES, _NO = {"y", "yes"}, {"n", "no"}


class Terminal:
    """Asks until an answer is good. Raises AgentError where the answers end."""

    def say(self, text: str = "") -> None:
        """A line, or several."""
        print(text, flush=True)

    def ask(self, question: str, default: str | None = None, judge: Judge = lambda _: None) -> str:
        """A line of text; Enter takes the default, and is a good answer where there is one."""
        shown = f" [{default}]" if default else ""
        while True:
            given = self._line(f"{question}{shown}: ") or default
            if given is None:
                self.say("  An answer is needed here.")
            elif (fault := judge(given)) is None:
                return given
            else:
                self.say(f"  That {fault}.")

    def secret(self, question: str, judge: Judge, *, optional: bool) -> str:
        """A text that is not shown; empty where that is allowed."""
        while True:
            try:
                given = getpass(f"{question}: ").strip()
            except EOFError:
                raise _ended() from None
            if not given and optional:
                return ""
            if (fault := judge(given)) is None:
                return given
            self.say(f"  That {fault}.")

    def yes(self, question: str, *, default: bool) -> bool:
        """Yes or no."""
        while True:
            given = self._line(f"{question} [{'Y/n' if default else 'y/N'}]: ").casefold()
            if not given:
                return default
            if given in _YES | _NO:
                return given in _YES
            self.say("  Please answer y or n.")

    def pick(self, question: str, options: Mapping[str, str]) -> str:
        """One of some letters; the words beside them say what they are for."""
        self.say(question)
        for letter, text in options.items():
            self.say(f"  {letter}  {text}")
        while (given := self._line("> ").casefold()) not in options:
            self.say(f"  Please answer {', '.join(options)}.")
        return given

    def _line(self, prompt: str) -> str:
        try:
            return input(prompt).strip()
        except EOFError:
            raise _ended() from None


def _ended() -> AgentError:
    return AgentError("The answers ended before all questions were asked; nothing was changed.")
