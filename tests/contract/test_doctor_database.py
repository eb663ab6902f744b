"""What the doctor sees of a database that no agent has, or that one took meanwhile."""

import dataclasses

import pytest

from agent.doctor import database
from agent.doctor.case import Case
from tests.support.agents import running


@pytest.fixture
def case(tmp_path):
    return Case(tmp_path / "agent.toml", tmp_path, agent="absent")


def codes(case):
    return [finding.kind.code for finding in database.look(case)]


async def test_operations_that_lost_their_key_are_named_and_none_without_operations(tmp_path, case):
    assert codes(case) == ["database-ok"]
    async with running(tmp_path):
        pass
    key = (tmp_path / "data.key").read_bytes()
    (tmp_path / "data.key").unlink()
    assert codes(case) == ["database-ok"]
    (tmp_path / "data.key").write_bytes(key)
    async with running(tmp_path) as register:
        await register.sell("1")
    assert codes(case) == ["database-ok"]
    (tmp_path / "data.key").unlink()
    assert codes(case) == ["database-keyless"]


async def test_a_database_that_is_gone_while_its_key_is_there_is_damage(tmp_path, case):
    async with running(tmp_path):
        pass
    for path in tmp_path.glob("agent.db*"):
        path.unlink()
    assert codes(case) == ["database-damaged"]


async def test_of_a_database_that_an_agent_took_meanwhile_nothing_is_said(tmp_path, case):
    async with running(tmp_path):
        (seen,) = database.look(case)
        assert (seen.kind.code, seen.particulars) == ("database-unread", "an agent started meanwhile.")
        assert codes(dataclasses.replace(case, agent="running")) == ["database-ok"]
        assert codes(dataclasses.replace(case, agent="silent")) == ["database-unread"]
