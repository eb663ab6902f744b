"""Whatever ends a test run, the agents that were forked for it end too."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

if not hasattr(os, "fork"):
    pytest.skip("nothing is forked here", allow_module_level=True)

RUN = """
import sys
from pathlib import Path
from tests.support.forking import Forks

with Forks() as forks, Path(sys.argv[1]).open("wb") as log:
    print(forks.launch([], {}, log, stopped=True).pid, flush=True)
    sys.stdin.read()
"""


def left(processes):
    """Those that still run; one that nobody has collected yet does not."""
    _, alive = psutil.wait_procs(processes, timeout=0.02)
    return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_run_that_is_ended_with_its_group_leaves_nothing_behind(tmp_path, name):
    command = [sys.executable, "-c", RUN, str(tmp_path / "log")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as run:
        forked = psutil.Process(int(run.stdout.readline()))
        processes = [forked, forked.parent()]
        os.killpg(run.pid, signal.Signals[name])
    try:
        until = time.monotonic() + 15
        while left(processes):
            assert time.monotonic() < until, f"still there: {left(processes)}"
    finally:
        for process in left(processes):
            process.kill()
