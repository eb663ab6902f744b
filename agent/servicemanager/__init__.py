"""The agent as a service of the operating system: systemd's `flash-agent.service`, Windows' `FlashAgent`.

    state()         how the service is
    install()       register it, or bring its registration up to date; it then starts with the machine
    uninstall()     stop it and take the registration away; data and configuration stay
    start(), stop(), restart()   return when it is so: a started service listens

Each raises AgentError with the mend: no such service, no rights, a start that failed. On Linux a package brings the
unit, and `install` switches it on; on Windows `install` makes the whole registration.

What the running agent itself tells its manager is in `notifier` (systemd) and `hosted` (Windows).
"""

import sys
from pathlib import Path
from typing import Literal, Protocol

State = Literal["running", "stopped", "starting", "absent", "unknown"]


class Manager(Protocol):
    """What each system's part offers."""

    def state(self) -> State: ...

    def install(self, executable: Path | None) -> None: ...

    def uninstall(self) -> None: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


def state() -> State:
    """How the service is; `unknown` where nothing can be asked. Raises nothing."""
    return _manager().state()


def install(executable: Path | None = None) -> None:
    """Register the service, to start with the machine; done again, it points to this program.

    `executable` is the program it runs, this one where none is named; on Linux the unit names it, and none is taken.
    """
    _manager().install(executable)


def uninstall() -> None:
    """Stop the service and take its registration away; nothing happens where there is none."""
    _manager().uninstall()


def start() -> None:
    """Start it and wait until it listens; nothing happens where it runs."""
    _manager().start()


def stop() -> None:
    """Stop it and wait until it has stopped; nothing happens where it does not run."""
    _manager().stop()


def restart() -> None:
    """Stop it, and start it anew."""
    manager = _manager()
    manager.stop()
    manager.start()


def _manager() -> Manager:
    if sys.platform == "win32":
        from agent.servicemanager.windows import ServiceControl  # noqa: PLC0415 - pywin32, there alone

        return ServiceControl()
    from agent.servicemanager.systemd import Systemd  # noqa: PLC0415 - nothing of it is needed to run

    return Systemd()
