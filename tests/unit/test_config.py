"""The settings: file, then environment, then flags; anything unknown or malformed stops the start with its name."""

import json
from pathlib import Path

import pytest

from agent import config
from agent.config import Settings
from agent.errors import ConfigError

pytestmark = pytest.mark.usefixtures("environ")

KEY = "fl_live_0123456789abcdef"
OTHER_KEY = "fl_live_fedcba9876543210"


@pytest.fixture
def refusal(load):
    def of(text="", flags=None):
        with pytest.raises(ConfigError) as caught:
            load(text, flags)
        return str(caught.value)

    return of


# ---- where settings come from --------------------------------------------------------------------------------------


def test_the_documented_defaults(load):
    settings = load()
    assert settings.flash.base_url == "https://flash.socialhub.ai/api/v2"
    assert (settings.api.port, settings.api.allowed_origins) == (8455, ())
    assert (settings.orders.id_template, settings.coupons.offline) == ("{external_order_id}", "decline")
    assert (settings.flash.attempt_timeout_s, settings.relay.order_wait_h) == (8.0, 72.0)
    assert (settings.storage.tombstone_days, settings.flash.extended_orders) == (400, False)
    assert (settings.key("write"), settings.key("read")) == (None, None)


def test_flags_beat_the_environment_which_beats_the_file(load, environ):
    text = '[api]\nport = 1001\n[store]\ntill_id = "file"\nstore_id = "st_file"'
    assert load(text).api.port == 1001
    environ.setenv("FLASH_AGENT_API__PORT", "1002")
    environ.setenv("FLASH_AGENT_STORE__TILL_ID", "environment")
    settings = load(text)
    assert (settings.api.port, settings.store.till_id, settings.store.store_id) == (1002, "environment", "st_file")
    settings = load(text, {"api": {"port": 1003}, "store": {"till_id": "flag"}})
    assert (settings.api.port, settings.store.till_id, settings.store.store_id) == (1003, "flag", "st_file")


def test_a_flag_keeps_the_key_of_its_section(load):
    settings = load(f'[flash]\nwrite_key = "{KEY}"', {"flash": {"base_url": "http://127.0.0.1:9"}})
    assert settings.key("write").get_secret_value() == KEY
    assert settings.flash.base_url == "http://127.0.0.1:9"


def test_lists_in_the_environment_are_json(load, environ):
    environ.setenv("FLASH_AGENT_API__ALLOWED_ORIGINS", '["https://POS.example.com", "http://localhost:3000"]')
    assert load().api.allowed_origins == ("https://pos.example.com", "http://localhost:3000")


@pytest.mark.parametrize("value", ["https://pos.example.com", '["https://pos.example.com"', "{", '"https://a.b"', "7"])
def test_a_malformed_list_in_the_environment_is_refused_by_its_name(refusal, environ, value):
    environ.setenv("FLASH_AGENT_API__ALLOWED_ORIGINS", value)
    assert "FLASH_AGENT_API__ALLOWED_ORIGINS" in refusal()


@pytest.mark.parametrize("name", ["SPOOL__FOLDERS", "DOCUMENTS__STORES"])
@pytest.mark.parametrize("value", ["/srv/spool", "{", "[]"])
def test_a_malformed_table_in_the_environment_is_refused_by_its_name(refusal, environ, name, value):
    environ.setenv(f"FLASH_AGENT_{name}", value)
    said = refusal()
    assert f"FLASH_AGENT_{name} must be a JSON object" in said


def test_spool_folders_are_whole_paths_and_each_its_own(load, refusal, environ, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    environ.setenv("FLASH_AGENT_SPOOL__FOLDERS", json.dumps({"canonical": str(one), "poslog": str(two)}))
    assert load().spool.folders == {"canonical": one, "poslog": two}
    for other, words in (("relative", "whole path"), (str(one), "of its own"), (str(one / "done"), "of its own")):
        environ.setenv("FLASH_AGENT_SPOOL__FOLDERS", json.dumps({"canonical": str(one), "poslog": other}))
        said = refusal()
        assert "FLASH_AGENT_SPOOL__FOLDERS" in said
        assert words in said


def test_what_names_the_file_and_the_directory_is_no_setting(load, environ, tmp_path):
    environ.setenv("FLASH_AGENT_DATA_DIR", str(tmp_path))
    environ.setenv("FLASH_AGENT_CONFIG", str(tmp_path / "another.toml"))
    assert load("[api]\nport = 1001").api.port == 1001


def test_the_environment_names_the_file(environ, tmp_path):
    path = tmp_path / "named.toml"
    path.write_text("[api]\nport = 1004")
    environ.setenv("FLASH_AGENT_CONFIG", str(path))
    assert config.load().api.port == 1004


def test_the_data_directory_is_the_flags_then_the_environments(tmp_path):
    environ = {"FLASH_AGENT_DATA_DIR": str(tmp_path / "environment")}
    assert config.data_dir(str(tmp_path / "flag"), environ) == tmp_path / "flag"
    assert config.data_dir(None, environ) == tmp_path / "environment"
    assert config.data_dir("relative", {}) == Path.cwd() / "relative"
    assert config.data_dir(None, {}).is_absolute()


def test_isolated_settings_do_not_hear_the_environment(environ):
    environ.setenv("FLASH_AGENT_API__PORT", "1002")
    assert Settings.isolated(api={"port": 1}).api.port == 1
    assert Settings.isolated().api.port == 8455


# ---- the file ------------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_is_accepted(load):
    assert load(b"\xef\xbb\xbf[api]\r\nport = 1001\r\n").api.port == 1001


@pytest.mark.parametrize(
    ("text", "said"),
    [("[api\nport=1", "not valid TOML"), ("port = = 1", "not valid TOML"), (b"\xff\xfe[", "not UTF-8")],
)
def test_a_file_that_cannot_be_read_is_named(refusal, tmp_path, text, said):
    message = refusal(text)
    assert said in message
    assert str(tmp_path / "agent.toml") in message


def test_a_named_file_must_be_there(environ, tmp_path):
    for named in (str(tmp_path / "missing.toml"), None):
        environ.setenv("FLASH_AGENT_CONFIG", str(tmp_path / "missing.toml"))
        with pytest.raises(ConfigError, match=r"missing\.toml"):
            config.load(named)


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(str(tmp_path))


# ---- unknown and malformed -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named", "hint"),
    [
        ("[flahs]", "[flahs]", "'flash'"),
        ("[api]\nprot = 1", "[api] prot", "'port'"),
        ('[orders]\nid_templat = "x"', "[orders] id_templat", "'id_template'"),
        ("[zzz]", "[zzz]", "flash, store, api"),
        ("[api]\nzzz = 1", "[api] zzz", "port, allowed_origins"),
        ("api = 1", "api", "[api]"),
    ],
)
def test_what_is_unknown_in_the_file_is_refused_with_its_name_and_a_hint(refusal, text, named, hint):
    message = refusal(text)
    assert named in message
    assert hint in message


def test_every_unknown_name_is_told_at_once(refusal, environ):
    environ.setenv("FLASH_AGENT_API__PROT", "1")
    message = refusal("[zzz]\n[api]\nprot = 1\nhost = 2")
    assert all(name in message for name in ("[zzz]", "[api] prot", "[api] host", "FLASH_AGENT_API__PROT"))


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("FLASH_AGENT_API__PROT", "API__PORT"),
        ("FLASH_AGENT_API_PORT", "API__PORT"),
        ("FLASH_AGENT_API", "API__PORT"),
        ("FLASH_AGENT_WRITE_KEY", "FLASH__WRITE_KEY"),
        ("FLASH_AGENT_API__PORT__X", "API__PORT"),
        ("flash_agent_api__prot", "API__PORT"),
        ("FLASH_AGENT_", "CONFIG"),
    ],
)
def test_an_unknown_variable_is_refused_with_its_name_and_a_hint(refusal, environ, variable, hint):
    environ.setenv(variable, KEY)
    message = refusal()
    assert variable in message
    assert hint in message
    assert KEY not in message


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("api", "port", "-1"), ("api", "port", "65536"), ("api", "port", '"x"'), ("api", "open_metrics", '"maybe"'),
        ("api", "allowed_origins", '["*"]'), ("api", "allowed_origins", '["https://a.b/path"]'),
        ("api", "allowed_origins", '["null"]'), ("api", "max_body_bytes", "0"), ("flash", "attempt_timeout_s", "0"),
        ("flash", "attempt_timeout_s", "nan"), ("store", "currency", '"usd"'), ("store", "till_id", '"a b"'),
        ("store", "till_id", '""'), ("store", "store_id", '""'), ("coupons", "offline", '"always"'),
        ("relay", "batch_size", "101"), ("relay", "batch_size", "0"), ("relay", "max_in_flight", "9"),
        ("storage", "tombstone_days", "1"), ("log", "level", '"loud"'),
    ],
)  # fmt: skip
def test_a_malformed_setting_is_refused_by_its_name(refusal, section, name, value):
    assert f"[{section}] {name}" in refusal(f"[{section}]\n{name} = {value}")


def test_every_malformed_setting_is_told_at_once(refusal):
    message = refusal('[api]\nport = -1\n[store]\ncurrency = "usd"\n[log]\nlevel = "loud"')
    assert all(name in message for name in ("[api] port", "[store] currency", "[log] level"))


def test_a_malformed_variable_is_told_as_the_variable(refusal, environ):
    environ.setenv("FLASH_AGENT_API__PORT", "many")
    assert "FLASH_AGENT_API__PORT" in refusal("[api]\nport = 1")


@pytest.mark.parametrize("flags", [{"api": {"port": 99_999}}, {"api": {"prot": 1}}])
def test_a_malformed_flag_is_told_with_its_section(refusal, flags):
    (name,) = flags["api"]
    assert f"[api] {name}" in refusal("", flags)
