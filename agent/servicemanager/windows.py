"""Windows' part: the service control manager, through pywin32.

The service runs as its own virtual account, `NT SERVICE\\FlashAgent`: no password, no right on the machine but those
of every user, keys that no other service can open.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pywintypes  # type: ignore[import-not-found,import-untyped,unused-ignore]
import win32service  # type: ignore[import-not-found,import-untyped,unused-ignore]

from agent import config
from agent.errors import AgentError
from agent.servicemanager import State, folder, ownership
from agent.servicemanager.account import ACCOUNT, NAME

DISPLAY_NAME = "Flash POS Agent"
DESCRIPTION = "Takes this till's sales for the Flash loyalty platform, and sends them when the line is up."
_STOP_LIMIT_S = 60.0
_STALE_S = 60.0  # a start that has not moved on for so long has failed; one that does may take as long as it needs
_LOOK_EVERY_S = 0.1
_RESTART_AFTER_MS = (1_000, 5_000, 60_000)  # the first failures; the last counts for all that follow
_FORGET_FAILURES_S = 3600
_PRESHUTDOWN_MS = 30_000
_ABSENT, _EXISTS = 1060, 1073
_RUNS_ALREADY, _RUNS_NOT = 1056, 1062
_NO_LEVEL = {120, 124}  # a Windows that does not know this part of a registration
_MENDS = {
    5: "Run this as an administrator.",
    1058: "It was disabled; flash-agent service install enables it.",
    1060: "flash-agent service install makes it.",
    1069: "Its account may not log on as a service: grant that right to NT SERVICE\\ALL SERVICES in the policy.",
    1072: "It is being removed. Close the list of services and other windows that show it, and try again.",
}
_STATES: dict[int, State] = {
    win32service.SERVICE_RUNNING: "running",
    win32service.SERVICE_START_PENDING: "starting",
    win32service.SERVICE_STOP_PENDING: "stopped",
    win32service.SERVICE_STOPPED: "stopped",
}


def command_line(executable: Path | None = None) -> str:
    """What the service runs: every part quoted as Windows splits it, so that a blank in a path leads nowhere else."""
    if executable is None and not getattr(sys, "frozen", False):
        return subprocess.list2cmdline([sys.executable, "-m", "agent", "service", "host"])
    return f'"{executable or sys.executable}" service host'


class ServiceControl:
    """The registration, and what it does."""

    def state(self) -> State:
        try:
            with _service(win32service.SERVICE_QUERY_STATUS) as service:
                status = win32service.QueryServiceStatusEx(service)
                return _STATES.get(status["CurrentState"], "unknown")
        except _ServiceError as error:
            return "absent" if error.number == _ABSENT else "unknown"

    def install(self, executable: Path | None) -> None:
        if self.state() == "absent":  # from then on the folder is closed
            ownership.must_be_ours(config.default_config_path())
        folder.make(config.site_data_dir())
        command = command_line(executable)
        with _manager(win32service.SC_MANAGER_CREATE_SERVICE) as manager:
            try:
                with _said("registered"):
                    win32service.CreateService(
                        manager, NAME, DISPLAY_NAME, win32service.SERVICE_ALL_ACCESS,
                        win32service.SERVICE_WIN32_OWN_PROCESS, win32service.SERVICE_AUTO_START,
                        win32service.SERVICE_ERROR_NORMAL, command, None, False, None, ACCOUNT, None,
                    ).Close()  # fmt: skip
            except _ServiceError as error:
                if error.number != _EXISTS:
                    raise
        with _service(win32service.SERVICE_ALL_ACCESS) as service, _said("configured"):
            keep = win32service.SERVICE_NO_CHANGE
            win32service.ChangeServiceConfig(
                service, keep, win32service.SERVICE_AUTO_START, keep, command, None, False, None, None, None,
                DISPLAY_NAME,
            )  # fmt: skip
            for level, value in _configuration():
                _configure(service, level, value)

    def uninstall(self) -> None:
        if self.state() == "absent":
            return
        self.stop()
        with _service(win32service.SERVICE_ALL_ACCESS) as service, _said("removed"):
            win32service.DeleteService(service)

    def start(self) -> None:
        with _service(win32service.SERVICE_START | win32service.SERVICE_QUERY_STATUS) as service:
            if _current(service) == win32service.SERVICE_STOPPED:
                with _said("started", unless=_RUNS_ALREADY):  # a recovery action was quicker
                    win32service.StartService(service, None)
            seen, since = 0, time.monotonic()
            while (status := win32service.QueryServiceStatusEx(service))[
                "CurrentState"
            ] != win32service.SERVICE_RUNNING:
                if status["CurrentState"] == win32service.SERVICE_STOPPED:
                    raise AgentError(f"The service ended instead of listening. {_LOOK_INTO_LOG}")
                if status["CheckPoint"] != seen:
                    seen, since = status["CheckPoint"], time.monotonic()
                if time.monotonic() - since > _STALE_S:
                    raise AgentError(f"The service does not get ready. {_LOOK_INTO_LOG}")
                time.sleep(_LOOK_EVERY_S)

    def stop(self) -> None:
        with _service(win32service.SERVICE_STOP | win32service.SERVICE_QUERY_STATUS) as service:
            until = time.monotonic() + _STOP_LIMIT_S
            told = False
            while (current := _current(service)) != win32service.SERVICE_STOPPED:
                if current == win32service.SERVICE_RUNNING and not told:
                    with _said("stopped", unless=_RUNS_NOT):  # it ended by itself
                        win32service.ControlService(service, win32service.SERVICE_CONTROL_STOP)
                    told = True
                if time.monotonic() > until:
                    raise AgentError("The service does not stop. End the process flash-agent.exe in the task manager.")
                time.sleep(_LOOK_EVERY_S)


_LOOK_INTO_LOG = r"Why is in logs\agent.log in the data directory; flash-agent config check names what is wrong there."


class _ServiceError(AgentError):
    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


@contextmanager
def _said(done: str, unless: int = 0) -> Iterator[None]:
    """Windows' own words and number, with the mend where there is one; nothing for the number that does no harm."""
    try:
        yield
    except pywintypes.error as error:
        if error.winerror == unless:
            return
        mend = _MENDS.get(error.winerror, "")
        text = f"The service {NAME} could not be {done}: {error.strerror.strip()} (error {error.winerror}). {mend}"
        raise _ServiceError(text.strip(), error.winerror) from None


@contextmanager
def _manager(rights: int) -> Iterator[Any]:
    with _said("reached"):
        manager = win32service.OpenSCManager(None, None, rights)
    try:
        yield manager
    finally:
        win32service.CloseServiceHandle(manager)


@contextmanager
def _service(rights: int) -> Iterator[Any]:
    with _manager(win32service.SC_MANAGER_CONNECT) as manager:
        with _said("opened"):
            service = win32service.OpenService(manager, NAME, rights)
        try:
            yield service
        finally:
            win32service.CloseServiceHandle(service)


def _current(service: Any) -> int:
    with _said("asked"):
        return int(win32service.QueryServiceStatusEx(service)["CurrentState"])


def _configuration() -> Iterator[tuple[int, Any]]:
    """Each part of the registration beyond the first: its level, and its value as pywin32 takes it."""
    restarts = [(win32service.SC_ACTION_RESTART, delay) for delay in _RESTART_AFTER_MS]
    failures = {"ResetPeriod": _FORGET_FAILURES_S, "RebootMsg": "", "Command": "", "Actions": restarts}
    yield win32service.SERVICE_CONFIG_DESCRIPTION, DESCRIPTION
    yield win32service.SERVICE_CONFIG_FAILURE_ACTIONS, failures
    yield (
        win32service.SERVICE_CONFIG_FAILURE_ACTIONS_FLAG,
        True,
    )  # a start that ends in an error counts as a failure too
    yield win32service.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, True
    yield win32service.SERVICE_CONFIG_PRESHUTDOWN_INFO, _PRESHUTDOWN_MS
    yield win32service.SERVICE_CONFIG_SERVICE_SID_INFO, win32service.SERVICE_SID_TYPE_UNRESTRICTED
    yield win32service.SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, ["SeChangeNotifyPrivilege"]


def _configure(service: Any, level: int, value: Any) -> None:
    try:
        win32service.ChangeServiceConfig2(service, level, value)
    except pywintypes.error as error:
        if error.winerror not in _NO_LEVEL:
            raise
