"""agent.toml under setup: comments and other settings stay, no key is left or shown, and it is replaced whole."""

import dataclasses
import os
import tomllib

import pytest

from agent import config
from agent.config import places
from agent.errors import AgentError, ConfigError
from agent.setup import answers, configfile
from agent.setup.place import Place

pytestmark = pytest.mark.usefixtures("environ")

KEY = "fl_live_0123456789abcdef"
OLD_KEY = "fl_live_fedcba9876543210"
OURS = f"""\
# head office, March
[flash]
write_key = "{OLD_KEY}" # moved here by hand
proxy = "http://user:secret@proxy.example.com:3128"

[store]
store_id = "st_1"   # ours
till_id = 'lane-1'
currency = "EUR"

[adapters.poslog] # by the vendor
unit_count = true

[orders]
id_template = "{{external_order_id}}"
"""


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "etc" / "agent.toml", tmp_path / "data", service=False)


NOTHING = configfile.Existing("", {})


def given(existing=NOTHING, *, key=True, **more):
    least = {"store_id": "st_1", "till_id": "lane-3", "currency": "USD", "order_numbers": "repeat-by-till", **more}
    table = {**least, **({"write_key": KEY} if key else {})}
    return answers.judge(table, "answers", known=existing.answers, has_key=True)


def written(place, text):
    place.config.parent.mkdir(exist_ok=True)
    place.config.write_text(text, "utf-8")
    return configfile.read(place.config)


def test_a_new_file_holds_what_was_answered_and_no_key(place):
    existing = configfile.read(place.config)
    assert (existing.text, existing.answers) == ("", {})
    configfile.replace(place, existing, configfile.changes(given(), "st_1", 8500))
    settings = config.load(str(place.config))
    assert (settings.store.store_id, settings.store.till_id, settings.api.port) == ("st_1", "lane-3", 8500)
    assert settings.orders.refund_id_template == "{store_id}-{till_id}-{refund_id}"
    assert KEY not in place.config.read_text("utf-8")
    assert [path.name for path in place.config.parent.iterdir()] == ["agent.toml"]
    if os.name == "posix":
        assert place.config.stat().st_mode & 0o777 == 0o600  # there may be a proxy's password in it


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_who_may_read_it_stays_as_it_was(place, mode):
    place.config.parent.mkdir()
    place.config.write_text(OURS)
    place.config.chmod(mode)
    if os.geteuid() == 0:
        os.chown(place.config, 1, 2)  # a service that somebody set up with another user
    before = place.config.stat()
    configfile.replace(place, configfile.read(place.config), {("store", "till_id"): "lane-9"})
    assert OLD_KEY in place.config.read_text()
    for path in place.config.parent.iterdir():
        now = path.stat()
        assert (now.st_uid, now.st_gid, now.st_mode) == (before.st_uid, before.st_gid, before.st_mode), path


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give a file to a group")
def test_the_service_may_read_it_and_nobody_else(place, monkeypatch):
    place = dataclasses.replace(place, service=True)
    import grp

    monkeypatch.setattr(configfile, "GROUP", "daemon")  # one that every Linux has
    before = os.umask(0o077)  # as careful as it comes: the service must be able to read it all the same
    try:
        configfile.replace(place, configfile.read(place.config), configfile.changes(given(), "st_1", 8500))
    finally:
        os.umask(before)
    about = place.config.stat()
    assert (about.st_uid, about.st_gid, about.st_mode & 0o777) == (0, grp.getgrnam("daemon").gr_gid, 0o640)
    assert place.config.parent.stat().st_mode & 0o777 == 0o755


def test_comments_and_what_setup_does_not_know_stay(place):
    existing = written(place, OURS)
    configfile.replace(place, existing, configfile.changes(given(existing), "st_2", 8455))
    text = place.config.read_text("utf-8")
    for kept in ("# head office, March\n", "# ours\n", "[adapters.poslog] # by the vendor\nunit_count = true\n"):
        assert kept in text
    tables = tomllib.loads(text)
    assert tables["store"] == {"store_id": "st_2", "till_id": "lane-3", "currency": "USD", "language": "en"}
    assert tables["flash"]["proxy"] == "http://user:secret@proxy.example.com:3128"
    assert OLD_KEY not in text
    before = place.config.with_name("agent.toml.before").read_text("utf-8")
    assert "till_id = 'lane-1'" in before
    assert OLD_KEY not in before


def test_a_key_that_is_not_replaced_stays_where_it_is(place):
    existing = written(place, OURS)
    configfile.replace(place, existing, configfile.changes(given(existing, key=False), "st_2", 8455))
    assert OLD_KEY in place.config.read_text("utf-8")
    assert place.config.with_name("agent.toml.before").read_text("utf-8") == OURS


def test_the_same_again_changes_nothing(place):
    existing = written(place, OURS)
    change = configfile.changes(given(existing), "st_2", 8455)
    configfile.replace(place, existing, change)
    again = written(place, place.config.read_text("utf-8").replace('"st_2"', "  'st_2'"))
    assert "store_id =   'st_2'" in again.text
    assert configfile.merged(again, configfile.changes(given(again), "st_2", 8455)) == again.text


def test_the_difference_shows_no_secret(place):
    existing = written(place, OURS)
    change = configfile.changes(given(existing, proxy="http://user:other@proxy.example.com:3128"), "st_2", 8455)
    shown = "\n".join(configfile.difference(existing.text, configfile.merged(existing, change), place.config))
    assert '-store_id = "st_1"   # ours' in shown
    assert '+store_id = "st_2"   # ours' in shown
    assert "-write_key = …" in shown
    for secret in (OLD_KEY, KEY, "secret", "other"):
        assert secret not in shown


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('[store]\nstor_id = "st_1"\n', "unknown setting [store] stor_id"),
        ("[nothing]\nx = 1\n", "unknown section [nothing]"),
        ("[relay]\nbatch_size = 1000\n", "[relay] batch_size"),
    ],
)
def test_what_the_agent_could_not_load_never_takes_the_place(place, text, fault):
    existing = written(place, text)
    with pytest.raises(ConfigError, match="stays as it was") as caught:
        configfile.replace(place, existing, configfile.changes(given(existing), "st_1", 8455))
    assert fault in str(caught.value)
    assert "agent.toml.new" not in str(caught.value)
    assert place.config.read_text("utf-8") == text
    assert [path.name for path in place.config.parent.iterdir()] == ["agent.toml"]


@pytest.mark.parametrize("content", [b"[store\n", b"\xff\xfe[store]"])
def test_a_file_that_cannot_be_read_is_not_written_over(place, content):
    place.config.parent.mkdir()
    place.config.write_bytes(content)
    with pytest.raises(ConfigError, match="is not valid TOML"):
        configfile.read(place.config)


def test_a_place_that_cannot_be_written_leaves_everything(place):
    existing = written(place, OURS)
    (place.config.parent / "agent.toml.before.new").mkdir()
    with pytest.raises(AgentError, match="was not written"):
        configfile.replace(place, existing, configfile.changes(given(existing), "st_2", 8455))
    assert place.config.read_text("utf-8") == OURS
    assert sorted(path.name for path in place.config.parent.iterdir()) == ["agent.toml", "agent.toml.before.new"]


def test_settings_answer_the_questions_of_the_next_run(place):
    existing = written(place, OURS)
    configfile.replace(place, existing, configfile.changes(given(existing, port="auto"), "st_2", 8600))
    known = configfile.read(place.config).answers
    assert (known["order_numbers"], known["refund_numbers"]) == ("repeat-by-till", "repeat-by-till")
    assert (known["store_id"], known["port"], known["till_id"]) == ("st_2", 8600, "lane-3")


@pytest.mark.skipif(os.name != "posix", reason="Linux has the package's folder")
def test_the_packages_folder_goes_before_the_xdg_one(monkeypatch, tmp_path):
    monkeypatch.setattr(places, "PACKAGED_CONFIG", tmp_path / "flash-agent" / "agent.toml")
    assert config.default_config_path().name == "agent.toml"
    assert config.default_config_path().parent != tmp_path / "flash-agent"
    (tmp_path / "flash-agent").mkdir()
    assert config.default_config_path() == tmp_path / "flash-agent" / "agent.toml"
