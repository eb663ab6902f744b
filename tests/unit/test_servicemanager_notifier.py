"""The words to a service manager, where there is none or an odd one."""

import asyncio
import socket
from pathlib import Path

import pytest

from agent.servicemanager.notifier import Notifier


async def test_where_nobody_listens_no_timer_runs_and_nothing_fails(monkeypatch: pytest.MonkeyPatch):
    def no_timers(*_: object) -> None:
        raise AssertionError("a timer was set")

    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", no_timers, raising=True)
    service = Notifier({"WATCHDOG_USEC": "1000"})
    with service.starting():
        pass
    service.ready("listens")
    service.stopping()


async def test_a_manager_that_has_gone_or_does_not_read_holds_nobody_up(tmp_path: Path):
    service = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    service.ready("listens")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "gone"))
        for number in range(2000):  # far more than a socket holds: a socket that blocks would hang here
            service.ready(f"{number} {'x' * 500}")
        assert deaf.recv(4096).startswith(b"READY=1\nSTATUS=0 ")


async def test_an_abstract_address_is_reached():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("")  # the system chooses an abstract one
        name = line.getsockname().decode()
        line.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{name[1:]}"}).stopping()
        assert line.recv(100) == b"STOPPING=1\nSTATUS=stops"


@pytest.mark.parametrize("watchdog", ["", "soon", "0"])
async def test_a_watchdog_that_asks_for_nothing_sensible_gets_nothing(tmp_path: Path, watchdog: str):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        line.settimeout(5)
        service = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": watchdog})
        service.ready("listens")
        service.stopping()
        assert line.recv(100).startswith(b"READY=1")
        assert line.recv(100).startswith(b"STOPPING=1")
