"""`flash-agent token` on a running till."""

import http.client
import json
import sys

import pytest

from tests.support.agents import AgentProcess
from tests.support.commands import flash_agent, of

pytestmark = pytest.mark.e2e


def status_with(agent: AgentProcess, token: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", agent.port, timeout=10)
    try:
        connection.request("GET", "/v1/status", headers={"Authorization": f"Bearer {token}", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_token_is_made_shown_once_listed_and_revoked(offline: AgentProcess) -> None:
    assert of(offline, "token", "list").stdout.startswith("No client has a token of its own")
    made = of(offline, "token", "create", "--name", "lane-3")
    token = made.stdout.strip()  # nothing but the token, for a script to take
    assert (made.returncode, len(token.split())) == (0, 1)
    assert "not shown again" in made.stderr
    assert status_with(offline, token) == 200
    page = of(offline, "token", "create", "--name", "web", "--origin", "https://pos.example.com").stdout.strip()
    assert status_with(offline, page) == 403
    assert status_with(offline, page, Origin="https://pos.example.com") == 200
    listed = of(offline, "token", "list").stdout
    assert "lane-3" in listed
    assert "https://pos.example.com" in listed
    assert token not in listed + of(offline, "token", "list", "--json").stdout
    ids = {each["name"]: each["id"] for each in json.loads(of(offline, "token", "list", "--json").stdout)["tokens"]}
    revoked = of(offline, "token", "revoke", "lane-3")
    assert (revoked.returncode, ids["lane-3"] in revoked.stdout) == (0, True)
    assert of(offline, "token", "revoke", ids["web"]).returncode == 0
    assert (status_with(offline, token), status_with(offline, page)) == (401, 401)


def test_faults_are_named(offline: AgentProcess) -> None:
    for arguments, said in (
        (["create", "--name", "a b"], "name must be 1 to 64"),
        (["create", "--name", "x", "--origin", "pos.example.com"], "origin must be an origin"),
        (["revoke", "nobody"], "There is no token"),
        (["revoke", "../status"], "There is no"),
    ):
        result = of(offline, "token", *arguments)
        assert (result.returncode, said in result.stderr) == (1, True), result.stderr


def test_without_an_agent_it_says_so(tmp_path: object) -> None:
    result = flash_agent("token", "list", "--data-dir", tmp_path)
    assert result.returncode == 1
    assert "No agent runs with the data directory" in result.stderr


def test_it_loads_no_http_library(offline: AgentProcess) -> None:
    result = flash_agent("token", "list", "--data-dir", offline.data_dir, python=(sys.executable, "-X", "importtime"))
    assert result.returncode == 0
    assert "aiohttp" not in result.stderr
