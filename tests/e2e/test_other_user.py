"""Another user of the till's operating system reads none of the agent's files and cannot put one there."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agents import AgentProcess, agent_process
from tests.support.commands import NOWHERE, call

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become another user"),
]
NOBODY = 65534


@pytest.fixture
def agent() -> Iterator[AgentProcess]:
    """In a folder that everybody may enter, or nothing would be shown; the umask is as careless as it comes."""
    folder = Path(tempfile.mkdtemp(prefix="till-"))
    folder.chmod(0o755)
    before = os.umask(0)
    try:
        with agent_process(folder / "data", NOWHERE) as started:
            yield started
    finally:
        os.umask(before)
        shutil.rmtree(folder)


def as_nobody(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip


def test_another_user_reads_nothing_and_writes_nothing(agent: AgentProcess) -> None:
    operator = (agent.data_dir / "operator.token").read_text()
    base = f"http://127.0.0.1:{agent.port}"
    sale = {"externalOrderId": "1", "customer": {"externalId": "C-1"}, "totalAmount": 1}
    assert call("POST", f"{base}/v1/sales", agent.token, sale)[0] == 202
    assert call("POST", f"{base}/v1/tokens", operator, {"name": "lane-3"})[0] == 201
    public = agent.data_dir.parent / "public"
    public.write_text("for everybody")
    public.chmod(0o644)
    assert as_nobody("cat", public).stdout == "for everybody"  # so that it is the agent's doing what follows
    files = [path for path in agent.data_dir.rglob("*") if path.is_file()]
    names = {path.name for path in files}
    assert names >= {"agent.db", "agent.db-wal", "data.key", "register.token", "operator.token", "tokens.json"}
    for command in (("ls", agent.data_dir), ("touch", agent.data_dir / "planted"), *(("cat", path) for path in files)):
        refused = as_nobody(*command)
        assert (refused.returncode != 0, refused.stdout) == (True, ""), command
        assert "Permission denied" in refused.stderr, command
    agent.data_dir.chmod(0o755)  # as somebody may who wants to look for himself: the files are closed all the same
    for path in files:
        refused = as_nobody("cat", path)
        assert (refused.returncode != 0, refused.stdout) == (True, ""), path


def test_a_folder_that_was_open_is_closed_at_the_start(agent: AgentProcess) -> None:
    agent.kill()
    agent.data_dir.chmod(0o777)
    agent.start()
    assert agent.data_dir.stat().st_mode & 0o777 == 0o700
    assert as_nobody("ls", agent.data_dir).returncode != 0
