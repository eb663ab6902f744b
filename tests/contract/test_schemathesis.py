"""schemathesis tries what the served OpenAPI document says on a real agent: no 5xx, and nothing undescribed.

Sound and unsound documents, missing and wrong headers, every method on every path, and calls that follow one another;
always the same ones, so that a failure here is news and not luck.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.agents import agent_process, strict_flash
from tests.support.commands import NOWHERE

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]  # twenty times what it takes on a quiet machine

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
)
# The events go on for ever; a drill takes Flash away from the other calls, which then say so with a 503.
LEFT_OUT = ("/v1/events", "/v1/drill")
LIMIT_S = 130


def schemathesis(place: Path, base_url: str, token: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{base_url}/openapi.json", "--url", base_url]
    command += ["--header", f"Authorization: Bearer {token}", "--checks", ",".join(CHECKS), "--warnings", "off"]
    command += ["--generation-deterministic", "--continue-on-failure"]
    command += ["--suppress-health-check", "all", "--request-timeout", "60", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, cwd=place)


def test_what_cannot_be_served_is_answered_as_described(tmp_path: Path) -> None:
    """Without Flash and without the data key much is a 503; none of it is a fault of the agent's own."""
    with agent_process(tmp_path / "data", NOWHERE) as agent:
        token = (tmp_path / "data" / "operator.token").read_text()
        agent.kill()
        (tmp_path / "data" / "data.key").rename(tmp_path / "elsewhere")
        agent.start()
        options = ("--phases", "coverage", "--exclude-checks", "not_a_server_error", "--exclude-path", "/v1/events")
        done = schemathesis(tmp_path, f"http://127.0.0.1:{agent.port}", token, *options)
        assert done.returncode == 0, done.stdout[-6000:]
    assert "request failed" not in agent.log.read_text()


def test_the_whole_document_holds(tmp_path: Path) -> None:
    with strict_flash() as flash, agent_process(tmp_path / "data", flash.base_url) as agent:
        flash.set(strict_redeem=False)  # one coupon in several baskets is what it tries
        token = (tmp_path / "data" / "operator.token").read_text()
        left_out = [option for path in LEFT_OUT for option in ("--exclude-path", path)]
        base_url = f"http://127.0.0.1:{agent.port}"
        done = schemathesis(tmp_path, base_url, token, "--max-examples", "6", *left_out)
        assert done.returncode == 0, done.stdout[-6000:]
        drill = schemathesis(tmp_path, base_url, token, "--max-examples", "6", "--include-path", "/v1/drill")
        assert drill.returncode == 0, drill.stdout[-6000:]
        assert not flash.violations
    assert '"level": "error"' not in agent.log.read_text()
