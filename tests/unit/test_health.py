"""Conditions: raised and cleared by those who see them, with the time of the first raise."""

import pytest

from agent.health import CONDITIONS, Health, Severity


@pytest.fixture
def health(clock):
    return Health(clock)


def shown(health):
    return [raised.as_json() for raised in health]


def test_nothing_holds_at_first(health):
    assert shown(health) == []
    assert "flash-offline" not in health


def test_a_raised_condition_is_shown_with_what_to_do(health):
    health.set("flash-offline", active=True, detail="The certificate is not trusted.")
    condition = CONDITIONS["flash-offline"]
    assert "flash-offline" in health
    assert shown(health) == [
        {
            "code": "flash-offline",
            "severity": "warning",
            "text": f"{condition.text} The certificate is not trusted.",
            "since": "2026-11-22T12:00:00.000Z",
            "mend": condition.mend,
        }
    ]


def test_the_first_raise_sets_the_time_and_the_last_one_the_detail(health, clock):
    health.set("disk-low", active=True, detail="90 MB left.")
    clock.advance(60)
    health.set("disk-low", active=True, detail="80 MB left.")
    (raised,) = shown(health)
    assert (raised["since"], raised["text"][-11:]) == ("2026-11-22T12:00:00.000Z", "80 MB left.")


def test_a_condition_that_comes_back_is_a_new_one(health, clock):
    health.set("disk-low", active=True)
    health.set("disk-low", active=False)
    assert ("disk-low" in health, shown(health)) == (False, [])
    clock.advance(60)
    health.set("disk-low", active=True)
    assert shown(health)[0]["since"] == "2026-11-22T12:01:00.000Z"
    assert shown(health)[0]["text"] == CONDITIONS["disk-low"].text


def test_clearing_what_does_not_hold_is_nothing(health):
    health.set("disk-low", active=False)
    assert shown(health) == []


def test_conditions_are_told_in_the_order_they_arose(health, clock):
    for code in ("storage-full", "disk-low", "flash-offline"):
        health.set(code, active=True)
        clock.advance(1)
    health.set("storage-full", active=True, detail="again")
    assert [raised["code"] for raised in shown(health)] == ["storage-full", "disk-low", "flash-offline"]


def test_an_undeclared_condition_cannot_be_raised(health):
    with pytest.raises(KeyError):
        health.set("never-heard-of", active=True)
    assert shown(health) == []


@pytest.mark.parametrize("code", CONDITIONS)
def test_every_condition_says_in_words_what_it_means_and_what_to_do(code):
    condition = CONDITIONS[code]
    assert condition.code == code
    assert condition.severity in set(Severity)
    for words in (condition.text, condition.mend):
        assert len(words) > 20
        assert words.endswith(".")
