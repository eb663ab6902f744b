"""Catalogs of other systems' documents: what Flash has is left out, the rest goes in pieces that follow each other."""

import asyncio
import json
from collections import Counter
from datetime import timedelta

import pytest

from agent.clock import Clock
from tests.support.agents import running, settings, strict_flash, until
from tests.support.cataloging import catalog, imports, kept_rows, product, sent_products, settled, take


@pytest.fixture
def flash():
    with strict_flash() as server:
        yield server


@pytest.fixture
async def offline(tmp_path):
    async with running(tmp_path) as register:
        yield register


@pytest.fixture
async def online(tmp_path, flash):
    async with running(tmp_path, settings(flash.base_url)) as register:
        yield register


async def test_rows_go_in_the_order_in_which_they_find_what_they_refer_to(online, flash):
    taken = await take(
        online,
        catalog("stock", inventory=[{"variantSku": "S-1", "locationRef": "WH", "available": 1}]),
        catalog("sizes", variants=[{"externalId": "V-1", "productExternalId": "P-1", "sku": "S-1"}]),
        catalog("articles", products=[product(1, brandExternalId="B-1")]),
        catalog("brands", brands=[{"externalId": "B-1", "name": "One"}]),
    )
    assert taken["totals"] == {"accepted": 4, "replayed": 0, "skipped": 0, "faulty": 0, "refused": 0}
    assert taken["catalogTotals"] == {"rows": 4, "unchanged": 0, "operations": 1}
    (operation,) = await settled(online, taken)
    assert (operation["status"], operation["warnings"]) == ("succeeded", [])
    assert operation["metadata"] == {"adapter": "canonical", "place": "stock", "upTo": "brands"}
    assert list(imports(flash)[0]) == ["source", "brands", "products", "variants", "inventory"]
    assert flash.violations == []


async def test_many_rows_are_cut_into_operations_that_follow_each_other(online, flash):
    rows = [product(number) for number in range(1200)]
    taken = await take(online, catalog(products=rows))
    (item,) = taken["items"]
    assert item["catalog"] == {"rows": 1200, "unchanged": 0, "operations": item["catalog"]["operations"]}
    assert item["operation"]["id"] == item["catalog"]["operations"][-1]
    operations = await settled(online, taken)
    assert [operation["request"]["rows"] for operation in operations] == [
        {"products": 500},
        {"products": 500},
        {"products": 200},
    ]
    assert sent_products(flash) == [row["externalId"] for row in rows]
    assert flash.violations == []


async def test_operations_follow_each_other_in_the_order_of_references(online, flash):
    numbers = range(400)
    taken = await take(
        online,
        catalog(inventory=[{"variantSku": f"S-{each}", "locationRef": "WH", "available": 1} for each in numbers]),
        catalog(variants=[{"externalId": f"V-{n}", "productExternalId": f"P-{n}", "sku": f"S-{n}"} for n in numbers]),
        catalog(products=[product(each) for each in numbers]),
    )
    operations = await settled(online, taken)
    sent = [{entity: len(rows) for entity, rows in body.items() if entity != "source"} for body in imports(flash)]
    assert sent == [
        {"products": 400, "variants": 100},
        {"variants": 300, "inventory": 200},
        {"inventory": 200},
    ]
    assert [operation["warnings"] for operation in operations] == [[], [], []]


async def test_large_rows_are_cut_by_their_bytes(online, flash):
    rows = [product(number, descriptionHtml="x" * 100_000) for number in range(5)]
    await settled(online, await take(online, catalog(products=rows)))
    assert [len(body["products"]) for body in imports(flash)] == [2, 2, 1]
    assert max(len(seen.request.body) for seen in flash.requests) < 300_000


async def test_what_is_unchanged_is_left_out(online, flash):
    first = await take(online, catalog(products=[product(1), product(2), product(3)]))
    await settled(online, first)
    again = await take(online, catalog(products=[product(1), product(2), product(3)]))
    assert again["totals"]["replayed"] == 1
    assert again["catalogTotals"] == {"rows": 3, "unchanged": 3, "operations": 0}
    assert (again["items"][0]["operation"], again["items"][0]["catalog"]["operations"]) == (None, [])
    changed = await take(online, catalog(products=[product(1), product(2, "B"), product(4)]))
    assert changed["catalogTotals"] == {"rows": 3, "unchanged": 1, "operations": 1}
    back = await take(online, catalog(products=[product(2)]))
    await settled(online, back)
    assert sent_products(flash) == ["P-1", "P-2", "P-3", "P-2", "P-4", "P-2"]
    assert flash.state.tenant("t1").catalog["products"]["P-2"]["title"] == "A"


async def test_what_is_pending_is_left_out_too_and_after_a_restart(tmp_path, flash):
    async with running(tmp_path) as register:
        first = await take(register, catalog(products=[product(1), product(2)]))
        again = await take(register, catalog(products=[product(2), product(1)]))
        assert again["catalogTotals"]["unchanged"] == 2
    async with running(tmp_path, settings(flash.base_url)) as register:
        assert (await take(register, catalog(products=[product(1)])))["totals"]["replayed"] == 1
        await settled(register, first)
    assert sent_products(flash) == ["P-1", "P-2"]


async def test_two_sources_may_use_the_same_ids(online, flash):
    taken = await take(online, catalog(products=[product(1)]), catalog(source="pim", products=[product(1)]))
    assert taken["catalogTotals"] == {"rows": 2, "unchanged": 0, "operations": 2}
    await settled(online, taken)
    assert sorted(body["source"] for body in imports(flash)) == ["erp", "pim"]


async def test_an_id_that_repeats_is_one_row_that_says_both(online, flash):
    twice = [product(1, price=1), product(2), product(1, stock=2)]
    await settled(online, await take(online, catalog(products=twice)))
    again = await take(online, catalog(products=twice))
    assert again["catalogTotals"] == {"rows": 3, "unchanged": 3, "operations": 0}
    assert sent_products(flash) == ["P-1", "P-1", "P-2"]


async def test_a_row_that_is_said_again_in_the_same_words_is_one(online, flash):
    """An export of one article a line repeats its brand in each."""
    brand = {"externalId": "B-1", "name": "One"}
    lines = [catalog(brands=[brand], products=[product(number, brandExternalId="B-1")]) for number in range(3)]
    await settled(online, await take(online, *lines))
    assert [body["brands"] for body in imports(flash)] == [[brand]]
    again = await take(online, *lines[1:], catalog(brands=[brand]))
    assert again["catalogTotals"] == {"rows": 5, "unchanged": 5, "operations": 0}


async def test_what_was_posted_is_known_to_imports(online, flash):
    document = {"source": "erp", "products": [product(1), product(2)]}
    posted = await online.call("POST", "/v1/catalogs", document, scope="operator", Prefer="wait=10")
    assert posted.json["status"] == "succeeded"
    assert (await take(online, catalog(**document)))["totals"]["replayed"] == 1
    changed = {"source": "erp", "products": [product(1, "B")]}
    await settled(online, await take(online, catalog(**changed)))
    again = await online.call("POST", "/v1/catalogs", document, scope="operator", Prefer="wait=10")
    assert "Idempotency-Replayed" not in again.headers, "another one came between"
    assert sent_products(flash) == ["P-1", "P-2", "P-1", "P-1", "P-2"]


async def test_a_dry_run_says_the_same_and_stores_nothing(offline):
    records = [
        catalog("one", products=[product(number) for number in range(501)]),
        catalog("two", products=[product(0), product(7, "B")]),
        {"kind": "store", "document": {"externalId": "S-1", "name": "A"}},
        catalog("three", products=[product(0), product(7)]),
        catalog("four", products=[product(7)]),
    ]
    await take(offline, catalog(products=[product(number) for number in range(100, 200)]))
    dry = await take(offline, *records, dry=True)
    assert len((await offline.call("GET", "/v1/operations")).json["operations"]) == 1
    real = await take(offline, *records)
    assert dry["totals"] == real["totals"]
    assert dry["catalogTotals"] == real["catalogTotals"]
    for ours, theirs in zip(dry["items"], real["items"], strict=True):
        assert (ours["outcome"], ours["place"]) == (theirs["outcome"], theirs["place"])
        if ours["kind"] == "catalog":
            assert ours["catalog"]["operations"] == [None] * len(theirs["catalog"]["operations"])
            assert {**ours["catalog"], "operations": 0} == {**theirs["catalog"], "operations": 0}
            assert (ours["operation"] or {}).get("request") == (theirs["operation"] or {}).get("request")


class Later(Clock):
    """The real clock, some days on."""

    def __init__(self, days):
        super().__init__()
        self._days = timedelta(days=days)
        self._offset_s += self._days.total_seconds()

    def now(self):
        return super().now() + self._days


@pytest.mark.usefixtures("tidied_soon")
async def test_what_retention_strips_is_still_known_and_what_was_refused_is_forgotten(tmp_path, flash):
    flash.state.refused_rows["P-2"] = "no"
    rows = [product(1), product(2)]
    async with running(tmp_path, settings(flash.base_url)) as register:
        (done,) = await settled(register, await take(register, catalog(products=rows)))
        await settled(register, await take(register, catalog(source="pim", products=rows[:1])))
    flash.clock_skew = 40 * 86_400.0
    async with running(tmp_path, settings(flash.base_url), Later(40)) as register:
        await register.sell("40 days on", wait=10)

        async def is_stripped():
            return (await register.operation(done["id"]))["request"] == {}

        await until(is_stripped)
        assert "catalog-rows-refused" not in await register.conditions()
        again = await take(register, catalog(products=rows))
        assert again["catalogTotals"] == {"rows": 2, "unchanged": 1, "operations": 1}
        await settled(register, again)
    flash.clock_skew = 500 * 86_400.0
    async with running(tmp_path, settings(flash.base_url), Later(500)) as register:
        await register.sell("500 days on", wait=10)

        async def is_gone():
            return (await register.call("GET", done["href"])).status == 404

        await until(is_gone)
        again = await take(register, catalog(products=rows))
        assert again["catalogTotals"] == {"rows": 2, "unchanged": 0, "operations": 1}, "once more, after 400 days"
    assert kept_rows(tmp_path, "1") == 2, "the one that is no more was forgotten"


async def test_a_damaged_database_loses_no_rows_that_can_be_read(tmp_path, flash):
    rows = [product(number) for number in range(600)]
    flash.fault("status", status=422, method="POST", path="/catalog/import", times=1)
    async with running(tmp_path, settings(flash.base_url)) as register:
        failed, _ = (await take(register, catalog(products=rows)))["items"][0]["catalog"]["operations"]
        assert (await register.settled(failed))["status"] == "failed"
    with (tmp_path / "agent.db").open("r+b") as file:
        file.write(bytes(100))
    async with running(tmp_path, settings(flash.base_url)) as register:
        assert "database-quarantined" in await register.conditions()
        dry = await take(register, catalog(products=rows), dry=True)
        assert dry["catalogTotals"] == {"rows": 600, "unchanged": 100, "operations": 1}
        await take(register, catalog(products=[product(601)]))
        assert (await register.operation(failed))["status"] == "failed", "it carries its rows"


def many_rows():
    """50,000 rows in a hundred catalogs, as an ERP's export may have them."""
    brands = [{"externalId": f"B-{number}", "name": f"Brand {number}"} for number in range(100)]
    products = [product(number, f"Article {number}", brandExternalId=f"B-{number % 100}") for number in range(20_000)]
    variants = [
        {"externalId": f"V-{number}", "productExternalId": f"P-{number}", "sku": f"S-{number}", "price": 19.9}
        for number in range(20_000)
    ]
    inventory = [{"variantSku": f"S-{number}", "locationRef": "WH", "available": 3} for number in range(9_900)]
    for entity, rows in {"brands": brands, "products": products, "variants": variants, "inventory": inventory}.items():
        for start in range(0, len(rows), 500):
            yield catalog(f"{entity} from {start}", **{entity: rows[start : start + 500]})


async def take_all(register, records):
    """As several documents, one after another; what their catalogs sum to."""
    summed = Counter()
    for start in range(0, len(records), 12):
        taken = await take(register, *records[start : start + 12])
        summed.update(taken["catalogTotals"])
    return dict(summed)


async def test_an_unchanged_catalog_of_50000_rows_sends_nothing_and_registers_sell_meanwhile(offline):
    records = list(many_rows())
    taking = asyncio.create_task(take_all(offline, records))
    sold = 0
    while not taking.done():
        assert (await offline.sell(f"R-{sold}")).status == 202
        sold += 1
    first = await taking
    assert first == {"rows": 50_000, "unchanged": 0, "operations": first["operations"]}
    assert 100 <= first["operations"] <= 110
    assert sold >= 10
    newest = (await offline.call("GET", "/v1/operations?kind=catalog&limit=1")).json["operations"]
    assert await take_all(offline, records) == {"rows": 50_000, "unchanged": 50_000, "operations": 0}
    assert (await offline.call("GET", "/v1/operations?kind=catalog&limit=1")).json["operations"] == newest
    records[7]["document"]["products"][3]["title"] = "another"
    assert await take_all(offline, records) == {"rows": 50_000, "unchanged": 49_999, "operations": 1}


async def test_catalogs_are_the_operators_alone(offline):
    raw = json.dumps(catalog(products=[product(1)])).encode()
    answer = await offline.call("POST", "/v1/documents/canonical", raw=raw, Content_Type="application/x-ndjson")
    assert answer.json["items"][0]["reason"]["code"] == "forbidden"
    assert answer.json["catalogTotals"] is None
