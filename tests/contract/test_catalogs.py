"""Catalogs as they are posted: one operation each, judged by Flash row by row; what it does not take is shown."""

import json

import pytest

from agent.sandbox import Sandbox
from tests.support.agents import running, settings, strict_flash

CATALOG = {
    "source": "erp",
    "brands": [{"externalId": "B-AURELIA", "name": "Aurelia"}],
    "categories": [{"externalId": "C-RINGS", "name": "Rings"}],
    "products": [
        {
            "externalId": "P-9001",
            "title": "Solitaire Ring",
            "brandExternalId": "B-AURELIA",
            "categoryExternalId": "C-RINGS",
            "content": [{"externalId": "P-9001-spec", "contentType": "spec", "body": "1.0ct"}],
        }
    ],
    "variants": [{"externalId": "V-9001-7", "productExternalId": "P-9001", "sku": "AUR-RING-7", "price": 4200}],
    "inventory": [{"variantSku": "AUR-RING-7", "locationRef": "WH-1", "available": 12}],
}


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


async def post(register, body=CATALOG, *, scope="operator", wait=None, **headers):
    if wait:
        headers["Prefer"] = f"wait={wait}"
    return await register.call("POST", "/v1/catalogs", body, scope=scope, **headers)


def imports(flash):
    return [seen.request.json for seen in flash.requests if seen.request.route == "POST /catalog/import"]


def titled(title, *, product="P-1", source="erp"):
    return {"source": source, "products": [{"externalId": product, "title": title}]}


async def test_a_catalog_is_one_operation_and_settles_with_flashs_counts(online, flash):
    answer = await post(online, wait=10)
    assert (answer.status, answer.json["kind"], answer.json["status"]) == (200, "catalog", "succeeded")
    assert answer.json["result"]["products"] == {"inserted": 1, "updated": 0}
    assert answer.json["result"]["errors"] == answer.json["warnings"] == answer.json["receipt"] == []
    rows = dict.fromkeys(("brands", "categories", "products", "variants", "inventory"), 1)
    assert answer.json["request"] == {"source": "erp", "rows": rows}
    assert imports(flash) == [CATALOG]
    assert flash.violations == []


async def test_numbers_keep_their_digits(online, flash):
    body = b'{"source":"erp","variants":[{"externalId":"V-1","sku":"S-1","price":19.90}]}'
    answer = await online.call("POST", "/v1/catalogs", raw=body, scope="operator", Prefer="wait=10")
    assert answer.json["status"] == "succeeded"
    (seen,) = [seen.request for seen in flash.requests if seen.request.route == "POST /catalog/import"]
    assert b'"price":19.90' in seen.body


async def test_a_b_a_are_three_operations_in_their_order(online, flash):
    bodies = [titled("A"), titled("A"), titled("B"), titled("A")]
    answers = [await post(online, body) for body in bodies]
    assert [answer.headers.get("Idempotency-Replayed") for answer in answers] == [None, "true", None, None]
    assert len({answer.json["id"] for answer in answers}) == 3
    await online.settled(answers[-1].json["id"])
    assert [body["products"][0]["title"] for body in imports(flash)] == ["A", "B", "A"]
    assert flash.state.tenant("t1").catalog["products"]["P-1"]["title"] == "A"
    assert flash.violations == []


async def test_the_order_of_keys_makes_no_other_catalog(offline):
    first = await post(offline, {"source": "erp", "products": [{"externalId": "P-1", "title": "A"}]})
    again = await post(offline, {"products": [{"title": "A", "externalId": "P-1"}], "source": "erp"})
    assert again.json["id"] == first.json["id"]


async def test_a_later_one_waits_for_earlier_ones_of_its_source_alone(offline):
    first = await post(offline, titled("A"))
    second = await post(offline, titled("A", product="P-2"))
    other = await post(offline, titled("A", source="pim"))
    assert second.json["waitingFor"] == [first.json["id"]]
    assert (first.json["waitingFor"], other.json["waitingFor"]) == ([], [])


async def test_a_bad_row_never_stops_the_rest_and_is_shown(online, flash):
    body = {
        "source": "erp",
        "products": [
            {"externalId": "P-1", "title": "Fine"},
            {"externalId": "P-2", "title": "Orphan", "brandExternalId": "B-GONE"},
            {"title": "Without an id"},
            7,
        ],
    }
    answer = await post(online, body, wait=10)
    assert answer.json["status"] == "succeeded"
    assert answer.json["result"]["products"] == {"inserted": 1, "updated": 0}
    assert [error["index"] for error in answer.json["result"]["errors"]] == [1, 2, 3]
    assert "did not take 3 of 4 rows" in answer.json["warnings"][0]
    assert answer.json["warnings"][1] == "products P-2: brandExternalId is not among the brands"
    assert answer.json["warnings"][2] == "products 2: no id"
    shown = await online.operation(answer.json["id"])
    assert shown["warnings"] == answer.json["warnings"]
    (condition,) = [each for each in (await online.status())["conditions"] if each["code"] == "catalog-rows-refused"]
    assert "There are 3." in condition["text"]
    assert flash.state.tenant("t1").catalog["products"].keys() == {"P-1"}


async def test_the_condition_ends_when_the_row_is_mended(online, flash):
    flash.state.refused_rows["P-1"] = "title is too long"
    await post(online, titled("A very long title"), wait=10)
    assert "catalog-rows-refused" in await online.conditions()
    flash.state.refused_rows.clear()
    mended = await post(online, titled("Short"), wait=10)
    assert mended.json["warnings"] == []
    assert "catalog-rows-refused" not in await online.conditions()


async def test_many_refused_rows_are_counted_and_the_first_named(online, flash):
    rows = [{"externalId": f"P-{number}", "title": "A"} for number in range(60)]
    flash.state.refused_rows.update({row["externalId"]: f"no: {row['externalId']}" for row in rows})
    answer = await post(online, {"source": "erp", "products": rows}, wait=10)
    assert len(answer.json["warnings"]) == 22
    assert "40 more" in answer.json["warnings"][-1]
    assert len(answer.json["result"]["errors"]) == 60
    (listed,) = (await online.call("GET", "/v1/operations?kind=catalog")).json["operations"]
    assert len(listed["result"]["errors"]) == 10


async def test_a_catalog_that_flash_refuses_whole_fails_and_a_newer_one_supersedes_it(online, flash):
    flash.fault("status", status=422, method="POST", path="/catalog/import", times=1)
    failed = await post(online, titled("A"), wait=10)
    assert (failed.json["status"], failed.json["error"]["code"]) == ("failed", "validation")
    better = await post(online, titled("B"), wait=10)
    assert better.json["status"] == "succeeded"
    superseded = await online.operation(failed.json["id"])
    assert (superseded["status"], "superseded" in superseded["error"]["detail"]) == ("discarded", True)


async def test_one_that_failed_while_newer_ones_waited_goes_only_where_they_carry_all_its_rows(tmp_path, flash):
    both = {"source": "erp", "products": [{"externalId": "P-1", "title": "A"}, {"externalId": "P-2", "title": "A"}]}
    flash.fault("status", status=422, method="POST", path="/catalog/import", times=1)
    flash.stop()
    async with running(tmp_path, settings(flash.base_url)) as register:
        first, second = await post(register, both), await post(register, titled("B"))
        flash.start()
        assert (await register.settled(first.json["id"]))["status"] == "failed", "P-2 is in no other"
        third = await post(register, titled("B", product="P-2"))
        assert (await register.settled(third.json["id"]))["status"] == "succeeded"
        statuses = [(await register.operation(each.json["id"]))["status"] for each in (first, second, third)]
    assert statuses == ["discarded", "succeeded", "succeeded"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"source": "erp"}, [""]),
        ({"source": "erp", "products": []}, [""]),
        ({"products": [{"externalId": "P-1"}]}, ["source"]),
        ({"source": "..", "products": [{"externalId": "P-1"}]}, ["source"]),
        ({"source": "erp", "products": {"externalId": "P-1"}}, ["products"]),
    ],
)
async def test_a_faulty_catalog_is_refused_and_not_stored(offline, body, fields):
    answer = await post(offline, body)
    assert (answer.status, answer.json["code"], answer.json["stored"]) == (422, "validation", False)
    assert [fault["field"] for fault in answer.json["errors"]] == fields
    assert (await offline.call("GET", "/v1/operations")).json["operations"] == []


@pytest.mark.parametrize("number", [b"1E400", b"0E400", b"-1e31", b"1e-300", b'{"deep":[1e99]}', b"9" * 40])
async def test_a_number_that_a_reader_of_json_may_choke_on_is_refused_with_its_row(offline, number):
    """It would take all other rows with it."""
    raw = b'{"source":"erp","products":[{"externalId":"P-1"},{"externalId":"P-2","price":' + number + b"}]}"
    answer = await offline.call("POST", "/v1/catalogs", raw=raw, scope="operator")
    assert (answer.status, answer.json["code"]) == (422, "validation")
    assert (answer.json["errors"][0]["field"], "row 1" in answer.json["errors"][0]["message"]) == ("products", True)


@pytest.mark.parametrize("number", [b"0.00", b"1E29", b"0.000000000001", b"12345678901234567890123"])
async def test_a_number_that_any_reader_takes_is_sent_as_it_came(online, flash, number):
    raw = b'{"source":"erp","products":[{"externalId":"P-1","price":' + number + b"}]}"
    answer = await online.call("POST", "/v1/catalogs", raw=raw, scope="operator", Prefer="wait=10")
    assert (answer.status, answer.json["status"]) == (200, "succeeded"), answer
    assert flash.violations == []


async def test_unknown_entities_are_named_or_refused_where_one_is_strict(offline):
    body = {**titled("A"), "bundles": [{"externalId": "X"}]}
    assert (await post(offline, body, Prefer="handling=strict")).status == 422
    taken = await post(offline, body)
    assert "bundles" in taken.json["warnings"][0]


async def test_one_with_too_many_rows_for_one_operation_says_where_it_may_go(tmp_path):
    async with running(tmp_path, settings(api={"max_body_bytes": 1024 * 1024})) as register:
        answer = await post(register, {"source": "erp", "products": [{}] * 10_001})
        assert (answer.status, answer.json["code"]) == (413, "too-many-rows")
        assert "/v1/documents/canonical" in answer.json["detail"]


async def test_catalogs_are_the_operators_alone(offline):
    answer = await post(offline, scope="register")
    assert (answer.status, answer.json["code"]) == (403, "forbidden")


async def test_the_registers_own_key_is_kept_to(offline):
    first = await post(offline, titled("A"), Idempotency_Key="k")
    again = await post(offline, titled("A"), Idempotency_Key="k")
    other = await post(offline, titled("B"), Idempotency_Key="k")
    assert again.json["id"] == first.json["id"]
    assert (other.status, other.json["code"]) == (409, "idempotency-conflict")


async def test_the_stand_in_takes_them_and_names_bad_rows_by_their_own_ids(tmp_path):
    async with Sandbox() as sandbox:
        chosen = settings(sandbox.base_url, flash={"write_key": sandbox.write_key})
        async with running(tmp_path, chosen) as register:
            good = await post(register, wait=10)
            assert (good.json["status"], good.json["warnings"]) == ("succeeded", [])
            bad = {
                "source": "erp",
                "products": [{"externalId": "P-2", "title": "Fine", "content": [{"body": "?"}]}],
                "inventory": [{"variantSku": "NOWHERE", "locationRef": "WH-1", "available": 1}],
            }
            answer = await post(register, bad, wait=10)
            assert answer.json["status"] == "succeeded"
            assert {line.split(":")[0] for line in answer.json["warnings"][1:]} == {
                "products P-2",
                "inventory NOWHERE at WH-1",
            }
            assert "catalog-rows-refused" in await register.conditions()


async def test_what_listeners_and_lists_get_is_bounded_and_the_operation_is_whole(online):
    rows = [{"externalId": f"P-{number}", "title": "x" * 50} for number in range(2000)]
    answer = await post(online, {"source": "erp", "products": rows}, wait=15)
    assert answer.json["status"] == "succeeded"
    assert answer.json["request"]["rows"] == {"products": 2000}
    assert len(json.dumps(answer.json)) < 4000
