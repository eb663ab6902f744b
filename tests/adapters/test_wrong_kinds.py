"""A sound JSON document in which one value is of another kind than it should be: it crashes no adapter.

Damage to bytes mostly makes JSON that cannot be read at all. This is the other half: what can be read, and is not what
anybody expected at that place.
"""

import copy
import json
import random

import pytest

from tests.adapters.golden import cases, spelled
from tests.adapters.test_conformance import check_items

TRIES = 150
KINDS = (
    None,
    True,
    -1,
    10**30,
    1.5,
    "",
    "\u0000",
    "e" * 200,
    "1900-01-01",
    [],
    [None],
    [[]],
    [{}],
    {},
    {"value": [1]},
    {"Value": {}},
    {"records": [{}]},
    {"results": [1]},
    {"attributes": {"type": ["x"]}},
)
CASES = [case for case in cases() if case.path is not None and case.path.suffix == ".json"]


def places(value, at=()):
    """Every place in a document, as the path to it."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in inner:
        yield from places(child, (*at, step))


def changed(document, at, value):
    if not at:
        return value
    document = copy.deepcopy(document)
    holder = document
    for step in at[:-1]:
        holder = holder[step]
    holder[at[-1]] = value
    return document


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.adapter}-{case.name}")
def test_a_value_of_another_kind_crashes_nothing(case):
    document = json.loads(case.path.read_bytes())
    chance = random.Random(case.name)
    known = list(places(document))
    for _ in range(TRIES):
        at, value = chance.choice(known), chance.choice(KINDS)
        try:
            items = case.parse(json.dumps(changed(document, at, value)).encode())
        except Exception as error:
            raise AssertionError(f"{at} as {value!r}") from error
        check_items(items)


LISTS = {
    "dynamics": ("webapi_salesorders", "value"),
    "manhattan": ("orders", "data"),
    "salesforce": ("rest_orders", None),
    "sap": ("returns", None),
    "sterling": ("order-list", "Order"),
}


@pytest.mark.parametrize("adapter", LISTS)
def test_what_is_no_object_in_a_list_stops_none_of_the_others(adapter):
    name, envelope = LISTS[adapter]
    (case,) = (case for case in CASES if (case.adapter, case.name) == (adapter, name))
    document = json.loads(case.path.read_bytes())
    sound = document if envelope is None else document[envelope]
    mixed = [None, *sound]
    first, *others = case.parse(json.dumps(mixed if envelope is None else document | {envelope: mixed}).encode())
    assert (first.fault, "1" in first.place) == (True, True)
    assert [spelled(item).get("document") for item in others] == [item.get("document") for item in case.items]
