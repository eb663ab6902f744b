"""systemd's part, through `systemctl`: it speaks to whichever systemd there is, and asks for rights in its own way."""

import os
import shutil
import subprocess
from pathlib import Path

from agent.errors import AgentError
from agent.servicemanager import State

UNIT = "flash-agent.service"
_START_LIMIT_S = 600  # the unit's own time limits end it earlier; a migration may take minutes
_JOURNAL_S = 10
_MORE = "What else may be wrong: flash-agent doctor. The whole log: journalctl -u flash-agent -n 50"
_OWN = "flash-agent: "  # begins what the program says of its end
_STATES: dict[str, State] = {
    "active": "running",
    "reloading": "running",
    "activating": "starting",
    "deactivating": "stopped",
    "inactive": "stopped",
    "failed": "stopped",
}


class Systemd:
    """The unit that the package brings."""

    def state(self) -> State:
        try:
            shown = dict(
                line.split("=", 1)
                for line in _systemctl("show", "--property=LoadState,ActiveState,SubState").splitlines()
                if "=" in line
            )
        except AgentError:
            return "unknown"
        if shown.get("LoadState") in {"not-found", "bad-setting", "error", "masked"}:
            return "absent"
        if shown.get("SubState") == "auto-restart":  # it ended, and will be tried again
            return "stopped"
        return _STATES.get(shown.get("ActiveState", ""), "unknown")

    def install(self, executable: Path | None) -> None:
        if executable is not None:
            raise AgentError(f"On Linux {UNIT} says which program runs. Install the package of the one that you want.")
        self._must_be_there()
        _systemctl("enable")

    def uninstall(self) -> None:
        if self.state() != "absent":
            _systemctl("disable", "--now")

    def start(self) -> None:
        self._must_be_there()
        try:
            _systemctl("start")
        except AgentError as error:
            if reason := _last_words():
                raise AgentError(f"The service did not start. Its log says:\n  {reason}\n{_MORE}") from error
            raise
        if self.state() == "stopped":  # systemd skips a unit whose condition is not met, and calls that a success
            raise AgentError(f"The service was not started. Was this till never set up: flash-agent setup. {_MORE}")

    def stop(self) -> None:
        self._must_be_there()
        _systemctl("stop")

    def _must_be_there(self) -> None:
        if self.state() == "absent":
            raise AgentError(f"There is no {UNIT} here. Install the package flash-pos-agent, which brings it.")


def _systemctl(*words: str) -> str:
    """What it printed; raises AgentError with what it said."""
    mend = f"Where another service manager is, let it run flash-agent run; else see systemctl status {UNIT}."
    program = shutil.which("systemctl")
    if program is None:
        raise AgentError(f"There is no systemd here. {mend}")
    command = [program, *words, UNIT]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, check=False, timeout=_START_LIMIT_S, text=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise AgentError(f"systemctl {words[0]} did not end ({type(error).__name__}). {mend}") from None
    if done.returncode != 0:
        said = done.stderr.strip() or f"exit code {done.returncode}"
        rights = "" if os.geteuid() == 0 else " (It may need root: sudo.)"
        raise AgentError(f"systemctl {words[0]} failed: {said}{rights} {mend}")
    return done.stdout


def _last_words() -> str:
    """What the program said when it ended the last time; empty where the journal cannot be read, or has nothing."""
    program = shutil.which("journalctl")
    if program is None:
        return ""
    command = [program, "--unit", UNIT, "--lines=20", "--output=cat", "--no-pager", "--since=-1min"]
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command, capture_output=True, check=False, timeout=_JOURNAL_S, text=True, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    said = [line.removeprefix(_OWN) for line in done.stdout.splitlines() if line.startswith(_OWN)]
    return said[-1] if said else ""
