"""Whoever should read the agent's log and does not keeps no register waiting."""

import os
import signal
import subprocess
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


def test_an_agent_whose_log_is_not_read_starts_sells_and_stops(tmp_path: Path) -> None:
    source, target = full_pipe()
    data_dir = DataDir(tmp_path / "data")
    command = [*PYTHON, "-m", "agent", "run", "--data-dir", str(data_dir.path), "--port", "0"]
    with strict_flash() as flash:
        settings = {"FLASH_AGENT_FLASH__BASE_URL": flash.base_url, "FLASH_AGENT_FLASH__WRITE_KEY": WRITE_KEY}
        settings["FLASH_AGENT_STORE__STORE_ID"] = "st_1"
        with subprocess.Popen(command, env=environment(**settings), stderr=target) as agent:
            try:
                until(lambda: bool(data_dir.announced()))
                url = f"http://127.0.0.1:{data_dir.announced()['port']}/v1/sales"
                token = data_dir.token_path("register").read_text()
                status, sale = call("POST", url, token, BODY, Prefer="wait=10")
                assert (status, sale["status"]) == (200, "succeeded")
                agent.send_signal(signal.SIGTERM)
                assert agent.wait(LIMIT_S) == 0
            finally:
                agent.kill()
    os.close(source)
    os.close(target)
