"""A store's own lines: read at start, refused whole with every fault named and its mend."""

import pytest

from agent import config
from agent.errors import ConfigError
from agent.receipt.templates import read_own
from agent.receipt.wording import Wordings


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "receipt.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_a_stores_lines_take_the_place_of_ours_in_their_language_alone(file):
    path = file(
        '\ufeff[de]\nbalance = "Ihr Stand: {balance}"\nsale_earned = "+{points}"\n'
        'refund_taken_back = { one = "-{points} Punkt", other = "-{points} Punkte" }\nsale_pending = ""\n'
    )
    wordings = Wordings("de", "EUR", read_own(path))
    german, english = wordings.default, wordings.asked("en")
    sold = {"awarded": 1, "balance": 1820}
    assert list(german.operation("sale", "succeeded", sold)) == ["+1", "Ihr Stand: 1.820"]
    assert list(german.operation("refund", "succeeded", {"clawedBack": 2})) == ["-2 Punkte"]
    assert list(german.operation("sale", "pending")) == []
    assert list(wordings.asked("de-AT").member(7)) == ["Ihr Stand: 7"]
    assert list(english.operation("sale", "succeeded", sold)) == ["You earned 1 point", "Balance: 1,820"]


@pytest.mark.parametrize(
    ("text", "named", "mend"),
    [
        ('[it]\nbalance = "x"', "[it] is no language", "there are en, de, fr, es, zh, ja"),
        ('[dee]\nbalance = "x"', "[dee] is no language", "'de'"),
        ('de = "x"', "de must be a table", "[de]"),
        ('[de]\nsale_earnd = "x"', "[de] sale_earnd is no line", "'sale_earned'"),
        ('[de]\nzzz = "x"', "[de] zzz is no line", "sale_earned, sale_pending"),
        ('[de]\nbalance = "{balnce}"', "[de] balance knows no placeholder {balnce}", "'balance'"),
        ('[de]\nbalance = "{name}"', "[de] balance knows no placeholder {name}", "balance"),
        ('[de]\nenrollment_welcome = "Hallo {name}"', "knows no placeholder {name}", "it takes none"),
        ('[de]\nbalance = "{balance:>9}"', "[de] balance must hold plain placeholders", "{points}"),
        ('[de]\nbalance = "{balance!r}"', "[de] balance must hold plain placeholders", "{points}"),
        ('[de]\nbalance = "{balance.real}"', "knows no placeholder {balance.real}", "balance"),
        ('[de]\nbalance = "{}"', "knows no placeholder {}", "balance"),
        ('[de]\nbalance = "{balance"', "[de] balance has unbalanced braces", ""),
        ('[de]\nbalance = "a\\nb"', "[de] balance must be one line", ""),
        ('[de]\nbalance = "a\\u001bb"', "[de] balance must be one line", "control"),
        (f'[de]\nbalance = "{"x" * 121}"', "[de] balance must have at most 120", ""),
        ("[de]\nbalance = 7", "[de] balance must be a text", ""),
        ('[de]\nbalance = { other = "x" }', "[de] balance must be a text", ""),
        ("[de]\nsale_earned = 7", "[de] sale_earned must be a text or a table", "plural"),
        ('[de]\nsale_earned = { one = "x" }', "[de] sale_earned needs", "'other'"),
        ('[de]\nsale_earned = { other = "x", many = "y" }', "sale_earned.many is no plural category", "one, other"),
        ("[de]\nsale_earned = { other = 7 }", "[de] sale_earned.other must be a text", ""),
        ('[de]\nsale_earned = { other = "{point}" }', "sale_earned.other knows no placeholder {point}", "'points'"),
        ("[de", "is not valid TOML", ""),
        (b"\xff\xfe", "is not UTF-8", ""),
        ("#" * 70_000, "has more than 65536 bytes", ""),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_mend_and_stops_the_start(file, tmp_path, text, named, mend):
    path = file(text)
    agent = tmp_path / "agent.toml"
    agent.write_text(f"[receipt]\ntemplates_file = '{path}'")
    with pytest.raises(ConfigError) as caught:
        config.load(str(agent))
    message = str(caught.value)
    assert "[receipt] templates_file" in message
    assert str(path) in message
    assert named in message
    assert mend in message


def test_every_fault_is_told_at_once(file):
    with pytest.raises(ValueError) as caught:
        read_own(file('[it]\nx = "y"\n[de]\nbalance = "{name}"\nsale_earnd = "x"'))
    assert all(part in str(caught.value) for part in ("[it]", "{name}", "sale_earnd"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    agent = tmp_path / "agent.toml"
    agent.write_text(f"[receipt]\ntemplates_file = '{tmp_path / 'none.toml'}'")
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read"):
        config.load(str(agent))


@pytest.mark.parametrize("language", ["it", "deutsch", "", "d e"])
def test_a_store_whose_language_has_no_lines_is_told_which_have(tmp_path, language):
    agent = tmp_path / "agent.toml"
    agent.write_text(f'[store]\nlanguage = "{language}"')
    with pytest.raises(ConfigError, match=r"\[store\] language: must be one of en, de, fr, es, zh, ja"):
        config.load(str(agent))


@pytest.mark.parametrize("language", ["de", "de-AT", "pt_BR", "zh_Hans_CN"])
def test_a_stores_language_may_have_a_region(tmp_path, language):
    agent = tmp_path / "agent.toml"
    agent.write_text(f'[store]\nlanguage = "{language}"')
    if language == "pt_BR":
        with pytest.raises(ConfigError):
            config.load(str(agent))
    else:
        assert config.load(str(agent)).store.language == language
