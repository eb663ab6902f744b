"""The answers file of setup: every fault at once, with its mend, and no key in what is said."""

import socket

import pytest

from agent.errors import ConfigError
from agent.setup import answers, numbers
from agent.setup.example import EXAMPLE

pytestmark = pytest.mark.usefixtures("environ")

KEY = "fl_live_0123456789abcdef"
SOUND = f"""
write_key = "{KEY}"
store_id = "st_1"
till_id = "lane-3"
currency = "USD"
order_numbers = "unique"
"""


def read(text=SOUND, *, known=None, has_key=False, till=None):
    return answers.read(text, "answers.toml", known=known or {}, has_key=has_key, till=till)


def refusal(text, **how):
    with pytest.raises(ConfigError) as caught:
        read(text, **how)
    return str(caught.value)


def test_the_least_that_is_needed():
    given = read()
    assert given.answers.till_id == "lane-3"
    assert (given.answers.port, given.answers.language, given.answers.check) == (8455, "en", True)
    assert given.write_key.get_secret_value() == KEY
    assert given.from_file == "answers.toml"
    assert KEY not in repr(given)


def test_a_key_s_file_that_hides_the_environment_s_key_is_said(environ):
    environ.setenv(answers.KEY_VARIABLES["write"], KEY)
    said = refusal(SOUND.replace(f'write_key = "{KEY}"', 'write_key_file = "/nowhere/write.key"'))
    assert "leave it out, and FLASH_AGENT_FLASH__WRITE_KEY of the environment is taken" in said
    assert KEY not in said


def test_everything_that_is_wrong_is_said_at_once_and_repeats_no_key():
    said = refusal(f'write_key = "{KEY} {KEY}"\nread_key = 7\nstor_id = "st_1"\nport = 80\ncurrency = "usd"\nfoo = 1')
    lines = said.splitlines()
    assert all(line.startswith("answers.toml: ") for line in lines)
    for words in (
        "write_key must be 8 to 512 printable characters",
        "read_key ",
        "stor_id is no answer. Did you mean 'store_id'?",
        "foo is no answer. flash-agent setup --example shows all that there are.",
        'port must be a number from 1024 to 65535, or "auto".',
        "currency must be three capital letters, such as USD or EUR.",
        "store_id is missing: name the store",
        "till_id is missing: say which till this is",
        "order_numbers is missing: say whether order numbers repeat: unique, repeat-by-day",
    ):
        assert sum(line.startswith(f"answers.toml: {words}") for line in lines) == 1, (words, said)
    assert KEY[:14] not in said


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (('store_id = "st_1"', 'store_id = "st_1"\nstore_external_id = "0018"'), "both name the store"),
        (('store_id = "st_1"', 'store_external_id = "0018"\nregister_store = true'), "store_name is missing"),
        (("write_key", 'write_key_file = "x"\nwrite_key'), "both give the write key"),
        ((f'write_key = "{KEY}"', 'write_key_file = "/nowhere/write.key"'), "write_key_file cannot be read"),
        ((f'write_key = "{KEY}"', ""), "write_key is missing: give write_key, write_key_file, or the environment"),
        (('"unique"', '"sometimes"'), "order_numbers must be unique, repeat-by-day"),
        (('"unique"', '"{store_id}-{till}-{external_order_id}"'), "order_numbers knows no field 'till'"),
        (('"unique"', '"{store_id}"'), "order_numbers must contain {external_order_id}"),
        (('"unique"', '"unique"\nrefund_numbers = "{till_id}"'), "refund_numbers must contain {refund_id}"),
        (('"lane-3"', '"lane 3"'), "till_id "),
        (('"lane-3"', '"lane-{env:LANE}"'), "till_id names {env:LANE}, and the environment has no LANE"),
        (('"st_1"', '"st_1"\nproxy = "proxy.example.com"'), "proxy must be an address such as"),
        (('"st_1"', '"st_1"\nrecovery = "age1x"'), "recovery must be what flash-agent rescue keygen printed"),
        (('"st_1"', '"st_1"\nallowed_origins = ["pos.example.com"]'), "allowed_origins must be an origin"),
    ],
)
def test_each_fault_is_named(change, fault):
    said = refusal(SOUND.replace(*change))
    assert fault in said
    assert len(said.splitlines()) == 1, said


def test_what_is_no_toml_is_said_without_its_text():
    said = refusal(f'write_key = "{KEY}')
    assert said.startswith("answers.toml is not valid TOML")
    assert KEY not in said


def test_a_path_of_windows_is_told_how_to_be_written():
    said = refusal(SOUND.replace(f'write_key = "{KEY}"', 'write_key_file = "C:\\keys\\write.key"'))
    assert "Write a path of Windows in single quotes" in said


def test_one_file_serves_many_tills(environ):
    environ.setenv("LANE", "7")
    environ.setenv("STORE", "st_18")
    many = SOUND.replace('"lane-3"', '"{hostname}-{env:LANE}"').replace('"st_1"', '"{env:STORE}"')
    given = read(many)
    assert given.answers.till_id == f"{socket.gethostname().partition('.')[0]}-7"
    assert given.answers.store_id == "st_18"
    assert read(many, till="front").answers.till_id == "front"


def test_keys_come_from_the_answer_its_file_or_the_environment(environ, tmp_path):
    (tmp_path / "write.key").write_text(f"\ufeff{KEY}\n", encoding="utf-8")
    from_file = SOUND.replace(f'write_key = "{KEY}"', f"write_key_file = '{tmp_path / 'write.key'}'")
    given = read(from_file)
    assert (given.write_key.get_secret_value(), given.read_key, given.from_file) == (KEY, None, None)
    environ.setenv("FLASH_AGENT_FLASH__WRITE_KEY", "fl_live_from_environment")
    environ.setenv("FLASH_AGENT_FLASH__READ_KEY", "bad")
    said = refusal(from_file)
    assert said == (
        "answers.toml: FLASH_AGENT_FLASH__READ_KEY must be 8 to 512 printable characters without blanks, "
        "such as fl_live_…."
    )
    environ.delenv("FLASH_AGENT_FLASH__READ_KEY")
    assert read(from_file).write_key.get_secret_value() == KEY
    without = SOUND.replace(f'write_key = "{KEY}"', "")
    assert read(without).write_key.get_secret_value() == "fl_live_from_environment"


def test_what_is_set_already_need_not_be_answered_again():
    known = {
        "store_id": "st_1",
        "till_id": "lane-3",
        "currency": "EUR",
        "order_numbers": "repeat-by-day",
        "refund_numbers": "unique",
        "port": 9000,
    }
    given = read("", known=known, has_key=True)
    assert given.write_key is None
    assert given.answers.templates == ("{store_id}-{business_date}-{external_order_id}", "{refund_id}")
    assert read('port = "auto"', known=known, has_key=True).answers.port == "auto"
    moved = read('store_external_id = "0018"', known=known, has_key=True).answers
    assert (moved.store_id, moved.store_external_id) == (None, "0018")
    anew = read('order_numbers = "repeat-by-till"', known=known, has_key=True).answers
    assert anew.templates[1] == "{store_id}-{till_id}-{refund_id}"


def test_an_empty_answer_takes_a_setting_away():
    known = {"proxy": "http://proxy.example.com:3128", "ca_file": "/x", "recovery": "x"}
    taken = read(f'{SOUND}proxy = ""\nca_file = ""\nrecovery = ""', known=known).answers
    assert (taken.proxy, taken.ca_file, taken.recovery) == (None, None, None)


@pytest.mark.parametrize("way", numbers.WAYS, ids=lambda way: way.name)
def test_every_way_of_counting_comes_to_templates_and_back(way):
    orders, refunds = numbers.templates(way.name)
    assert orders.endswith("{external_order_id}")
    assert refunds.endswith("{refund_id}")
    assert numbers.way_of(orders, numbers.ORDER) == way.name
    assert numbers.way_of(refunds, numbers.REFUND) == way.name
    shown = numbers.example(orders, "st_1", "lane-3")
    told_apart = {"store_id": "st_1", "till_id": "lane-3", "business_date": "2026-11-22"}
    assert [value in shown for value in told_apart.values()] == [field in way.fields for field in told_apart]


def test_a_template_of_its_own_counts_refunds_alike():
    assert numbers.templates("{store_id}/{external_order_id}") == (
        "{store_id}/{external_order_id}",
        "{store_id}/{refund_id}",
    )
    assert numbers.way_of("{store_id}/{external_order_id}", numbers.ORDER) == "{store_id}/{external_order_id}"


def test_the_example_can_be_used_and_shows_every_answer(tmp_path, environ):
    environ.chdir(tmp_path)
    (tmp_path / "write.key").write_text(KEY)
    assert read(EXAMPLE).answers.order_numbers == "repeat-by-till-and-day"
    for name in answers.Answers.model_fields:
        assert name in EXAMPLE, name
    for way in numbers.WAYS:
        assert f'"{way.name}"' in EXAMPLE
        assert way.says in EXAMPLE


def test_one_answer_is_judged_alone():
    assert answers.fault_in("till_id", "lane 3") is not None
    assert answers.fault_in("till_id", "lane-3") is None
    assert "must begin with https://" in answers.fault_in("base_url", "http://flash.example.com/api/v2")
    assert answers.fault_in("port", "8500") is None
