"""With `[keys] recovery` set, whatever opens the database can be had without the till's own system."""

import json

import pytest

from agent import agefile
from agent.agefile import AgeError
from agent.datakeys.recovery import reveal
from agent.errors import ConfigError
from agent.storage.keyfile import KeyFile
from tests.support.agents import running, settings, until


@pytest.fixture(scope="module")
def pair():
    return agefile.new_pair()


def with_recovery(pair):
    return settings(keys={"recovery": pair[0]})


def read(data_dir):
    return KeyFile(data_dir / "data.key").load_or_create(None)


async def test_the_keys_are_recovered_as_they_are_after_a_rotation(tmp_path, pair):
    file = tmp_path / "data.key.recovery"
    async with running(tmp_path, with_recovery(pair)) as register:
        assert reveal(file, pair[1]) == read(tmp_path)
        await register.sell()
        assert (await register.call("POST", "/v1/data-key/rotate", scope="operator")).status == 200
        assert reveal(file, pair[1]) == read(tmp_path)
        assert sorted(read(tmp_path).sealing) == [1, 2]

        async def is_over():
            return not (await register.status())["dataKey"]["resealing"]

        await until(is_over)
    async with running(tmp_path, with_recovery(pair)):
        assert sorted(reveal(file, pair[1]).sealing) == [2]


async def test_a_till_that_had_none_gets_it_at_its_next_start_and_then_it_is_not_written_again(tmp_path, pair):
    file = tmp_path / "data.key.recovery"
    async with running(tmp_path):
        pass
    assert not file.exists()
    async with running(tmp_path, with_recovery(pair)) as register:
        assert reveal(file, pair[1]) == read(tmp_path)
        assert "recovery-key-not-kept" not in await register.conditions()
    before = file.stat().st_mtime_ns
    async with running(tmp_path, with_recovery(pair)):
        pass
    assert file.stat().st_mtime_ns == before


async def test_when_head_office_has_another_key_the_next_start_seals_to_that_one(tmp_path, pair):
    file, other = tmp_path / "data.key.recovery", agefile.new_pair()
    for of_head_office in (pair, other):
        async with running(tmp_path, with_recovery(of_head_office)):
            assert reveal(file, of_head_office[1]) == read(tmp_path)
    with pytest.raises(AgeError):
        reveal(file, pair[1])


async def test_where_it_cannot_be_written_the_till_sells_and_says_so(tmp_path, pair):
    async with running(tmp_path):
        pass
    (tmp_path / "data.key.recovery.new").mkdir()
    async with running(tmp_path, with_recovery(pair)) as register:
        assert "recovery-key-not-kept" in await register.conditions()
        assert (await register.sell()).status == 202
        refused = await register.call("POST", "/v1/data-key/rotate", scope="operator")
        assert (refused.status, refused.json["retryable"]) == (503, True)
    assert sorted(json.loads((tmp_path / "data.key").read_text())["sealing"]) == ["1"]


async def test_a_mistyped_recipient_stops_the_start(tmp_path, pair):
    mistyped = pair[0][:-1] + ("q" if pair[0][-1] != "q" else "p")
    with pytest.raises(ConfigError, match=r"\[keys\] recovery is no age recipient"):
        async with running(tmp_path, with_recovery((mistyped, ""))):
            pass
