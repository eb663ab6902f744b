"""The doctor's way to Flash: how far it goes while Flash is not to be asked, and what it says of the clock."""

import pytest

from agent.doctor import network
from agent.doctor.case import Case
from tests.support.agents import settings, strict_flash


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


def seen_by(flash, tmp_path, **status):
    status = {"conditions": [], "clockSkewSeconds": None, **status}
    case = Case(tmp_path / "agent.toml", tmp_path, settings(flash.base_url), agent="running", status=status)
    return {finding.kind.code: finding for finding in network.look(case)}


def test_flash_is_asked_once_and_without_a_key(flash, tmp_path):
    assert seen_by(flash, tmp_path).keys() == {"network-ok", "tls-ok", "flash-ok", "clock-ok"}
    (asked,) = flash.requests
    assert (asked.request.route, asked.request.token) == ("GET /stores", "")


def test_while_flash_asked_to_be_left_alone_the_way_is_tried_and_nothing_asked(flash, tmp_path):
    seen = seen_by(flash, tmp_path, conditions=[{"code": "flash-throttled"}], clockSkewSeconds=200.0)
    assert seen.keys() == {"network-ok", "tls-ok", "flash-unasked", "clock-skewed"}
    assert "behind" in seen["clock-skewed"].title  # as the agent heard it before
    assert list(flash.requests) == []


def test_in_a_drill_not_even_the_way_is_tried(flash, tmp_path):
    flash.stop()
    seen = seen_by(flash, tmp_path, conditions=[{"code": "outage-drill"}])
    assert seen.keys() == {"flash-unasked", "clock-unknown"}
