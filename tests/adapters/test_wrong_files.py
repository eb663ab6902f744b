"""A file given to the wrong adapter, or an empty one: the message says what to look at, and repeats nothing of it."""

import pytest

from agent.adapters import registry
from agent.adapters.base import Site, Skipped

HINT = "Is it empty, or of a system that another adapter reads?"
ADAPTERS = {"poslog": {}, "dynamics": {}, "shopify": {"native_connector": "off"}}


def reason(name: str, document: bytes) -> str:
    items = registry.adapter(name).parse(document, registry.options_of(name, ADAPTERS[name]), Site("EUR", stores={}))
    assert [(type(item), item.code) for item in items] == [(Skipped, "unreadable")]
    return items[0].reason


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("poslog", b""),
        ("poslog", b'{"order": {"id": 17}}'),
        ("shopify", b""),
        ("shopify", b"<POSLog/>"),
        ("dynamics", b"Store;No\n"),
    ],
)
def test_what_is_wrong_from_its_beginning_may_be_of_another_system(name: str, document: bytes):
    assert reason(name, document).endswith(HINT)


@pytest.mark.parametrize(
    ("name", "document"), [("poslog", b"<POSLog><Transaction>"), ("shopify", b'{"order": {"id": 1')]
)
def test_what_breaks_off_is_of_the_right_one(name: str, document: bytes):
    assert HINT not in reason(name, document)
    assert "no sound" in reason(name, document)
