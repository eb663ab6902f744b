"""Which language a register gets, whatever its HTTP library writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.receipt import LANGUAGES
from agent.receipt.negotiation import choose, supported
from agent.receipt.wording import Wordings


@pytest.mark.parametrize(
    ("header", "store", "chosen"),
    [
        ("de", "en", "de"),
        ("de-AT", "en", "de-AT"),
        ("DE-at", "en", "de-AT"),
        ("de-Latn-AT-1996", "en", "de-AT"),
        ("zh-Hant-TW", "en", "zh"),
        ("zh-Hans", "en", "zh"),
        ("it", "fr", "fr"),
        ("it", "en", "en"),
        ("it, de;q=0.5", "fr", "de"),
        ("fr;q=0.3, de;q=0.5, ja;q=0.4", "en", "de"),
        ("fr;q=0.5, de;q=0.5", "en", "fr"),
        ("fr;q=0.999, de;q=1.000", "en", "de"),
        ("de;q=0, fr;q=0.1", "en", "fr"),
        ("de;q=0", "de", "en"),
        ("de-AT;q=0, de", "en", "de"),
        ("de-AT, de;q=0", "fr", "fr"),
        ("*", "ja", "ja"),
        ("*, de;q=0.9", "ja", "ja"),
        ("de, *;q=0.1", "ja", "de"),
        ("it, *;q=0.1", "ja", "ja"),
        ("*;q=0", "ja", "ja"),
        ("de", "de-CH", "de-CH"),  # the store's region, where the register names none
        ("de-AT", "de-CH", "de-AT"),
        ("en", "de-CH", "en"),
        ("", "fr", "fr"),
        (" , ,, ", "fr", "fr"),
        ("de;q=2, fr;q=0.1", "en", "fr"),
        ("de;q=0.1234, fr;q=0.1", "en", "fr"),
        ("de;level=1, fr", "en", "fr"),
        ("de;q=, fr", "en", "fr"),
        ("deutsch", "en", "en"),
        ("d", "en", "en"),
        ("de\t; q=0.4 ,\tfr ;Q=0.6", "en", "fr"),
        ("en-US,en;q=0.9,de;q=0.8", "de", "en-US"),
        ("C", "de", "de"),
        ("it, " * 31 + "de", "en", "de"),
        ("it, " * 32 + "de", "en", "en"),  # no header is read without end
    ],
)
def test_what_the_register_prefers_else_the_stores_own(header, store, chosen):
    assert choose(header, store) == chosen


@pytest.mark.parametrize(
    ("tag", "spelt"),
    [
        ("de", "de"), ("de_AT", "de-AT"), ("DE-at", "de-AT"), ("zh_Hans_CN", "zh"), ("en_us", "en-US"), ("it", None),
        ("", None), ("deu", None),
    ],
)  # fmt: skip
def test_a_tag_is_spelt_in_one_way(tag, spelt):
    assert supported(tag) == spelt


@given(st.text(max_size=60) | st.from_regex(r"([a-zA-Z*]{1,3}(-[A-Za-z0-9]{1,4})?(;q=[0-9.]{1,5})?,? ?){1,40}"))
def test_any_header_gets_some_language(header):
    assert choose(header, "fr").partition("-")[0] in LANGUAGES


def test_a_store_may_keep_to_its_language():
    assert Wordings("de", "EUR", negotiate=False).asked("fr").tag == "de"
    assert Wordings("de", "EUR").asked("fr").tag == "fr"
    assert Wordings("de", "EUR").asked(None).tag == "de"
