"""Which rows of a catalog Flash did not take, in whatever shape it says so, and what a person is told of them."""

import pytest

from agent import jsons
from agent.delivery import Kind, RefusedRow
from agent.flash.readings import refused_rows
from agent.outbox.catalog_rows import Gathering, own_id, refusal_warnings
from agent.outbox.operation import Content, Operation, Verdict
from agent.outbox.state import Status
from agent.storage import Sealer
from agent.storage.sealing import DataKeys

BODY = {
    "source": "erp",
    "products": [{"externalId": "P-1"}, {"externalId": "P-2"}, {"title": "no id"}],
    "variants": [{"externalId": "V-1", "sku": "S-1"}],
    "inventory": [{"variantSku": "S-1", "locationRef": "A"}, {"variantSku": "S-1", "locationRef": "B"}],
}


@pytest.fixture
def sealer():
    return Sealer(DataKeys({1: bytes(32)}, 1, bytes(32)))


def operation(body=BODY):
    content = Content(request={}, path="/catalog/import", body=jsons.raw(body), key="k")
    return Operation(
        seq=1,
        id="op_1",
        kind=Kind.CATALOG,
        status=Status.PENDING,
        generation=1,
        blocked=False,
        attempts=1,
        maybe_sent=1,
        strikes=0,
        accepted_at=0,
        next_attempt_at=None,
        settled_at=None,
        business_date=None,
        content=content,
        verdict=Verdict(),
    )


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, []),
        ({"errors": []}, []),
        ({"errors": None, "products": {"inserted": 1}}, []),
        ({"errors": [{"entity": "products", "index": 1, "message": "bad"}]}, [("products", 1, "bad")]),
        ({"errors": [{"entity": "products", "externalId": "P-2", "error": "bad"}]}, [("products", "P-2", "bad")]),
        ({"errors": [{"entity": "content", "index": 0, "productIndex": 2, "message": "x"}]}, [("products", 2, "x")]),
        ({"products": {"inserted": 0, "errors": [{"index": 0, "message": "bad"}]}}, [("products", 0, "bad")]),
        ({"errors": ["row 4 is bad"]}, [("", None, "row 4 is bad")]),
        ({"errors": {"products": "bad"}}, [("", None, "")]),
        ({"errors": 2}, [("", None, "")]),
        ({"errors": 0}, []),
        ({"errors": [{"entity": 7, "index": True, "message": None}]}, [("", None, "")]),
    ],
)
def test_every_shape_is_read_and_none_is_lost(data, expected):
    assert [tuple(each) for each in refused_rows(data)] == expected


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (RefusedRow("products", 1, "bad"), "products P-2: bad"),
        (RefusedRow("products", "P-1", ""), "products P-1: no reason given"),
        (RefusedRow("products", 2, "bad"), "products 2: bad"),
        (RefusedRow("products", 99, "bad"), "products 99: bad"),
        (RefusedRow("inventory", 1, "bad"), "inventory S-1 at B: bad"),
        (RefusedRow("variants", "S-1", "bad"), "variants V-1: bad"),
        (RefusedRow("", None, "bad"), "a row: bad"),
        (RefusedRow("products", 0, "ask ada@example.com"), "products P-1: ask ***"),
        (RefusedRow("products", 0, "x" * 5000), "products P-1: " + "x" * 200),
    ],
)
def test_a_person_is_told_which_row_by_its_own_id(refused, told):
    first, line = refusal_warnings(operation(), [refused])
    assert first.startswith("Flash did not take 1 of 6 rows")
    assert line == told


def test_nothing_is_told_where_all_were_taken():
    assert refusal_warnings(operation(), []) == []


def test_what_a_row_is_called():
    assert own_id("products", {"externalId": "P-1"}) == "P-1"
    assert own_id("inventory", {"variantSku": "S-1", "locationRef": "A"}) == "S-1 at A"
    assert own_id("inventory", {"variantSku": "S-1"}) is None
    assert own_id("products", {"externalId": 7}) is None
    assert own_id("products", 7) is None


def gathered(sealer, *rows, source="erp"):
    gathering = Gathering(source, sealer)
    for entity, row in rows:
        gathering.add(entity, row)
    return [row.hash(sealer) for row in gathering.rows]


def test_a_row_is_the_same_in_whatever_order_its_fields_come(sealer):
    (one,) = gathered(sealer, ("products", {"externalId": "P-1", "title": "A"}))
    (other,) = gathered(sealer, ("products", {"title": "A", "externalId": "P-1"}))
    assert one == other


def test_rows_are_told_apart_by_source_entity_and_id_and_by_what_they_say(sealer):
    row = {"externalId": "1", "title": "A"}
    base, other_entity = gathered(sealer, ("products", row), ("brands", row))
    (other_source,) = gathered(sealer, ("products", row), source="pim")
    (other_words,) = gathered(sealer, ("products", {**row, "title": "B"}))
    assert len({base.key, other_entity.key, other_source.key}) == 3
    assert (other_words.key, other_words.content != base.content) == (base.key, True)


def test_rows_without_an_id_are_known_by_what_they_say(sealer):
    first, second = gathered(sealer, ("products", {"title": "A"}), ("products", {"title": "B"}))
    assert first.key != second.key
