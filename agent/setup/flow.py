"""The steps in their order: know, check, show, and only then store; whatever fails, it is said what was done.

Every step looks first whether it is done already: a store that Flash has is not registered again, a configuration that
is as it should be is not touched, an agent that runs with it is not restarted. So the way on after a failure, or after
a kill, is to run the same again.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydantic import SecretStr

from agent import config
from agent.errors import AgentError, ConfigError
from agent.flashkeys import Which, kept_path
from agent.servicemanager import ownership
from agent.setup import agents, answers, configfile, examine, findings, telling
from agent.setup.answers import Given
from agent.setup.configfile import Change, Existing
from agent.setup.examine import NoWayError
from agent.setup.findings import Findings
from agent.setup.place import Place
from agent.setup.questions import Questions
from agent.setup.terminal import Terminal

STANDARD_INPUT = "standard input"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line says. `source` is the answers file's name (None: ask), `text` what is in it."""

    place: Place
    source: str | None = None
    text: str = ""
    till: str | None = None
    unchecked: bool = False
    dry_run: bool = False


class Outside(Protocol):
    """What setup needs of the system it runs on."""

    @property
    def service(self) -> agents.Service:
        """Its service manager."""
        ...

    def connect(self, data_dir: Path) -> agents.Client:
        """A client of the agent that runs with this data directory; raises AgentError where none does."""
        ...


@dataclass
class _Journal:
    """What was done, for whoever has to go on after a failure."""

    say: Callable[[str], None]
    done: list[str] = field(default_factory=list)

    def add(self, what: str) -> None:
        """One step is over."""
        self.done.append(what)
        self.say(f"  done: {what}")


class Setup:
    """One run."""

    def __init__(self, wish: Wish, outside: Outside, terminal: Terminal) -> None:
        self._wish = wish
        self._place = wish.place
        self._outside = outside
        self._terminal = terminal
        self._say = terminal.say

    def run(self) -> int:
        """All of it; returns the exit code. Raises ConfigError for answers that cannot be used, else AgentError."""
        if self._place.service:
            agents.must_have_service(self._outside.service)
            ownership.must_be_ours(self._place.config)
        existing = configfile.read(self._place.config)
        known_key, has_key = self._present_key(existing)
        given, unchecked = self._given(existing, known_key, has_key=has_key)
        found = self._found(existing, given, known_key, unchecked=unchecked)
        change = configfile.changes(given, found.store_id or "(registered first)", found.port)
        self._show(existing, change, given, found)
        if self._wish.dry_run:
            self._say("Nothing was changed: this was a dry run.")
            return 0
        if self._wish.source is None and not self._terminal.yes("\nDo this now?", default=True):
            raise AgentError("Nothing was changed.")
        client = self._do(existing, given, found)
        telling.tell(self._terminal, self._place, client, asked=self._wish.source is None)
        if given.from_file not in {None, STANDARD_INPUT}:
            self._say(f"\nThere is a Flash key in {given.from_file}: delete that file now, the till does not need it.")
        return 0

    # ---- know ----------------------------------------------------------------------------------------------------

    def _present_key(self, existing: Existing) -> tuple[SecretStr | None, bool]:
        """The write key of the environment or the configuration, and whether the agent has one at all."""
        if told := os.environ.get(answers.KEY_VARIABLES["write"]):
            return SecretStr(told), True
        if any(existing.get("flash", name) for name in ("write_key", "write_key_file")):
            key = config.load(str(self._place.config)).key("write")
            return key, key is not None
        return None, kept_path(self._place.data_dir, "write").exists()

    def _given(self, existing: Existing, known_key: SecretStr | None, *, has_key: bool) -> tuple[Given, bool]:
        """The answers, and whether they are to be taken unchecked."""
        wish, known = self._wish, existing.answers
        if wish.source is not None:
            given = answers.read(wish.text, wish.source, known=known, has_key=has_key, till=wish.till)
            return given, wish.unchecked
        if wish.till is not None:
            known["till_id"] = wish.till
        questions = Questions(self._terminal, self._place, known, known_key=known_key, has_key=has_key)
        return questions.run(unchecked=wish.unchecked), questions.unchecked

    def _found(self, existing: Existing, given: Given, known_key: SecretStr | None, *, unchecked: bool) -> Findings:
        try:
            return findings.of(
                given, self._place, known_key=known_key, known_port=existing.get("api", "port"), unchecked=unchecked
            )
        except NoWayError as trouble:
            raise NoWayError(
                f"{trouble}\nNothing was changed. To go on without a check, add --unchecked or answer check = false."
            ) from None

    # ---- show ----------------------------------------------------------------------------------------------------

    def _show(self, existing: Existing, change: Change, given: Given, found: Findings) -> None:
        place, new = self._place, configfile.merged(existing, change)
        self._say(f"\nFlash          {given.answers.base_url}   (its keys go there)")
        self._say(f"store          {found.store}")
        self._say(f"till           {given.answers.till_id}")
        self._say(f"address        http://127.0.0.1:{found.port}")
        self._say(f"data           {place.data_dir}")
        if found.store_id is None:
            self._say("\nThe store will be registered at Flash.")
        if not existing.text:
            self._say(f"\n{place.config} will be written.")
        elif new == existing.text:
            self._say(f"\n{place.config} is as it should be.")
        else:
            self._say(f"\n{place.config} will change:")
            for line in configfile.difference(existing.text, new, place.config):
                self._say(f"  {line}")
        if self._place.service:
            self._say("The service will be switched on, and run with it.")
        for which, key in (("write", given.write_key), ("read", given.read_key)):
            if key is not None:
                self._say(f"The agent will be given the {which} key to keep.")
        for note in found.notes:
            self._say(f"note: {note}")

    # ---- do ------------------------------------------------------------------------------------------------------

    def _do(self, existing: Existing, given: Given, found: Findings) -> agents.Client | None:
        self._say("")
        journal = _Journal(self._say)
        try:
            store_id = found.store_id or self._register(given, journal)
            change = configfile.changes(given, store_id, found.port)
            changed = configfile.merged(existing, change) != existing.text
            if self._place.service:  # first: on Windows it closes the folder in which all the rest is to lie
                self._outside.service.install()
                journal.add("the service is switched on")
            if changed:
                configfile.replace(self._place, existing, change)
                journal.add(f"{self._place.config} written")
            return self._start(given, journal, changed=changed)
        except (AgentError, KeyboardInterrupt) as error:
            done = f"Done before: {', '.join(journal.done)}." if journal.done else "Nothing was changed."
            said = "Interrupted." if isinstance(error, KeyboardInterrupt) else str(error)
            kind = ConfigError if isinstance(error, ConfigError) and not journal.done else AgentError
            raise kind(f"{said}\n{done} Run the same again to go on.") from None

    def _register(self, given: Given, journal: _Journal) -> str:
        told, key = given.answers, given.write_key
        if key is None or told.store_external_id is None or told.store_name is None:
            raise AgentError("Registering a store takes the write key, the external id and the name.")
        where = findings.address(told)
        made = examine.register(where, key, told.store_external_id, told.store_name, told.store_city)
        journal.add(f"store {told.store_external_id} registered as {made}")
        return made

    def _start(self, given: Given, journal: _Journal, *, changed: bool) -> agents.Client | None:
        """The agent running with its keys; None where nobody is to run it now."""
        pairs: tuple[tuple[Which, SecretStr | None], ...] = (("write", given.write_key), ("read", given.read_key))
        keys = {which: key for which, key in pairs if key is not None}
        if self._place.service:
            client: agents.Client | None = agents.bring_up(
                self._outside.service, self._place, self._outside.connect, changed=changed
            )
            journal.add("the service runs")
        else:
            client = agents.running(self._place, self._outside.connect)
        if client is None:
            if keys:
                agents.keep_here(self._place, keys)
                journal.add("Flash keys kept in the data directory")
            return None
        if keys:
            for note in agents.hand_over(client, keys):
                self._say(f"note: {note}")
            journal.add("Flash keys handed to the agent")
        return client
