"""Whoever should read the agent's log and does not keeps no register waiting."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from agent.storage import DataDir
from tests.support.agents import WRITE_KEY, strict_flash
from tests.support.commands import LIMIT_S, PYTHON, call, environment, until

fcntl = pytest.importorskip("fcntl", reason="pipes are filled by way of it")
pytestmark = pytest.mark.e2e
BODY = {"externalOrderId": "1", "customer": {"externalId": "POS-CUST-5512"}, "totalAmount": 20}


def full_pipe() -> tuple[int, int]:
    source, target = os.pipe()
    flags = fcntl.fcntl(target, fcntl.F_GETFL)
    fcntl.fcntl(target, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    try:
        while True:
            os.write(target, bytes(4096))
    except BlockingIOError:
        fcntl.fcntl(target, fcntl.F_SETFL, flags)
    return source, target


def sells_and_stops(
    data_dir: DataDir, before: Sequence[str] = (), look: Callable[[int], None] | None = None, stderr: int | None = None
) -> None:
    command = [*before, *PYTHON, "-m", "agent", "run", "--data-dir", str(data_dir.path), "--port", "0"]
    with strict_flash() as flash:
        settings = {"FLASH_AGENT_FLASH__BASE_URL": flash.base_url, "FLASH_AGENT_FLASH__WRITE_KEY": WRITE_KEY}
        settings["FLASH_AGENT_STORE__STORE_ID"] = "st_1"
        with subprocess.Popen(command, env=environment(**settings), stderr=stderr) as agent:
            try:
                until(lambda: bool(data_dir.announced()))
                url = f"http://127.0.0.1:{data_dir.announced()['port']}/v1/sales"
                token = data_dir.token_path("register").read_text()
                status, sale = call("POST", url, token, BODY, Prefer="wait=10")
                assert (status, sale["status"]) == (200, "succeeded")
                if look is not None:
                    look(agent.pid)
                agent.send_signal(signal.SIGTERM)
                assert agent.wait(LIMIT_S) == 0
            finally:
                agent.kill()


def test_an_agent_whose_log_is_not_read_starts_sells_and_stops(tmp_path: Path) -> None:
    source, target = full_pipe()
    sells_and_stops(DataDir(tmp_path / "data"), stderr=target)
    os.close(source)
    os.close(target)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows it")
def test_no_file_of_the_agents_takes_the_number_of_a_standard_stream_and_it_leaves_no_core(tmp_path: Path) -> None:
    def look(pid: int) -> None:
        for number in range(3):
            assert str(Path(f"/proc/{pid}/fd/{number}").readlink()) == os.devnull
        limits = Path(f"/proc/{pid}/limits").read_text().splitlines()
        (core,) = (line for line in limits if line.startswith("Max core file size"))
        assert core.split()[4] == "1", "at 0 a collector of cores is started all the same"

    sells_and_stops(DataDir(tmp_path / "data"), ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"], look)
