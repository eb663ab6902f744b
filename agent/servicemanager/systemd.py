"""systemd's part, through `systemctl`: it speaks to whichever systemd there is, and asks for rights in its own way."""

import shutil
import subprocess
from pathlib import Path

from agent.errors import AgentError
from agent.servicemanager import State

UNIT = "flash-agent.service"
_START_LIMIT_S = 600  # the unit's own time limits end it earlier; a migration may take minutes
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
                for line in _systemctl("show", "--property=LoadState,ActiveState").splitlines()
                if "=" in line
            )
        except AgentError:
            return "unknown"
        if shown.get("LoadState") in {"not-found", "bad-setting", "error", "masked"}:
            return "absent"
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
        _systemctl("start")

    def stop(self) -> None:
        self._must_be_there()
        _systemctl("stop")

    def _must_be_there(self) -> None:
        if self.state() == "absent":
            raise AgentError(f"There is no {UNIT} here. Install the package flash-pos-agent, which brings it.")


def _systemctl(*words: str) -> str:
    """What it printed; raises AgentError with what it said."""
    mend = f"Run flash-agent run under the service manager that there is, or see systemctl status {UNIT}."
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
        raise AgentError(f"systemctl {words[0]} failed: {said} (It may need root: sudo.) {mend}")
    return done.stdout
