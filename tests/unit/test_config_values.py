"""Settings that guard something: the address, the templates, the keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent.config import Settings
from agent.errors import ConfigError

pytestmark = pytest.mark.usefixtures("environ")

KEY = "fl_live_0123456789abcdef"


# ---- the address ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_url", "used"),
    [
        ("https://flash.example/api/v2", "https://flash.example/api/v2"),
        ("https://flash.example/api/v2/", "https://flash.example/api/v2"),
        ("https://flash.example:8443", "https://flash.example:8443"),
        ("http://localhost:8456/api/v2", "http://localhost:8456/api/v2"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:9/x", "http://[::1]:9/x"),
    ],
)
def test_https_anywhere_and_http_on_the_loopback(given_url, used):
    assert Settings.isolated(flash={"base_url": given_url}).flash.base_url == used


@pytest.mark.parametrize(
    "url",
    [
        "http://flash.example", "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://[::2]",
        "http://192.168.0.1", "http://0.0.0.0", "http://127.0.0.1@evil.example", "https://user:pass@flash.example",
        "https://flash.example/?a=1", "https://flash.example/#a", "ftp://flash.example", "flash.example", "", "https://",
        "https://flash.example/a b", " https://flash.example", "https://flash.example\n", "//flash.example",
    ],
)  # fmt: skip
def test_other_addresses_are_refused(url):
    with pytest.raises(ValidationError, match="base_url"):
        Settings.isolated(flash={"base_url": url})


@pytest.mark.parametrize("proxy", ["nonsense", "proxy.example:3128", "ftp://proxy.example", "http://"])
def test_a_proxy_that_is_no_address_stops_the_start_and_not_the_sending(load, proxy):
    with pytest.raises(ConfigError, match=r"\[flash\] proxy"):
        load(f"[flash]\nproxy = '{proxy}'")


def test_a_proxy_is_an_address_with_a_user_or_without(load):
    for proxy in ("http://proxy.example:3128", "https://till:secret@proxy.example"):
        assert load(f"[flash]\nproxy = '{proxy}'").flash.proxy.get_secret_value() == proxy


def test_a_certificate_file_that_is_not_there_stops_the_start_and_not_the_sending(load, tmp_path):
    with pytest.raises(ConfigError, match=r"\[flash\] ca_file"):
        load(f"[flash]\nca_file = '{tmp_path / 'missing.pem'}'")


# ---- the templates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "dated"),
    [
        ("{external_order_id}", False),
        ("{store_id}-{till_id}-{external_order_id}", False),
        ("{store_id}-{till_id}-{business_date}-{external_order_id}", True),
        ("{{x}}-{external_order_id}", False),
    ],
)
def test_a_template_names_known_fields_and_knows_whether_it_is_dated(template, dated):
    assert Settings.isolated(orders={"id_template": template}).orders.dated is dated


def test_a_refunds_template_has_the_orders_fields_and_its_own():
    orders = Settings.isolated(orders={"refund_id_template": "{business_date}-{external_order_id}-{refund_id}"}).orders
    assert (orders.refunds_dated, orders.dated) == (True, False)


@pytest.mark.parametrize(
    "template",
    [
        "", "order", "{store_id}", "{external_order_id", "external_order_id}", "{}{external_order_id}", "{0}",
        "{external_order_id!r}", "{external_order_id:>9}", "{external_order_id.__class__}", "{external_order_id[0]}",
        "{external_order_id}{refund_id}", "{external_order_id}-{date}", "{{external_order_id}}",
        "{external_order_id:{store_id}}", "{ external_order_id }",
    ],
)  # fmt: skip
def test_a_template_that_would_merge_orders_or_reach_too_far_is_refused(template):
    with pytest.raises(ValidationError, match="id_template"):
        Settings.isolated(orders={"id_template": template})


@given(st.text("{}!:.[]_ae0", max_size=12))
def test_any_accepted_template_can_be_filled(noise):
    try:
        template = Settings.isolated(orders={"id_template": noise + "{external_order_id}"}).orders.id_template
    except ValidationError:
        return
    filled = template.format(external_order_id="90871", store_id="s", till_id="t", business_date="d")
    assert filled.endswith("90871")


# ---- the keys ------------------------------------------------------------------------------------------------------


def test_a_key_comes_from_the_setting_or_from_its_file(load, tmp_path):
    path = tmp_path / "key"
    path.write_text(f" {KEY}\r\n")
    from_file = load(f"[flash]\nwrite_key_file = '{path}'")
    assert from_file.key("write").get_secret_value() == KEY
    assert from_file.key("read") is None
    from_setting = load(f"[flash]\nwrite_key = 'fl_live_another_one'\nread_key = '{KEY}'\nwrite_key_file = '{path}'")
    assert from_setting.key("write").get_secret_value() == "fl_live_another_one"
    assert from_setting.key("read").get_secret_value() == KEY


def test_a_key_file_as_windows_editors_write_it(load, tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"\xef\xbb\xbf" + KEY.encode() + b"\r\n")
    assert load(f"[flash]\nwrite_key_file = '{path}'").key("write").get_secret_value() == KEY


@pytest.mark.parametrize("which", ["write", "read"])
@pytest.mark.parametrize(
    "content", [None, b"", b"short", b"two fl_live_words_in_one", b"\xff\xfe\x00", b"fl_live_\xc3\xa4bcdef"]
)
def test_a_key_file_without_a_key_is_refused_by_its_name(load, tmp_path, which, content):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"\[flash\] {which}_key"):
        load(f"[flash]\n{which}_key_file = '{path}'")


@pytest.mark.parametrize(
    "text",
    [
        f"[flash]\nwrite_key = '{KEY} with blanks'",
        f"[flash]\nread_key = 'ü{KEY}'",
        f"[flash]\nwrite_key = ['{KEY}']",
        f"[flash]\nwrite_key = '{KEY}'\nbase_url = 'http://{KEY}'",
        f"[flash]\nwrite_key = '{KEY}'\nwrite_key = '{KEY}'",
        f"[flash]\nwrite_key = '{KEY}",
        f"[flash]\nwrite_key = {KEY}",
        f"[flash]\nwrite_keys = '{KEY}'",
        f"[store]\ncurrency = '{KEY}'",
        f"flash = '{KEY}'",
    ],
)
def test_no_error_repeats_a_key(load, text):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert KEY not in str(caught.value)
    assert "0123456789" not in str(caught.value)
    shown = caught.value.__cause__ or (None if caught.value.__suppress_context__ else caught.value.__context__)
    assert shown is None  # a traceback would print it


@pytest.mark.parametrize("name", ["WRITE_KEY", "READ_KEY"])
def test_no_error_repeats_a_key_from_the_environment(load, environ, name):
    environ.setenv(f"FLASH_AGENT_FLASH__{name}", f"{KEY} {KEY}")
    with pytest.raises(ConfigError) as caught:
        load("")
    assert KEY not in str(caught.value)


def test_a_key_shows_nowhere(load):
    settings = load(f"[flash]\nwrite_key = '{KEY}'\nread_key = 'r{KEY}'")
    for shown in (repr(settings), str(settings), repr(settings.flash), str(settings.model_dump())):
        assert "write_key" in shown
        assert KEY not in shown
    assert KEY not in settings.model_dump_json()


def test_the_password_of_a_proxy_shows_nowhere(load):
    settings = load("[flash]\nproxy = 'http://till:ZEBRA7731@proxy.example:3128'")
    assert "ZEBRA7731" not in repr(settings)
    assert "ZEBRA7731" not in settings.model_dump_json()


def test_settings_are_frozen(load):
    settings = load("")
    with pytest.raises(ValidationError):
        settings.api.port = 1
