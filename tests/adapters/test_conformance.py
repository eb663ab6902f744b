"""What every adapter promises (`agent/adapters/base.py`), tried on every golden's document and on what becomes of it.

Total, deterministic, whatever the pieces it is read in; a dry run says what the real run then does; a second time
changes nothing; no damage to the bytes makes it crash or fall silent; and what it says about places and reasons names
no customer.
"""

import io
import json
import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from agent.adapters import registry
from agent.adapters.base import Found, Item, Site, Skipped
from tests.adapters.golden import Case, cases, spelled
from tests.support import agents

CASES = [case for case in cases() if case.path is not None]
NAMES = {"ids": lambda case: f"{case.adapter}-{case.name}"}
CHANNELS = frozenset({"shopify", "tiktok"})  # codes that no document has: of what was sold at no place of its own
BOMB = b"""<?xml version="1.0"?><!DOCTYPE lol [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><POSLog>&b;</POSLog>"""


class Trickle(io.BytesIO):
    """A source that gives a few bytes at a time, as a pipe may."""

    def read(self, size=-1):
        return super().read(size if size is None or size < 0 else min(size, 7))


def check_items(items: list[Item]) -> None:
    """Never silence, never anything else than the contract's two."""
    assert items
    for item in items:
        assert isinstance(item, Found | Skipped)
        assert item.place.strip()
        if isinstance(item, Skipped):
            assert item.code.strip()
            assert len(item.reason.strip()) > 10


def personal(item: Item) -> set[str]:
    """What would name a person, of what was found."""
    if not isinstance(item, Found):
        return set()
    sent = item.document.sent()
    whose = sent.get("customer", sent if type(item.document).__name__ in {"Member", "Enrollment"} else {})
    names = ("email", "fullName", "phone", "externalId", "memberId")
    return {value for name in names if isinstance(value := whose.get(name), str) and len(value) >= 6}


@pytest.mark.parametrize("case", CASES, **NAMES)
def test_the_same_bytes_are_the_same_items_in_whatever_pieces_they_come(case):
    document = case.path.read_bytes()
    first, second = case.parse(document), case.parse(document)
    adapter = registry.adapter(case.adapter)
    trickled = list(adapter.items(Trickle(document), registry.options_of(case.adapter, case.options), case.site))
    check_items(first)
    assert [spelled(item) for item in first] == [spelled(item) for item in second]
    assert [spelled(item) for item in first] == [spelled(item) for item in trickled]


@pytest.mark.parametrize("case", CASES, **NAMES)
def test_places_and_reasons_name_nobody(case):
    items = case.parse(case.path.read_bytes())
    said = json.dumps([(item.place, getattr(item, "reason", "")) for item in items])
    assert not [name for item in items for name in personal(item) if name in said]


@pytest.mark.parametrize("case", CASES, **NAMES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=strategies.integers(0, 2**32))
def test_damage_never_crashes_it(case, seed):
    check_items(case.parse(damaged(case.path.read_bytes()[:20_000], random.Random(seed))))


def damaged(document: bytes, chance: random.Random) -> bytes:
    """The document with a few bytes or a piece of it changed, lost, doubled or moved."""
    damage = bytearray(document)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(damage) + 1), chance.choice((1, 1, 3, 20, 200))
        match chance.randrange(6):
            case 0:
                del damage[at : at + length]
            case 1:
                damage[at:at] = bytes(chance.randrange(256) for _ in range(length))
            case 2:
                damage[at:at] = damage[at : at + length]
            case 3:
                damage[at : at + 1] = chance.choice(
                    (b"0", b"-", b'"', b"null", b"<", b"{", b"9" * 50, b"\xff", b"e999")
                )
            case 4:
                del damage[at:]
            case _:
                other = chance.randrange(len(damage) + 1)
                damage[other : other + length] = damage[at : at + length]
    return bytes(damage)


def stores_lost(case: Case) -> tuple[dict[str, str], list[Item], list[Item], list[Item]]:
    """A golden's stores that its document names, and what it comes to: as it is, with none of them mapped, as own."""
    by_document = {code: store for code, store in case.stores.items() if code not in CHANNELS}
    left = {code: store for code, store in case.stores.items() if code in CHANNELS}
    options, document = registry.options_of(case.adapter, case.options), case.path.read_bytes()
    sites = case.site, Site(case.currency, stores=left), Site(case.currency, stores=left, others_are_own=True)
    return by_document, *(registry.adapter(case.adapter).parse(document, options, site) for site in sites)


@pytest.mark.parametrize("case", CASES, **NAMES)
def test_a_store_that_no_setting_knows_is_a_fault_and_never_the_tills_own(case):
    stores, mapped, unmapped, own = stores_lost(case)
    for known, unknown, as_own in zip(mapped, unmapped, own, strict=True):
        sold_at = spelled(known).get("document", {}).get("storeId")
        if sold_at is None or sold_at not in stores.values():
            assert spelled(known) == spelled(unknown)
            continue
        assert (unknown.code, unknown.fault, unknown.place) == ("unknown-store", True, known.place)
        assert f'"{unknown.store}" = "st_…"' in unknown.reason
        assert spelled(as_own)["document"] == {
            name: value for name, value in spelled(known)["document"].items() if name != "storeId"
        }


def test_every_adapter_whose_documents_name_stores_is_asked_for_one_that_is_unknown():
    asked = {
        case.adapter
        for case in CASES
        if any(isinstance(item, Skipped) and item.code == "unknown-store" for item in stores_lost(case)[2])
    }
    assert asked == set(registry.MODULES) - {"canonical", "tiktok"}  # Flash's own ids; one shop


@pytest.mark.parametrize("case", CASES, **NAMES)
def test_a_document_that_would_be_held_whole_is_bounded_and_one_that_is_read_as_it_goes_is_not(case):
    document = case.path.read_bytes()
    adapter, options = registry.adapter(case.adapter), registry.options_of(case.adapter, case.options)
    items = adapter.parse(document, options, replace(case.site, max_whole_bytes=len(document) - 1))
    if adapter.streams and case.path.suffix != ".json":
        assert [spelled(item) for item in items] == case.items
    else:
        assert [(item.code, item.fault) for item in items] == [("too-large", True)]


@pytest.mark.parametrize("name", registry.MODULES)
def test_what_is_no_document_is_said_so(name, needed_options):
    adapter = registry.adapter(name)
    options = registry.options_of(name, needed_options.get(name, {}))
    for junk in (
        b"",
        b" ",
        b"\x00" * 50,
        b"\xef\xbb\xbf",
        b"[]",
        b"{}",
        b"null",
        b"[[[" * 5000,
        b"<a>" * 5000,
        BOMB,
        b"\xff\xfe<",
    ):
        items = adapter.parse(junk, options, CASES[0].site)
        check_items(items)
        assert all(isinstance(item, Skipped) for item in items)


@pytest.fixture
def needed_options():
    """The options without which an adapter does not start, as the goldens set them."""
    return {case.adapter: case.options for case in CASES}


@pytest.mark.parametrize("case", CASES, **NAMES)
async def test_a_dry_run_is_what_then_happens_and_twice_is_once(tmp_path, case):
    adapter = registry.adapter(case.adapter)
    chosen = agents.settings(
        store={"currency": case.currency},
        documents={"push_members": True, "stores": case.stores},
        adapters={case.adapter: case.options},
    )
    async with agents.running(tmp_path, chosen) as register:
        path = f"/v1/documents/{case.adapter}"
        sent = {"raw": case.path.read_bytes(), "scope": "operator", "Content_Type": adapter.media[0]}
        dry = await register.call("POST", f"{path}?dryRun=true", **sent)
        stored = (await register.call("GET", "/v1/operations")).json["operations"]
        real = await register.call("POST", path, **sent)
        again = await register.call("POST", path, **sent)
    assert (dry.status, real.status, again.status, stored) == (200, 200, 200, [])
    assert dry.json["totals"] == real.json["totals"]
    assert again.json["totals"]["accepted"] == 0
    assert again.json["totals"]["replayed"] == real.json["totals"]["accepted"] + real.json["totals"]["replayed"]
